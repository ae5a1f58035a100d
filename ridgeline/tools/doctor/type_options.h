#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/engine.h"
#include "ridgeline/format/checkpoint.h"
#include "ridgeline/tools/doctor/memory_fit.h"
#include "ridgeline/tools/predict_speed.h"

namespace ridgeline::doctor {

/// A model in one quantization.
struct TypeOption {
  std::string name;  ///< as `ridgeline quantize --type` takes it; of the file itself: its own
  bool is_current = false;   ///< what the file is
  std::vector<DType> types;  ///< [tensors of the file]
  double bits_per_weight = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t weight_bytes = 0;  ///< in memory, as packed
  ModelWork work;
  std::string on_load;  ///< the type for --quantize, where that gives the same; may be empty

  // Filled in by describe_speeds().
  bool fits = false;
  double decode_tokens_per_second = 0;   ///< at a depth of kDecodeDepth
  double prefill_tokens_per_second = 0;  ///< of kPromptTokens
};
inline constexpr std::int64_t kDecodeDepth = 512, kPromptTokens = 512;

/// The file as it is, then what `ridgeline quantize` would make of it: Q8_0, Q6_K, Q5_K_M, Q4_K_M,
/// Q4_0, Q3_K_M, Q2_K. Nothing is measured. Errors: no kernel for a type of the file; what cannot
/// be quantized any further is left out.
Result<std::vector<TypeOption>> type_options(const Checkpoint& file, const ModelConfig& config,
                                             const EngineOptions& options, const Backend& backend,
                                             double kv_bytes_per_position,
                                             std::uint64_t file_bytes);
/// The types of all of them, for measure_rates().
std::vector<MatrixType> types_in(const std::vector<TypeOption>& options);

/// Whether each fits, with a context of kDecodeDepth and more, and its speeds.
void describe_speeds(std::vector<TypeOption>& list, const MemoryFit& fit, const SpeedRates& rates,
                     std::int64_t batch_tokens);

/// "Q4_0", or for a mixture the type of most bytes and the next: "Q4_K + Q6_K".
std::string types_text(std::span<const TensorView> tensors);

}  // namespace ridgeline::doctor
