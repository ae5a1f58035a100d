#pragma once

#include <cstdint>

#include "ridgeline/engine/request.h"

namespace ridgeline {

/// One forward pass and what stood around it.
struct StepReport {
  std::int64_t prefill_rows = 0;  ///< prompt tokens computed
  std::int64_t decode_rows = 0;   ///< rows of sequences that are generating
  std::int64_t draft_rows = 0;    ///< drafted tokens that were checked behind those
  std::int64_t sampled_tokens = 0;
  double schedule_seconds = 0, forward_seconds = 0, sample_seconds = 0;
  double draft_seconds = 0;
  SpeculationCounts speculation;  ///< of this step
  double predicted_seconds = 0;   ///< of the forward pass, by the cost curve; 0: it had no say yet
};

/// Where an engine stands. Counters only grow.
struct EngineStats {
  // Now.
  int running = 0;  ///< sequences; a request with n choices counts n
  int waiting = 0;
  int max_running = 0;
  std::int64_t waiting_tokens = 0;           ///< of prompts
  double oldest_waiting_seconds = 0;         ///< age of what has waited longest without having run
  double oldest_normal_waiting_seconds = 0;  ///< the same of those with a priority of 0 or less
  std::int64_t kv_blocks = 0;                ///< all groups together
  std::int64_t kv_blocks_in_use = 0;         ///< by running sequences
  std::int64_t kv_blocks_cached = 0;         ///< by nobody, but a prefix may still be found there
  double kv_waste = 0;                       ///< of the slots in use, the share that holds no token
  std::uint64_t kv_bytes = 0, weight_bytes = 0, workspace_bytes = 0;
  std::uint64_t draft_bytes = 0;  ///< MemoryUse::draft_bytes; grows with what is looked into
  double prefill_share = 0;

  // Counters.
  std::uint64_t steps = 0;
  std::uint64_t prompt_tokens = 0;  ///< computed, recomputed ones too
  std::uint64_t generation_tokens = 0;
  std::uint64_t prefix_query_tokens = 0;  ///< that were looked for in the prefix cache
  std::uint64_t prefix_hit_tokens = 0;    ///< that were found there
  std::uint64_t preemptions = 0;
  std::uint64_t recomputed_tokens = 0;  ///< because of them
  double schedule_seconds = 0, forward_seconds = 0, sample_seconds = 0, draft_seconds = 0;

  SpeculationStats speculation;
};

}  // namespace ridgeline
