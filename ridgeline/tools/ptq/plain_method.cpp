#include "ridgeline/tools/ptq/plain_method.h"

#include "ridgeline/quant/block_format.h"

namespace ridgeline::ptq {

Status PlainMethod::quantize(const PlannedTensor& tensor, const Append& append,
                             TensorQuality& quality) {
  const std::int64_t cols = tensor.source->cols();
  return rows_.convert(
      tensor,
      [&](std::int64_t, std::int64_t count, const float* rows, std::byte* out) {
        encode(tensor.type, rows, count * cols, out);
      },
      append, quality);
}

}  // namespace ridgeline::ptq
