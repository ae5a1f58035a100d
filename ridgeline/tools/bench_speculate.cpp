#include "ridgeline/tools/bench_speculate.h"

#include <algorithm>
#include <chrono>
#include <span>
#include <utility>

#include "ridgeline/base/check.h"
#include "ridgeline/engine/speculation/draft_model.h"
#include "ridgeline/engine/speculation/prompt_lookup.h"
#include "ridgeline/engine/speculation/recent_outputs.h"

namespace ridgeline {
namespace {

using Kind = DrafterSpec::Kind;

/// Plain decoding is measured anew beside so many others: machines change their speed.
constexpr std::size_t kVariantsPerPlain = 4;
constexpr std::size_t kRecentBytes = std::size_t{16} << 20;
/// A draft model's step on a long prompt, as in an engine.
constexpr std::int64_t kDraftBatchTokens = 256;
constexpr const char* kAll = "all";

std::string_view slot_name(Kind kind) {
  switch (kind) {
    case Kind::kLookup:
      return "lookup";
    case Kind::kRecent:
      return "recent";
    case Kind::kPlanted:
      return "planted";
    case Kind::kModel:
    case Kind::kRejectionModel:
      break;
  }
  return "model";
}

/// What a round has measured of one category, made one way.
struct RoundSum {
  double tokens = 0, seconds = 0, plain_tokens = 0, plain_seconds = 0;
};

void add(SpeculationLine& line, const SpeculationRun& run) {
  line.counts += run.counts;
  for (std::size_t i = 0; i < line.drafted_at.size(); ++i) {
    line.drafted_at[i] += run.drafted_at[i];
    line.accepted_at[i] += run.accepted_at[i];
  }
  line.seconds += run.seconds;
  line.draft_seconds += run.draft_seconds;
}

void add(RoundSum& sum, const SpeculationRun& run, const SpeculationRun& plain) {
  sum.tokens += run.timed_tokens();
  sum.seconds += run.seconds;
  sum.plain_tokens += plain.timed_tokens();
  sum.plain_seconds += plain.seconds;
}

/// Texts of one token took no time that could be told.
void end_round(SpeculationLine& line, RoundSum& sum) {
  if (sum.seconds > 0 && sum.plain_seconds > 0) {
    line.rates.push_back(sum.tokens / sum.seconds);
    line.plain_rates.push_back(sum.plain_tokens / sum.plain_seconds);
    line.speedups.push_back(line.rates.back() / line.plain_rates.back());
  }
  sum = {};
}

/// Lines by category and variant, and what the present round adds to them.
class Lines {
 public:
  Lines(const std::vector<SpeculationText>& texts, std::size_t variants) : variants_(variants) {
    for (const SpeculationText& text : texts)
      if (std::ranges::find(names_, text.category) == names_.end()) names_.push_back(text.category);
    if (names_.size() > 1) names_.emplace_back(kAll);
    for (const std::string& name : names_)
      for (std::size_t v = 0; v < variants; ++v) lines_.push_back({.category = name, .variant = v});
    sums_.resize(lines_.size());
    for (const SpeculationText& text : texts)
      each(text, [&](std::size_t at) {
        ++lines_[at].texts;
        lines_[at].forced |= !text.script.empty();
      });
  }

  void add_run(const SpeculationText& text, std::size_t variant, const SpeculationRun& run,
               const SpeculationRun& plain, bool first_round) {
    each(text, [&](std::size_t at) {
      if (lines_[at].variant != variant) return;
      add(lines_[at], run);
      add(sums_[at], run, plain);
      if (first_round && run.tokens != plain.tokens) ++lines_[at].different;
    });
  }
  void end_round() {
    for (std::size_t i = 0; i < lines_.size(); ++i) ridgeline::end_round(lines_[i], sums_[i]);
  }
  std::vector<SpeculationLine> take() { return std::move(lines_); }

 private:
  /// The lines that a text counts for.
  template <class Visit>
  void each(const SpeculationText& text, const Visit& visit) {
    for (std::size_t i = 0; i < names_.size(); ++i) {
      const bool all = names_.size() > 1 && i + 1 == names_.size();
      if (names_[i] != text.category && !all) continue;
      for (std::size_t v = 0; v < variants_; ++v) visit(i * variants_ + v);
    }
  }

