#include "ridgeline/tensor/tensor_view.h"

namespace ridgeline {

std::span<const std::byte> TensorView::read_rows(std::int64_t first, std::int64_t count,
                                                 std::vector<std::byte>& scratch) const {
  const std::size_t stride = row_bytes(dtype, cols());
  const std::size_t size = static_cast<std::size_t>(count) * stride;
  if (!convert) return {data + static_cast<std::size_t>(first) * stride, size};
  scratch.resize(size);
  convert(first, count, scratch.data());
  return scratch;
}

}  // namespace ridgeline
