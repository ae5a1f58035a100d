#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ridgeline/engine/cost_curve.h"
#include "ridgeline/engine/scheduler.h"
#include "ridgeline/engine/speculation/draft_control.h"
#include "ridgeline/engine/speculation/drafter.h"
#include "ridgeline/engine/speculation/speculation_options.h"
#include "ridgeline/engine/speculation/speculation_stats.h"

namespace ridgeline {

/// The drafters of an engine and what they have been worth. Around each step:
///
///     plan()    drafters guess what the sequences say next; the control chooses how much of
///               that the step checks, and Sequence::draft has it
///     ...       schedule, forward, sample
///     learn()   every guess, checked or not, is held against what the sequences said
///
/// Guesses that nobody checked cost nothing to compare, so drafters that only look things up are
/// measured all the time, at work or not.
class Speculation {
 public:
  Speculation(const SpeculationOptions& options, const Tokenizer& tokenizer,
              std::vector<std::shared_ptr<Drafter>> drafters);
  ~Speculation();

  /// What stands around the drafts of a step.
  struct Step {
    const CostCurve* cost = nullptr;
    StepLoad prompts;       ///< rows of prompts that will probably be computed beside them
    std::int64_t rows = 0;  ///< that drafts may take at most
  };
  void plan(std::span<const std::unique_ptr<Sequence>> running, const Step& step);
  /// After Scheduler::settle. `forward_seconds`: of the step's forward pass; `other_seconds`:
  /// what else the step took, but for the drafts.
  void learn(const ScheduledStep& step, const CostCurve& cost, double forward_seconds,
             double other_seconds);
  /// The sequence will not say more.
  void finish(Sequence& sequence);

  const SpeculationOptions& options() const { return options_; }
  /// Without it nothing is drafted.
  void set_allowed(bool allowed) { allowed_ = allowed; }
  // For measurements, between steps.
  void set_fixed_length(std::optional<int> length) { options_.fixed_length = length; }
  void set_rule(AcceptanceRule rule) { options_.rule = rule; }
  SpeculationStats stats() const;
  /// The same without its parts.
  const SpeculationCounts& counts() const { return stats_.all; }
  /// Of the last plan().
  double draft_seconds() const { return draft_seconds_; }
  std::uint64_t bytes() const;

 private:
  double backlog_seconds(const Drafter& drafter, const Sequence& sequence) const;
  std::vector<int> lengths_to_ask(std::size_t drafter, const Step& step);
  void run_drafter(std::size_t drafter, const Step& step);
  void trim(Draft& draft, const Sequence& sequence) const;
  std::vector<DraftChoice> fixed_choices(std::int64_t rows) const;
  void take_whole_draws(std::span<DraftChoice> choices) const;
  void choose(const Step& step);
  void compare(Sequence& sequence);
  void count(const ScheduledTokens& run);

  SpeculationOptions options_;
  const Tokenizer& tokenizer_;
  std::vector<std::shared_ptr<Drafter>> drafters_;
  DraftControl control_;
  bool allowed_ = true;
  std::vector<Sequence*> decoding_;         ///< those of the last plan() that may be given drafts
  std::vector<DraftCandidate> candidates_;  ///< of the same
  StepLoad beside_;                         ///< prompts, and decodes that are none of those
  double draft_seconds_ = 0;
  SpeculationStats stats_;
};

}  // namespace ridgeline