  std::size_t variants_;
  std::vector<std::string> names_;
  std::vector<SpeculationLine> lines_;
  std::vector<RoundSum> sums_;
};

}  // namespace

std::optional<double> SpeculationLine::acceptance_at(std::size_t i) const {
  if (i >= drafted_at.size() || drafted_at[i] == 0) return std::nullopt;
  return static_cast<double>(accepted_at[i]) / static_cast<double>(drafted_at[i]);
}

Result<std::unique_ptr<SpeculationBench>> SpeculationBench::load(
    const std::string& path, EngineOptions options, std::vector<DrafterSpec> drafters) {
  std::unique_ptr<SpeculationBench> bench(new SpeculationBench());
  bench->drafters_ = std::move(drafters);
  SpeculationOptions& speculation = options.speculation;
  const std::string draft_model = std::exchange(speculation.draft_model, "");
  speculation.lookup = speculation.recent = false;
  for (const DrafterSpec& spec : bench->drafters_) {
    bench->slots_.push_back(std::make_shared<DrafterSlot>(std::string(slot_name(spec.kind))));
    speculation.more.push_back(bench->slots_.back());
  }
  options.max_sequences = 1;
  options.prefix_cache = true;  // a prompt is computed once, whoever goes on from it
  options.measure_cost = true;
  RIDGELINE_TRY(bench->engine_, Engine::load(path, options));

  std::array<std::shared_ptr<Drafter>, 3> models;  // one for each way to draft
  bench->planted_.resize(bench->slots_.size());
  for (std::size_t i = 0; i < bench->slots_.size(); ++i) {
    const DrafterSpec& spec = bench->drafters_[i];
    std::shared_ptr<Drafter> drafter;
    if (spec.kind >= Kind::kModel && !draft_model.empty()) {
      std::shared_ptr<Drafter>& model =
          models[static_cast<std::size_t>(spec.kind) - static_cast<std::size_t>(Kind::kModel)];
      if (!model) {
        RIDGELINE_TRY(model, bench->load_model(draft_model, path, options, spec.kind));
      }
      drafter = bench->draft_model_ = model;
    }
    if (spec.kind == Kind::kPlanted)
      drafter = bench->planted_[i] = std::make_shared<PlantedAgreement>(spec.agreement, drafter);
    if (spec.kind >= Kind::kModel && !drafter)
      return fail("a draft model is wanted, but none is named");
    bench->slots_[i]->set_drafter(std::move(drafter));
    bench->slots_[i]->keep_apart(spec.kind >= Kind::kModel);
  }
  bench->begin_round();
  return bench;
}

Result<std::shared_ptr<Drafter>> SpeculationBench::load_model(const std::string& path,
                                                              const std::string& target,
                                                              const EngineOptions& options,
                                                              Kind kind) {
  DraftModel::Options draft;
  draft.target_path = target;
  draft.batch_tokens = std::min(engine_->batch_tokens(), kDraftBatchTokens);
  draft.context = engine_->context();
  draft.kv_type = options.kv_type;
  draft.packed_cache = options.packed_cache;
  if (kind == Kind::kRejectionModel) draft.rule = AcceptanceRule::kRejection;
  // Its tokens are replaced, so it must not end a draft because it is not sure of them.
  if (kind == Kind::kPlanted) draft.least_probability = 0;
  RIDGELINE_TRY(std::unique_ptr<DraftModel> model,
                DraftModel::load(path, engine_->backend(), engine_->tokenizer(),
                                 engine_->config().vocab_size, draft));
  return std::shared_ptr<Drafter>(std::move(model));
}

double SpeculationBench::draft_seconds_per_token() const {
  return draft_model_ ? draft_model_->seconds_per_token(1) : 0;
}

void SpeculationBench::begin_round() {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (drafters_[i].kind == Kind::kLookup)
      slots_[i]->set_drafter(std::make_shared<PromptLookup>());
    else if (drafters_[i].kind == Kind::kRecent)
      slots_[i]->set_drafter(std::make_shared<RecentOutputs>(kRecentBytes));
  }
}

