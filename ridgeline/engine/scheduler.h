#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "ridgeline/engine/sequence.h"
#include "ridgeline/kv/sequence_blocks.h"

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
/// A sequence is admitted when blocks for all it may ever need at a time are free, so that
/// one that runs always finishes. The blocks of sequences that ended and were kept count as
/// free: the oldest are given up first.
class Scheduler {
 public:
  /// batch_tokens: rows of a step at most. max_sequences: running at once.
  Scheduler(KvPools& pools, std::int64_t batch_tokens, int max_sequences);

  void add(std::unique_ptr<Sequence> sequence);
  ScheduledStep schedule();
  /// Removes sequences that have `finished` set and gives their blocks back, or keeps them.
  void remove_finished();
  /// Forgets a sequence that was kept; unknown ids are ignored.
  void release(SequenceId id);

  Sequence* find(SequenceId id);
  bool idle() const { return waiting_.empty() && running_.empty(); }
  std::size_t num_running() const { return running_.size(); }
  std::size_t num_waiting() const { return waiting_.size(); }
  std::size_t num_kept() const { return kept_.size(); }

 private:
  /// The KV cache of a sequence that ended.
  struct Kept {
    SequenceId id;
    std::vector<TokenId> tokens;  ///< those in the cache
    SequenceBlocks blocks;
  };

  void admit();
  /// Moves what the sequence can use of the kept one it continues.
  void take_over(Sequence& sequence);
  void keep(Sequence& sequence);
  /// Gives up kept sequences until there is room for all that `sequence` may need.
  bool make_room(Sequence& sequence);

  KvPools& pools_;
  std::int64_t batch_tokens_;
  std::size_t max_sequences_;
  std::deque<std::unique_ptr<Sequence>> waiting_;
  std::vector<std::unique_ptr<Sequence>> running_;  ///< in order of admission
  std::deque<Kept> kept_;                           ///< oldest first
};

}  // namespace ridgeline
