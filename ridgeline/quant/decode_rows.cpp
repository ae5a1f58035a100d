#include "ridgeline/quant/decode_rows.h"

#include "ridgeline/quant/block_format.h"

namespace ridgeline {

void decode_rows(const TensorView& tensor, std::int64_t first, std::int64_t count,
                 std::vector<std::byte>& scratch, float* out) {
  const std::byte* rows = tensor.read_rows(first, count, scratch).data();
  const std::int64_t cols = tensor.cols();
  if (!tensor.input_order) {
    decode(tensor.dtype, rows, count * cols, out);
    return;
  }
  const std::size_t stride = row_bytes(tensor.dtype, cols);
  std::vector<float> row(static_cast<std::size_t>(cols));
  for (std::int64_t i = 0; i < count; ++i, rows += stride, out += cols) {
    decode(tensor.dtype, rows, cols, row.data());
    for (std::size_t c = 0; c < row.size(); ++c) out[(*tensor.input_order)[c]] = row[c];
  }
}

}  // namespace ridgeline
