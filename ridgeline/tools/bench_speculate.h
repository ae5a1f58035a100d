#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/engine.h"
#include "ridgeline/tools/bench_drafters.h"

namespace ridgeline {

/// One of an engine's drafters.
struct DrafterSpec {
  enum class Kind { kLookup, kRecent, kModel, kRejectionModel, kPlanted };
  Kind kind = Kind::kLookup;
  double agreement = 0;  ///< of kPlanted
};

/// A text to make, alone.
struct SpeculationText {
  std::string category;
  std::vector<TokenId> prompt;
  std::vector<TokenId>
      script;  ///< what it says, whatever the model would; empty: the model decides
  int max_tokens = 128;
};

/// A way to make it, held against one token at a time.
struct SpeculationVariant {
  std::string name;
  std::vector<std::size_t> slots;     ///< of the drafters that are on
  std::optional<int> fixed_length{};  ///< absent: the control decides
  AcceptanceRule rule = AcceptanceRule::kExact;
};

/// One text, made one way.
struct SpeculationRun {
  std::vector<TokenId> tokens;
  double seconds = 0;  ///< from the first token to the last
  SpeculationCounts counts;
  std::array<std::uint64_t, kMaxDraft> drafted_at{}, accepted_at{};
  double draft_seconds = 0;

  /// Those that `seconds` was for.
  double timed_tokens() const {
    return tokens.empty() ? 0 : static_cast<double>(tokens.size()) - 1;
  }
};

/// A category's texts, made one way, over all rounds.
struct SpeculationLine {
  std::string category;
  std::size_t variant = 0;
  int texts = 0;
  int different = 0;    ///< of these texts, those that are not what plain decoding says
  bool forced = false;  ///< by scripts
  std::vector<double> plain_rates{}, rates{};  ///< tokens per second, one per round
  std::vector<double> speedups{};              ///< likewise, against the plain runs right beside
  SpeculationCounts counts{};
  std::array<std::uint64_t, kMaxDraft> drafted_at{}, accepted_at{};
  double seconds = 0, draft_seconds = 0;

  /// Of the drafts' tokens that were checked at place `i`, the share that was right.
  std::optional<double> acceptance_at(std::size_t i) const;
};

struct SpeculationBenchOptions {
  int rounds = 3;
  /// max_tokens and ignore_eos of texts with scripts are the texts' own.
  SamplingParams params{};
  std::function<void(double done)> on_progress{};  ///< 0 to 1; may be empty
};

/// An engine with a place for every drafter that is to be compared.
class SpeculationBench {
 public:
  /// What of `options.speculation` names drafters is set here; its draft_model is loaded where
  /// `drafters` need one.
  /// Errors: Engine::load()'s and DraftModel::load()'s.
  static Result<std::unique_ptr<SpeculationBench>> load(const std::string& path,
                                                        EngineOptions options,
                                                        std::vector<DrafterSpec> drafters);

  Engine& engine() { return *engine_; }
  /// Seconds per token of the draft model, by its own measurement; 0: there is none.
  double draft_seconds_per_token() const;

  /// All texts in all ways, in turns; lines by category, in the order in which they first
  /// come, and with several of them for all together ("all"). `variants` are at least one.
  /// Errors: a request that the engine refuses or that fails.
  Result<std::vector<SpeculationLine>> run(const std::vector<SpeculationText>& texts,
                                           const std::vector<SpeculationVariant>& variants,
                                           const SpeculationBenchOptions& options);
  /// `variant` null: one token at a time.
  Result<SpeculationRun> run_once(const SpeculationText& text, const SpeculationVariant* variant,
                                  const SamplingParams& params);

 private:
  SpeculationBench() = default;
  Result<std::shared_ptr<Drafter>> load_model(const std::string& path, const std::string& target,
                                              const EngineOptions& options, DrafterSpec::Kind kind);
  /// Drafters forget what they have seen.
  void begin_round();
  void switch_to(const SpeculationText& text, const SpeculationVariant& variant);

  std::unique_ptr<Engine> engine_;
  std::vector<DrafterSpec> drafters_;
  std::vector<std::shared_ptr<DrafterSlot>> slots_;
  std::vector<std::shared_ptr<PlantedAgreement>> planted_;  ///< by slot; null: another one
  std::shared_ptr<Drafter> draft_model_;                    ///< any of them
};

}  // namespace ridgeline
