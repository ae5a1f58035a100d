#pragma once

#include <cstdint>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/model/metadata_reader.h"
#include "ridgeline/ops/backend.h"

namespace ridgeline {

/// How positions turn into rotation angles (RoFormer, Su et al. 2021), and how that is
/// stretched for contexts longer than the first training's.
struct RopeConfig {
  /// Frequencies below one turn in `original_context` are interpolated, those of many turns
  /// are left, with a ramp between (YaRN, Peng et al. 2023, section 3.2).
  struct Yarn {
    float beta_fast = 32.0F;      ///< turns above which nothing is interpolated
    float beta_slow = 1.0F;       ///< turns below which all is
    bool truncate = true;         ///< the ramp's ends are rounded outwards to whole dimensions
    float log_multiplier = 0.0F;  ///< as the file has it (rope.scaling.yarn_log_multiplier)
  };

  RopeStyle style = RopeStyle::kInterleaved;
  int dims = 0;  ///< of each head that rotate; 0: the architecture has no rotation
  float base = 10000.0F;
  float factor = 1.0F;  ///< positions are divided by it: all of them (linear scaling), or YaRN's
  bool is_yarn = false;
  Yarn yarn{};
  std::int64_t original_context = 0;  ///< of the first training
  /// [dims/2] or empty: frequencies are divided by them (Llama 3).
  std::vector<float> frequency_factors{};
  /// [dims/2] or empty: likewise, in contexts longer than `original_context`, and in others
  /// (LongRoPE, Ding et al. 2024). A context has one of the two from its first token on.
  std::vector<float> long_factors{}, short_factors{};
  float magnitude = 1.0F;  ///< of cosine and sine: sharpens attention in stretched contexts

  /// [dims/2]: the angle per position of each rotated pair, where sequences may have up to
  /// `context` positions.
  std::vector<float> inverse_frequencies(std::int64_t context) const;
};

/// Reads rope.*, and the tensors rope_freqs, rope_factors_long and rope_factors_short.
/// Errors: a kind of scaling that is not known here, values out of range.
Result<RopeConfig> read_rope(const MetadataReader& reader, RopeStyle style, int head_dim,
                             std::int64_t context_length);

}  // namespace ridgeline
