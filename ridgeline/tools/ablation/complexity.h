#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/engine/engine.h"
#include "ridgeline/tools/ablation/growth_fit.h"

// `ridgeline bench complexity`: how time and memory grow with the context, measured.

namespace ridgeline {

struct ComplexityOptions {
  EngineOptions engine{};
  std::int64_t longest = 2048;            ///< context of the decoded tokens at most
  std::int64_t longest_attention = 8192;  ///< positions of one head's attention at most
  double seconds_per_part = 20;           ///< for each of: with a cache, without one, attention
  std::function<void(const std::string&)> progress{};  ///< may be empty
};

struct ComplexityReport {
  std::string model, cpu, isa;
  int threads = 0;

  /// A token after `length` others: the next step of a cache, or a pass over all.
  std::vector<GrowthPoint> cached, recomputed;
  GrowthFit cached_fit, recomputed_fit;
  /// Of seconds ~ length^b between the longest and the one of a quarter of it, where both are
  /// there.
  std::optional<double> cached_exponent, recomputed_exponent;

  /// One head, head_dim 64, one thread, a whole prompt.
  struct Attention {
    std::int64_t positions = 0;
    std::optional<double> matrix_bytes, matrix_seconds, tile_bytes, tile_seconds;
  };
  std::vector<Attention> attention;

  /// K and V of one token.
  struct KvBytes {
    DType dtype{};
    double formula = 0;  ///< (K and V) x layers x kv_heads x head_dim x bytes of an element
    double pool = 0;     ///< a block's bytes / its tokens
  };
  std::vector<KvBytes> kv;
  DType kv_type{};                  ///< of the engine that was loaded
  std::uint64_t kv_pool_bytes = 0;  ///< that it allocated
  std::int64_t kv_pool_tokens = 0;  ///< that they have room for, in layers that see all
  std::int64_t held_tokens = 0;     ///< of a sequence
  std::uint64_t held_bytes = 0;     ///< of its blocks
  std::vector<std::string> notes;
};

/// Errors: those of loading; a context beyond the model's memory.
Result<ComplexityReport> measure_complexity(const std::string& path,
                                            const ComplexityOptions& options);

nlohmann::ordered_json to_json(const ComplexityReport& report);

}  // namespace ridgeline