void SpeculationBench::switch_to(const SpeculationText& text, const SpeculationVariant& variant) {
  for (const auto& slot : slots_) slot->switch_on(false);
  for (const std::size_t i : variant.slots) {
    RIDGELINE_CHECK(i < slots_.size());
    slots_[i]->switch_on(true);
    if (planted_[i]) planted_[i]->set_text(text.script);
  }
  engine_->speculation()->set_fixed_length(variant.fixed_length);
  engine_->speculation()->set_rule(variant.rule);
}

Result<SpeculationRun> SpeculationBench::run_once(const SpeculationText& text,
                                                  const SpeculationVariant* variant,
                                                  const SamplingParams& params) {
  if (variant != nullptr) switch_to(text, *variant);
  Request request;
  request.prompt = text.prompt;
  request.params = params;
  request.params.max_tokens = text.max_tokens;
  request.script = text.script;
  if (!text.script.empty()) request.params.ignore_eos = true;
  request.speculate = variant != nullptr;

  const SpeculationStats before = engine_->stats().speculation;
  RIDGELINE_TRY_STATUS(engine_->submit(std::move(request)));
  SpeculationRun run;
  while (!engine_->idle())
    for (const TokenEvent& event : engine_->step()) {
      if (event.finished == FinishReason::kError) return fail(event.error);
      if (event.token) run.tokens.push_back(*event.token);
      if (!event.summary) continue;
      run.counts = event.summary->speculation;
      run.seconds =
          std::chrono::duration<double>(event.summary->finished - event.summary->first_token)
              .count();
    }
  const SpeculationStats after = engine_->stats().speculation;
  for (std::size_t i = 0; i < run.drafted_at.size(); ++i) {
    run.drafted_at[i] = after.drafted_at[i] - before.drafted_at[i];
    run.accepted_at[i] = after.accepted_at[i] - before.accepted_at[i];
  }
  for (std::size_t i = 0; i < after.drafters.size(); ++i)
    run.draft_seconds += after.drafters[i].seconds - before.drafters[i].seconds;
  return run;
}

Result<std::vector<SpeculationLine>> SpeculationBench::run(
    const std::vector<SpeculationText>& texts, const std::vector<SpeculationVariant>& variants,
    const SpeculationBenchOptions& options) {
  RIDGELINE_CHECK(!variants.empty());
  Lines lines(texts, variants.size());
  if (!texts.empty()) {  // pages of weights and workspace
    SpeculationText warm_up = texts.front();
    warm_up.max_tokens = std::min(warm_up.max_tokens, 4);
    RIDGELINE_TRY_STATUS(run_once(warm_up, nullptr, options.params));
  }
  for (int round = 0; round < options.rounds; ++round) {
    begin_round();
    for (std::size_t t = 0; t < texts.size(); ++t) {
      const SpeculationText& text = texts[t];
      if (options.on_progress)
        options.on_progress(
            static_cast<double>(static_cast<std::size_t>(round) * texts.size() + t) /
            static_cast<double>(static_cast<std::size_t>(options.rounds) * texts.size()));
      for (std::size_t begin = 0; begin < variants.size(); begin += kVariantsPerPlain) {
        const std::size_t end = std::min(begin + kVariantsPerPlain, variants.size());
        // Who is first changes from text to text and from round to round.
        const bool plain_first = (static_cast<std::size_t>(round) + t) % 2 == 0;
        SpeculationRun plain;
        if (plain_first) {
          RIDGELINE_TRY(plain, run_once(text, nullptr, options.params));
        }
        std::vector<SpeculationRun> runs;
        for (std::size_t v = begin; v < end; ++v) {
          RIDGELINE_TRY(SpeculationRun run, run_once(text, &variants[v], options.params));
          runs.push_back(std::move(run));
        }
        if (!plain_first) {
          RIDGELINE_TRY(plain, run_once(text, nullptr, options.params));
        }
        for (std::size_t v = begin; v < end; ++v)
          lines.add_run(text, v, runs[v - begin], plain, round == 0);
      }
    }
    lines.end_round();
  }
  return lines.take();
}

}  // namespace ridgeline
