#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "ridgeline/engine/cost_curve.h"
#include "ridgeline/engine/sequence.h"
#include "ridgeline/engine/waiting_queue.h"
#include "ridgeline/kv/sequence_blocks.h"

namespace ridgeline {

/// A run of one sequence's tokens that a step computes, and behind them of drafted ones.
struct ScheduledTokens {
  Sequence* sequence = nullptr;
  std::int64_t count = 0;
  std::int64_t drafted = 0;  ///< the first of sequence->draft
  /// The run ends at the sequence's last token: the step samples the next one.
  bool reaches_end = false;

  std::int64_t rows() const { return count + drafted; }
};

/// What one step computes. Plain data.
struct ScheduledStep {
  std::vector<BlockCopy> copies;  ///< to be made first
  std::vector<ScheduledTokens> runs;
  StepLoad load;
  std::int64_t decode_rows = 0;  ///< of sequences that are generating
  std::int64_t draft_rows = 0;   ///< of drafts that are checked behind those

  bool empty() const { return runs.empty(); }
};

/// Decides which tokens the next forward pass computes: one for every sequence that is
/// generating, then chunks of prompts, in the order of priority and arrival, as far as the
/// budget goes.
///
/// Blocks of the KV cache are taken as they are needed. When there are none left, the sequence
/// of the lowest priority that came last loses its own and waits to be computed again, which
/// changes nothing in its text. The first in that order always goes on, so that all come to
/// an end. Drafts have blocks as long as nobody else wants them.
///
/// Blocks that are full are published under their keys, and a sequence that starts takes over
/// the longest beginning of its tokens that is known by such keys (prefix cache).
class Scheduler {
 public:
  struct Options {
    std::int64_t batch_tokens = 512;  ///< rows of a step at most
    int max_sequences = 1;            ///< running at once
    bool prefix_cache = false;
  };
  struct Counters {
    std::uint64_t prefix_query_tokens = 0, prefix_hit_tokens = 0;
    std::uint64_t preemptions = 0, recomputed_tokens = 0;
  };

  Scheduler(KvPools& pools, const Options& options);

  void add(std::unique_ptr<Sequence> sequence);
  /// Another choice of a sequence that runs, whose place was kept free.
  void add_choice(std::unique_ptr<Sequence> sequence);
  /// An empty step only when there is nothing to do.
  ScheduledStep schedule(const StepBudget& budget);
  /// The step was computed: all that was known before it is in the cache.
  void commit(const ScheduledStep& step);
  /// What the step sampled was appended: drafted rows that it agrees with are in the cache too,
  /// and blocks behind them go back.
  void settle(const ScheduledStep& step);
  /// Removes sequences that have `finished` set and gives their blocks back; each is seen first.
  void remove_finished(const std::function<void(Sequence&)>& visit = {});

  /// All that run, in order.
  std::span<const std::unique_ptr<Sequence>> running() const { return running_; }
  /// Some prompt is not computed to its end, or waits.
  bool prompts_pending() const;
  /// All sequences of the request.
  void for_each(RequestId id, const std::function<void(Sequence&)>& visit);
  bool idle() const { return waiting_.empty() && running_.empty(); }
  std::size_t num_running() const { return running_.size(); }
  const WaitingQueue& waiting() const { return waiting_; }
  const Counters& counters() const { return counters_; }
  /// Of the slots of the KV cache in use, those that hold nothing.
  double waste() const;

 private:
  /// Sequences that run or will, with the choices to come.
  std::size_t places_taken() const;
  bool admit(ScheduledStep& step);
  bool has_room(Sequence& next, ScheduledStep& step);
  void preempt_last(ScheduledStep& step);
  bool take(Sequence& sequence, std::int64_t count, ScheduledStep& step);
  bool drop_drafts(ScheduledStep& step);
  void publish(Sequence& sequence, std::int64_t begin, std::int64_t end);
  void schedule_decodes(ScheduledStep& step);
  void schedule_drafts(ScheduledStep& step);
  void schedule_prompts(ScheduledStep& step, const StepBudget& budget);
  void extend_prompts(ScheduledStep& step, std::int64_t rows);

  KvPools& pools_;
  Options options_;
  WaitingQueue waiting_;
  std::vector<std::unique_ptr<Sequence>> running_;  ///< in order: the last is preempted first
  Counters counters_;
};

}  // namespace ridgeline
