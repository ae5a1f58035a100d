#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ridgeline/engine/engine.h"
#include "ridgeline/tools/ablation/generation.h"

namespace ridgeline {

/// Everything that makes one row of the ablation table.
struct AblationConfig {
  enum class Role {
    kLadder,       ///< adds one thing to the ladder's row before it
    kHonestStart,  ///< where a practitioner would begin: 16 bits, KV cache, SIMD
    kComparison,   ///< beside the ladder's next row, which does the same better
  };
  enum class Operations {
    kScalar,       ///< ScalarBackend
    kScoreMatrix,  ///< ScoreMatrixBackend
    kTiles,        ///< the CPU backend as it is
  };

  std::string id;        ///< "baseline", "kv-cache", ...
  std::string title;     ///< "+ KV cache"
  std::string switched;  ///< how it is done here, and by which flag elsewhere
  Role role = Role::kLadder;
  Operations operations = Operations::kTiles;
  std::string isa;  ///< not of kScalar
  std::optional<DType> quantize{};
  bool cache = true;
  KvPolicy kv = KvPolicy::kPreallocated;
  ServingPolicy policy = ServingPolicy::kOneAtATime;
  /// Drafts that are looked up in the text itself. What other outputs said would be unfair here,
  /// where the same text is generated more than once.
  bool looks_up_drafts = false;

  /// Several sequences at once.
  bool is_batched() const {
    return policy == ServingPolicy::kStaticBatches || policy == ServingPolicy::kContinuous;
  }
  /// What an engine of this row is loaded with, beyond `common`.
  EngineOptions engine_options(const EngineOptions& common) const;
};

/// The rows, in the order of the table: each of the ladder's is the one before it and one thing
/// more. What this CPU cannot do is not among them. `file_type` is that of the weights; F32 becomes
/// F16.
std::vector<AblationConfig> ablation_ladder(DType file_type, const std::string& best_isa);

}  // namespace ridgeline
