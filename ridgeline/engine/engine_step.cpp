// One step: schedule, forward, sample, commit.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ridgeline/base/check.h"
#include "ridgeline/engine/engine.h"
#include "ridgeline/engine/logprobs.h"
#include "ridgeline/engine/random.h"
#include "ridgeline/engine/sequence_output.h"
#include "ridgeline/engine/speculation/rejection.h"

namespace ridgeline {
namespace {

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool is_stop_token(const SamplingParams& params, TokenId token) {
  return std::ranges::find(params.stop_token_ids, token) != params.stop_token_ids.end();
}

/// Prompt tokens whose log-probabilities are yet to come.
bool wants_prompt_logprobs(const Sequence& s) {
  const auto known = static_cast<std::int64_t>(s.output->prompt_logprobs.size());
  return s.output->request->prompt_logprobs && known < s.prompt_tokens - 1;
}

/// Hidden states or logits of more than the last row are wanted.
bool is_special(const ScheduledTokens& run) {
  return run.sequence->output->request->embed || wants_prompt_logprobs(*run.sequence);
}

}  // namespace

std::span<float> Engine::logits(std::int64_t rows) {
  return {reinterpret_cast<float*>(logits_.data()),
          static_cast<std::size_t>(rows * config().vocab_size)};
}

std::vector<TokenEvent> Engine::step() {
  const auto start = Clock::now();
  std::vector<TokenEvent> events;
  expire(start, events);
  const std::int64_t last_prompt_rows = report_.prefill_rows;
  report_ = {};
  if (speculation_) plan_drafts(last_prompt_rows);
  ScheduledStep scheduled = scheduler_->schedule({.rows = batch_tokens_,
                                                  .cost = &cost_,
                                                  .prefill_share = prefill_share_,
                                                  .most_prefill_share = most_prefill_share_});
  if (scheduled.empty()) return events;
  // Rows that are only sampled from come first, so that one head() computes them.
  std::ranges::stable_partition(scheduled.runs, std::not_fn(is_special));
  for (const ScheduledTokens& run : scheduled.runs) {
    RequestSummary& summary = active_.at(run.sequence->request).summary;
    if (summary.scheduled == Clock::time_point{}) summary.scheduled = start;
    summary.reused_tokens = run.sequence->num_reused_tokens;
    summary.preemptions = std::max(summary.preemptions, run.sequence->preemptions);
  }
  build_batch(scheduled);
  for (const BlockCopy& copy : scheduled.copies)
    backend_->copy_kv_block(*kv_cache_, copy.group, copy.from, copy.to);
  report_.schedule_seconds = seconds_since(start) - report_.draft_seconds;

  const auto forward = Clock::now();
  start_masks(scheduled);
  if (cost_.measured()) report_.predicted_seconds = cost_.seconds(scheduled.load);
  model_->forward(batch_, *kv_cache_);
  report_.forward_seconds = seconds_since(forward);
  report_.decode_rows = scheduled.decode_rows;
  report_.draft_rows = scheduled.draft_rows;
  report_.prefill_rows = scheduled.load.rows - scheduled.decode_rows - scheduled.draft_rows;
  commit(scheduled, start, events);
  report_.sample_seconds = seconds_since(start) - report_.draft_seconds - report_.schedule_seconds -
                           report_.forward_seconds;
  cost_.observe(scheduled.load, report_.forward_seconds);

  ++counters_.steps;
  counters_.prompt_tokens += static_cast<std::uint64_t>(report_.prefill_rows);
  counters_.generation_tokens += static_cast<std::uint64_t>(report_.sampled_tokens);
  counters_.schedule_seconds += report_.schedule_seconds;
  counters_.forward_seconds += report_.forward_seconds;
  counters_.sample_seconds += report_.sample_seconds;
  counters_.draft_seconds += report_.draft_seconds;
  return events;
}

/// `prompt_rows`: of the step before, which tell what prompts will take of this one.
void Engine::plan_drafts(std::int64_t prompt_rows) {
  Speculation::Step step;
  step.cost = &cost_;
  step.rows = batch_tokens_ - static_cast<std::int64_t>(scheduler_->num_running());
  if (scheduler_->prompts_pending()) {
    step.prompts = load_of(0, prompt_rows);
    step.rows = std::max<std::int64_t>(0, step.rows - prompt_rows);
  }
  speculation_->plan(scheduler_->running(), step);
  report_.draft_seconds = speculation_->draft_seconds();
}

/// Positions of the run whose final hidden states are wanted.
std::pair<std::int64_t, std::int64_t> Engine::wanted_positions(const ScheduledTokens& run) const {
  const Sequence& s = *run.sequence;
  const std::int64_t begin = s.num_computed_tokens, end = begin + run.count;
  if (const auto& embed = s.output->request->embed) {
    const Pooling how = pooling(*embed);
    // What a preempted sequence computes again is in the sum already.
    const std::int64_t pooled = s.output->pooled_rows;
    if (how == Pooling::kCls)
      return {begin, pooled == 0 ? std::max<std::int64_t>(begin, 1) : begin};
    if (how == Pooling::kLast) return {std::min(s.prompt_tokens - 1, end), end};
    return {std::clamp(pooled, begin, end), end};
  }
  // A row predicts the token behind it. What a preempted sequence computes again is known.
  if (wants_prompt_logprobs(s)) {
    const auto known = static_cast<std::int64_t>(s.output->prompt_logprobs.size());
    return {std::clamp(known, begin, end), end};
  }
  return {run.reaches_end ? end - 1 : end, end};
}

void Engine::build_batch(const ScheduledStep& step) {
  batch_.clear();
  wanted_.clear();
  for (const ScheduledTokens& run : step.runs) {
    const Sequence& s = *run.sequence;
    const auto first_row = static_cast<std::int32_t>(batch_.rows());
    const auto begin = s.tokens.begin() + s.num_computed_tokens;
    batch_.tokens.insert(batch_.tokens.end(), begin, begin + run.count);
    batch_.tokens.insert(batch_.tokens.end(), s.draft.begin(), s.draft.begin() + run.drafted);
    batch_.slices.push_back({first_row, static_cast<std::int32_t>(run.rows()),
                             s.num_computed_tokens, s.blocks.tables()});
    const auto [from, to] = wanted_positions(run);
    for (std::int64_t p = from; p < to + run.drafted; ++p) {
      const auto drafted = static_cast<int>(std::max<std::int64_t>(0, p - to + 1));
      wanted_.push_back({run.sequence, p, drafted, drafted < run.drafted && p >= to - 1});
      batch_.logit_rows.push_back(first_row + static_cast<std::int32_t>(p - s.num_computed_tokens));
    }
  }
}

/// The masks of what will be sampled, while the forward pass runs.
void Engine::start_masks(const ScheduledStep& step) {
  std::vector<MaskWork> work;
  for (const ScheduledTokens& run : step.runs)
    if (run.reaches_end && run.sequence->output->matcher)
      work.push_back({run.sequence->output.get(),
                      std::span(run.sequence->draft).first(static_cast<std::size_t>(run.drafted))});
  mask_worker_.start(std::move(work));
}

/// Each wanted row goes where it belongs: into an embedding, a prompt's log-probabilities, or to
/// the sampler. `start`: of the step.
void Engine::commit(const ScheduledStep& step, Clock::time_point start,
                    std::vector<TokenEvent>& events) {
  mask_worker_.wait();
  scheduler_->commit(step);
  const auto rows = static_cast<std::int64_t>(wanted_.size());
  const auto embeds = [&](std::int64_t row) {
    return wanted_[static_cast<std::size_t>(row)].sequence->output->request->embed.has_value();
  };
  for (std::int64_t begin = 0, end; begin < rows; begin = end) {
    end = begin + 1;
    while (end < rows && end - begin < logit_rows_ && embeds(end) == embeds(begin)) ++end;
    embeds(begin) ? add_hidden(begin, end) : use_logits(begin, end, events);
  }
  for (const ScheduledTokens& run : step.runs)
    if (run.sequence->output->request->embed && run.reaches_end)
      finish_embedding(*run.sequence, events);
  scheduler_->settle(step);
  if (speculation_) {
    const SpeculationCounts before = speculation_->counts();
    const double others = seconds_since(start) - report_.draft_seconds - report_.forward_seconds;
    speculation_->learn(step, cost_, report_.forward_seconds, others);
    report_.speculation = speculation_->counts().since(before);
  }
  remove_finished(events);
}

void Engine::use_logits(std::int64_t begin, std::int64_t end, std::vector<TokenEvent>& events) {
  const auto vocab = static_cast<std::size_t>(config().vocab_size);
  const auto start = Clock::now();
  const std::span<float> all = logits(end - begin);
  model_->head(begin, end - begin, all);
  report_.forward_seconds += seconds_since(start);
  for (std::int64_t i = begin; i < end; ++i) {
    const WantedRow& row = wanted_[static_cast<std::size_t>(i)];
    const std::span<float> values = all.subspan(static_cast<std::size_t>(i - begin) * vocab, vocab);
    Sequence& s = *row.sequence;
    if (row.drafted > 0 && !agrees(row)) continue;
    if (row.position == s.total_tokens() - 1)
      sample(row, values, events);
    else
      s.output->prompt_logprobs.push_back(
          token_logprobs(values, s.tokens[static_cast<std::size_t>(row.position + 1)],
                         *s.output->request->prompt_logprobs));
  }
}

/// Whether the text went on as the drafted row assumes: what it was computed from are its tokens.
bool Engine::agrees(const WantedRow& row) const {
  const Sequence& s = *row.sequence;
  return !s.finished && row.position == s.total_tokens() - 1 &&
         s.tokens.back() == s.draft[static_cast<std::size_t>(row.drafted - 1)];
}

/// The next token, and at the end of the prompt those of the other choices, which go on with the
/// same blocks.
void Engine::sample(const WantedRow& row, std::span<float> values,
                    std::vector<TokenEvent>& events) {
  Sequence& s = *row.sequence;
  std::vector<std::unique_ptr<Sequence>> others;
  const int choices = std::exchange(s.choices_to_come, 0);
  for (int i = 1; i <= choices; ++i) {
    others.push_back(std::make_unique<Sequence>(s, s.choice + i));
    others.back()->output = std::make_unique<SequenceOutput>(s.output->request, *tokenizer_);
    others.back()->output->matcher = s.output->matcher;
    others.back()->output->mask = s.output->mask;
  }
  // The sampler changes its logits in place.
  const std::vector<float> model_logits =
      others.empty() ? std::vector<float>() : std::vector<float>(values.begin(), values.end());
  sample_one(s, row, values, events);
  for (std::unique_ptr<Sequence>& other : others) {
    std::ranges::copy(model_logits, values.begin());
    sample_one(*other, row, values, events);
    scheduler_->add_choice(std::move(other));
  }
}

void Engine::sample_one(Sequence& s, const WantedRow& row, std::span<float> values,
                        std::vector<TokenEvent>& events) {
  const Request& request = *s.output->request;
  TokenEvent event;
  event.choice = s.choice;
  if (s.output_tokens() == 0 && s.choice == 0)
    event.prompt_logprobs = std::move(s.output->prompt_logprobs);
  if (s.total_tokens() >= s.max_total_tokens) {  // max_tokens is 0: only the prompt was wanted
    event.finished = s.finished = FinishReason::kLength;
    return emit(s, std::move(event), events);
  }
  // The sampler changes them in place.
  if (request.logprobs) model_logits_.assign(values.begin(), values.end());
  const Result<TokenId> token = draw(s, row, values);
  if (!token) {
    event.text = s.output->detokenizer.finish();
    event.finished = s.finished = FinishReason::kError;
    event.error = token.error().message;
    return emit(s, std::move(event), events);
  }
  if (s.output->matcher && !s.output->matcher->accept(*token) &&
      !is_stop_token(request.params, *token)) {
    event.finished = s.finished = FinishReason::kError;
    event.error = fmt::format("token {} does not fit the grammar that allowed it", *token);
    return emit(s, std::move(event), events);
  }
  ++report_.sampled_tokens;
  if (request.logprobs) event.logprobs = token_logprobs(model_logits_, *token, *request.logprobs);
  accept(s, *token, event);
  emit(s, std::move(event), events);
}

/// The sampler changes `values` in place.
Result<TokenId> Engine::draw(const Sequence& s, const WantedRow& row, std::span<float> values) {
  const SequenceOutput& output = *s.output;
  const Request& request = *output.request;
  if (output.matcher)
    apply_mask(row.drafted == 0 ? output.mask
                                : output.draft_masks[static_cast<std::size_t>(row.drafted - 1)],
               values);
  SampleRequest wanted;
  wanted.logits = values;
  wanted.history = s.tokens;
  const auto position = static_cast<std::size_t>(s.output_tokens());
  wanted.output_position = position;
  wanted.choice = static_cast<std::uint32_t>(s.choice);
  const bool rejection = row.followed && speculation_->options().rule == AcceptanceRule::kRejection;
  Result<TokenId> token =
      rejection ? draw_by_rejection(s, row, wanted) : sampler_->sample(request.params, wanted);
  if (token && position < request.script.size()) token = request.script[position];
  return token;
}

Result<TokenId> Engine::draw_by_rejection(const Sequence& s, const WantedRow& row,
                                          const SampleRequest& wanted) {
  const SamplingParams& params = s.output->request->params;
  RIDGELINE_TRY_STATUS(sampler_->distribution(params, wanted, probabilities_));
  const SequenceDrafts& drafts = *s.output->drafts;
  const auto& distributions =
      drafts.proposals[static_cast<std::size_t>(drafts.drafter)].distributions;
  const auto at = static_cast<std::size_t>(row.drafted);
  const auto uniform = [&](RandomUse use) {
    return random_uniform(params.seed, wanted.output_position, wanted.choice, use);
  };
  return speculative_draw(probabilities_, s.draft[at],
                          at < distributions.size()
                              ? std::span<const TokenProbability>(distributions[at])
                              : std::span<const TokenProbability>(),
                          uniform(RandomUse::kAccept), uniform(RandomUse::kResidual));
}

/// Appends the token; what it says, and whether it is the last.
void Engine::accept(Sequence& s, TokenId token, TokenEvent& event) {
  const SamplingParams& params = s.output->request->params;
  StopStrings& stops = s.output->stop_strings;
  event.token = token;
  s.tokens.push_back(token);
  const bool early = s.output_tokens() <= params.min_tokens;
  if (!early && is_stop_token(params, token)) event.stop_token = token;
  const bool ends = tokenizer_->is_end_of_generation(token) && !params.ignore_eos && !early;
  if (ends || event.stop_token) {
    s.finished = FinishReason::kStop;
  } else {
    StopStrings::Output out = stops.push(s.output->detokenizer.push(token));
    event.text = std::move(out.emit);
    if (out.stopped) {
      event.stop_string = std::move(out.stop);
      event.finished = s.finished = FinishReason::kStop;
      return;
    }
    if (s.output->matcher && s.output->matcher->must_end())
      s.finished = FinishReason::kStop;
    else if (s.total_tokens() >= s.max_total_tokens)
      s.finished = FinishReason::kLength;
  }
  if (!s.finished) return;
  event.finished = s.finished;
  event.text += stops.push(s.output->detokenizer.finish()).emit;
  event.text += stops.finish();
}

}  // namespace ridgeline
