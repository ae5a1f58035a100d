#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "ridgeline/engine/sequence.h"
#include "ridgeline/kv/block_pool.h"

namespace ridgeline {

/// A run of one sequence's tokens that a step computes.
struct ScheduledTokens {
  Sequence* sequence = nullptr;
  std::int64_t count = 0;
  /// The run ends at the sequence's last token: the step samples the next one.
  bool wants_logits = false;
};

/// What one step computes. Plain data.
using ScheduledStep = std::vector<ScheduledTokens>;

/// Decides which tokens the next forward pass computes: one for every sequence that is
/// generating, then chunks of prompts, first come first served, up to a budget of rows.
/// A sequence is admitted when blocks for all it may ever need are free, so that one
/// that runs always finishes.
class Scheduler {
 public:
  /// batch_tokens: rows of a step at most. max_sequences: running at once.
  Scheduler(BlockPool& pool, std::int64_t batch_tokens, int max_sequences);

  void add(std::unique_ptr<Sequence> sequence);
  ScheduledStep schedule();
  /// Removes sequences that have `finished` set and gives their blocks back.
  void remove_finished();

  Sequence* find(SequenceId id);
  bool idle() const { return waiting_.empty() && running_.empty(); }
  std::size_t num_running() const { return running_.size(); }
  std::size_t num_waiting() const { return waiting_.size(); }

 private:
  void admit();

  BlockPool& pool_;
  std::int64_t batch_tokens_;
  std::size_t max_sequences_;
  std::deque<std::unique_ptr<Sequence>> waiting_;
  std::vector<std::unique_ptr<Sequence>> running_;  ///< in order of admission
};

}  // namespace ridgeline
