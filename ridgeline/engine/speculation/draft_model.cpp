#include "ridgeline/engine/speculation/draft_model.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "ridgeline/engine/logit_scan.h"
#include "ridgeline/engine/mask_worker.h"
#include "ridgeline/engine/random.h"

namespace ridgeline {
namespace {

using Clock = std::chrono::steady_clock;

/// Nothing follows this token.
bool ends_text(const DraftRequest& request, const Tokenizer& target, TokenId token) {
  const std::vector<TokenId>& stops = request.params->stop_token_ids;
  return target.is_end_of_generation(token) || std::ranges::find(stops, token) != stops.end();
}

}  // namespace

std::span<float> DraftModel::logits(std::size_t row) {
  const auto size = static_cast<std::size_t>(config().vocab_size);
  return std::span(reinterpret_cast<float*>(logits_.data()), logit_rows_ * size)
      .subspan(row * size, size);
}

int DraftModel::most_tokens(const DraftRequest& request) const {
  // The last token drafted is not computed here.
  const std::int64_t room = context_ - static_cast<std::int64_t>(request.tokens.size()) + 1;
  if (request.tokens.empty() || room <= 0) return 0;
  return static_cast<int>(std::min<std::int64_t>({request.most, room, kMaxDraft}));
}

std::vector<DraftModel::Run> DraftModel::plan(std::span<const DraftRequest> requests) {
  cache_.begin_turn();
  std::vector<Run> candidates;
  for (const DraftRequest& request : requests) {
    const int most = most_tokens(request);
    if (most <= 0 || (request.grammar != nullptr && request.grammar->must_end())) continue;
    candidates.push_back(
        {.request = &request,
         .sequence = &cache_.follow(request.sequence, request.tokens, request.shared),
         .most = most});
  }
  std::ranges::stable_sort(candidates, {}, [](const Run& run) { return run.sequence->missing(); });
  // Who has most to do yet has least to lose.
  for (std::size_t i = candidates.size(); i-- > 0;) cache_.mark_used(*candidates[i].sequence);

  std::vector<Run> runs;
  std::vector<BlockCopy> copies;
  std::int64_t left = batch_tokens_;
  std::size_t drafting = 0;
  for (Run& run : candidates) {
    const std::int64_t missing = run.sequence->missing();
    run.rows = std::min(missing, left);
    run.drafts = run.rows == missing;
    if (run.rows == 0 || (run.drafts && drafting == logit_rows_)) continue;
    const std::int64_t end = run.sequence->computed + run.rows + (run.drafts ? run.most - 1 : 0);
    if (!cache_.reserve(*run.sequence, end, copies)) continue;
    left -= run.rows;
    drafting += run.drafts ? 1 : 0;
    if (run.drafts && run.request->grammar != nullptr) run.matcher = *run.request->grammar;
    runs.push_back(std::move(run));
  }
  for (const BlockCopy& copy : copies)
    backend_->copy_kv_block(*kv_cache_, copy.group, copy.from, copy.to);
  return runs;
}

StepLoad DraftModel::load_of_runs(std::span<const Run> runs) const {
  StepLoad load;
  for (const Run& run : runs) load = load + load_of(run.sequence->computed, run.rows);
  return load;
}

void DraftModel::forward(std::span<const Run> runs) {
  batch_.clear();
  for (const Run& run : runs) {
    const DraftCache::Sequence& s = *run.sequence;
    const auto first_row = static_cast<std::int32_t>(batch_.rows());
    for (std::int64_t i = 0; i < run.rows; ++i)
      batch_.tokens.push_back(
          vocabulary_.in_context(s.tokens[static_cast<std::size_t>(s.computed + i)]));
    batch_.slices.push_back(
        {first_row, static_cast<std::int32_t>(run.rows), s.computed, s.blocks.tables()});
    if (run.drafts)
      batch_.logit_rows.push_back(first_row + static_cast<std::int32_t>(run.rows) - 1);
  }
  model_->forward(batch_, *kv_cache_);
  const std::size_t wanted = batch_.logit_rows.size();
  if (wanted == 0) return;
  model_->head(0, static_cast<std::int64_t>(wanted),
               {logits(0).data(), wanted * static_cast<std::size_t>(config().vocab_size)});
}

void DraftModel::draft(std::span<const DraftRequest> requests) {
  std::vector<Run> runs = plan(requests);
  while (!runs.empty()) {
    const auto start = Clock::now();
    const StepLoad load = load_of_runs(runs);
    forward(runs);
    std::size_t row = 0;
    for (Run& run : runs) {
      cache_.advance(*run.sequence, run.sequence->computed + run.rows);
      run.rows = 1;
      if (run.drafts) run.drafts = draft_token(run, logits(row++));
    }
    cost_.observe(load, std::chrono::duration<double>(Clock::now() - start).count());
    std::erase_if(runs, [](const Run& run) { return !run.drafts; });
  }
}

std::optional<TokenId> DraftModel::choose(const DraftRequest& request,
                                          const SampleRequest& wanted) {
  const SamplingParams& params = *request.params;
  if (rule_ == AcceptanceRule::kRejection) {
    if (!sampler_.distribution(params, wanted, distribution_)) return std::nullopt;
    return ridgeline::draw(distribution_, random_uniform(params.seed, wanted.output_position,
                                                         wanted.choice, RandomUse::kDraft));
  }
  const Result<TokenId> token = sampler_.sample(params, wanted);
  return token ? std::optional(*token) : std::nullopt;
}

bool DraftModel::draft_token(Run& run, std::span<float> draft_logits) {
  const DraftRequest& request = *run.request;
  Draft& draft = *request.draft;
  std::span<float> values = draft_logits;
  if (!same_rows_) {
    values = target_logits_;
    if (!vocabulary_.translate(draft_logits, values)) return false;
  }
  if (run.matcher) {
    run.matcher->allowed(mask_);
    apply_mask(mask_, values);
  }
  std::vector<TokenId>& tokens = run.sequence->tokens;
  const std::optional<TokenId> token = choose(
      request, {.logits = values,
                .history = tokens,
                .output_position = tokens.size() - static_cast<std::size_t>(request.prompt_tokens),
                .choice = request.choice});
  if (!token) return false;
  const double p = probability(*token, values);
  if (p < least_probability_) return false;
  const bool fits = !run.matcher || run.matcher->accept(*token);
  const bool ends = ends_text(request, *target_, *token);
  if (!fits && !ends) return false;

  const auto above = std::ranges::upper_bound(kConfidenceBounds, static_cast<float>(p));
  draft.tokens.push_back({*token, static_cast<std::uint8_t>(above - kConfidenceBounds.begin())});
  if (rule_ == AcceptanceRule::kRejection) draft.distributions.push_back(distribution_);
  tokens.push_back(*token);
  return static_cast<int>(draft.tokens.size()) < run.most && !ends &&
         !(run.matcher && run.matcher->must_end());
}

double DraftModel::probability(TokenId token, std::span<const float> values) const {
  const float max = max_logit(values);
  // The rejection rule keeps the target's distribution only if what is checked does not depend on
  // which token was drawn: there the class is that of the most likely one.
  const bool rejects = rule_ == AcceptanceRule::kRejection;
  const float logit = rejects ? max : values[static_cast<std::size_t>(token)];
  const double gap = static_cast<double>(gap_below(max, logit));
  return std::exp(-gap) / softmax_denominator(values, max);
}

double DraftModel::seconds(std::span<const DraftRequest> requests) const {
  struct Work {
    std::int64_t missing, position;
    int most;
  };
  std::vector<Work> all;
  for (const DraftRequest& request : requests) {
    const int most = most_tokens(request);
    if (most <= 0) continue;
    const std::int64_t missing = this->missing(request);
    all.push_back({missing, static_cast<std::int64_t>(request.tokens.size()) - missing, most});
  }
  std::ranges::sort(all, {}, &Work::missing);
  StepLoad first;
  std::int64_t left = batch_tokens_;
  for (Work& work : all) {
    const std::int64_t rows = std::min(work.missing, left);
    first = first + load_of(work.position, rows);
    left -= rows;
    if (rows < work.missing) work.most = 0;
  }
  double sum = all.empty() ? 0 : cost_.seconds(first);
  for (int token = 1; token < kMaxDraft; ++token) {
    StepLoad load;
    for (const Work& work : all)
      if (work.most > token) load = load + load_of(work.position + work.missing + token - 1, 1);
    if (load.rows == 0) break;
    sum += cost_.seconds(load);
  }
  return sum;
}

double DraftModel::seconds_per_token(std::size_t sequences) const {
  if (sequences == 0) return 0;
  const auto rows = static_cast<std::int64_t>(sequences);
  return cost_.seconds({rows, 0}) / static_cast<double>(rows);
}

std::size_t DraftModel::bytes() const {
  // The workspace that the backend's models share is the target's.
  const std::size_t own = model_->workspace_bytes() - backend_->workspace_bytes();
  return model_->weight_bytes() + kv_cache_->bytes() + own + logits_.size() +
         target_logits_.size() * sizeof(float);
}

}  // namespace ridgeline
