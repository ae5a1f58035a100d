#include "ridgeline/tools/doctor/memory_fit.h"

#include <algorithm>

#include "ridgeline/base/check.h"
#include "ridgeline/model/pack_plan.h"

namespace ridgeline::doctor {

Result<std::uint64_t> packed_weight_bytes(const Backend& backend,
                                          std::span<const TensorView> tensors,
                                          std::span<const DType> types) {
  RIDGELINE_CHECK(types.empty() || types.size() == tensors.size());
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    TensorView tensor = tensors[i];
    if (!types.empty()) tensor.dtype = types[i];
    const std::int64_t matrices = matrices_in(tensor);
    if (matrices == 0) {
      sum += static_cast<std::uint64_t>(tensor.elements()) * sizeof(float);
      continue;
    }
    RIDGELINE_TRY(
        const std::size_t bytes,
        backend.packed_bytes(matrix_type(tensor), tensor.rows() / matrices, tensor.cols()));
    sum += static_cast<std::uint64_t>(matrices) * bytes;
  }
  return sum;
}

std::uint64_t workspace_bytes(const ModelConfig& c, std::int64_t batch_tokens, int threads,
                              int max_sequences) {
  // Decoder::allocate_workspace() and CpuBackend::reserve(), without what is small.
  const std::int64_t ffn = std::max<std::int64_t>(
      c.dense_ffn_size(), c.experts.count > 0 ? c.experts.ffn_size * c.experts.routing.chosen : 0);
  const std::int64_t widest =
      std::max({std::int64_t{c.hidden_size}, std::int64_t{c.attention_size()}, ffn});
  const std::int64_t floats_per_row = 2 * std::int64_t{c.hidden_size} + c.q_size() + c.kv_size() +
                                      c.value_size() + c.attention_size() + ffn + c.rope.dims +
                                      c.local_rope.dims;
  constexpr double kPackedBytes = 1.2;  // of an activation in 8 bits, with scales and corrections
  constexpr std::int64_t kLogitRows = 16, kScratchBytes = 192 << 10;
  // The model's and the engine's.
  const double logits = 2.0 * sizeof(float) *
                        static_cast<double>(std::max<std::int64_t>(kLogitRows, max_sequences)) *
                        c.vocab_size;
  const double rows =
      static_cast<double>(batch_tokens) * (static_cast<double>(floats_per_row) * sizeof(float) +
                                           kPackedBytes * static_cast<double>(widest));
  return static_cast<std::uint64_t>(logits + rows + static_cast<double>(threads * kScratchBytes));
}

std::uint64_t MemoryFit::left_for_kv() const {
  return available_bytes - std::min(available_bytes, fixed_bytes());
}

std::int64_t MemoryFit::longest_context() const {
  return std::min(trained_context, kv.tokens_in(left_for_kv()));
}

int MemoryFit::streams(std::int64_t context) const {
  constexpr std::uint64_t kMost = 4096;  // of --max-num-seqs
  const std::uint64_t each = kv.bytes(context);
  return static_cast<int>(std::min(kMost, each > 0 ? left_for_kv() / each : kMost));
}

bool MemoryFit::fits() const {
  return longest_context() >= std::min(kLeastContext, trained_context);
}

std::uint64_t MemoryFit::bytes(std::int64_t context, int count) const {
  return fixed_bytes() + kv.bytes(context) * static_cast<std::uint64_t>(count);
}

}  // namespace ridgeline::doctor
