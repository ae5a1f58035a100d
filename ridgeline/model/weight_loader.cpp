#include "ridgeline/model/weight_loader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "ridgeline/quant/block_format.h"
#include "ridgeline/tensor/buffer.h"

namespace ridgeline {
namespace {

/// Tensors that files carry and no forward pass reads.
bool is_ignorable(std::string_view name) {
  return name == "rope_freqs.weight" || name == "rope_factors_long.weight" ||
         name == "rope_factors_short.weight" || name.ends_with(".attn_rot_embd") ||
         name.ends_with(".rotary_emb.inv_freq");
}

}  // namespace

Result<const TensorView*> WeightLoader::find(const std::string& name, std::int64_t rows,
                                             std::int64_t cols) {
  const TensorView* tensor = file_.tensor(name);
  if (tensor == nullptr) return fail(fmt::format("{}: tensor '{}' is missing", file_.path(), name));
  const bool vector = rows == 1;
  if (tensor->cols() != cols || tensor->rows() != rows || tensor->shape.size() > (vector ? 4U : 2U))
    return fail(fmt::format("{}: tensor '{}' has shape [{}], expected [{}{}]", file_.path(), name,
                            fmt::join(tensor->shape, ", "), vector ? "" : fmt::format("{}, ", rows),
                            cols));
  used_.insert(name);
  return tensor;
}

Result<int> WeightLoader::rows(const std::string& name) const {
  const TensorView* tensor = file_.tensor(name);
  if (tensor == nullptr) return fail(fmt::format("{}: tensor '{}' is missing", file_.path(), name));
  constexpr std::int64_t kMost = 1 << 24;
  if (tensor->rows() < 1 || tensor->rows() > kMost)
    return fail(fmt::format("{}: tensor '{}' has {} rows, expected 1 to {}", file_.path(), name,
                            tensor->rows(), kMost));
  return static_cast<int>(tensor->rows());
}

Result<std::unique_ptr<PackedWeight>> WeightLoader::matrix(const std::string& name,
                                                           std::int64_t rows, std::int64_t cols) {
  RIDGELINE_TRY(const TensorView* tensor, find(name, rows, cols));
  std::optional<PackedBytes> packed = packed_.find(name);
  if (!packed)
    return fail(fmt::format("{}: tensor '{}' has {} dimensions, expected 2", file_.path(), name,
                            tensor->shape.size()));
  bytes_ += packed->bytes.size();
  return backend_.adopt_weight(tensor->dtype, rows, cols, *std::move(packed));
}

Result<std::unique_ptr<PackedWeight>> WeightLoader::matrix_rows(const std::string& name,
                                                                std::int64_t total,
                                                                std::int64_t first,
                                                                std::int64_t rows,
                                                                std::int64_t cols) {
  RIDGELINE_TRY(const TensorView* tensor, find(name, total, cols));
  std::optional<PackedBytes> packed = packed_.find(name);
  if (!packed)
    return fail(fmt::format("{}: tensor '{}' has {} dimensions, expected 2", file_.path(), name,
                            tensor->shape.size()));
  RIDGELINE_TRY(const std::size_t bytes, backend_.packed_bytes(tensor->dtype, rows, cols));
  const std::int64_t group = backend_.pack_granularity();
  if (first % group == 0 && (rows % group == 0 || first + rows == total)) {
    std::size_t offset = 0;
    if (first > 0) {
      RIDGELINE_TRY(offset, backend_.packed_bytes(tensor->dtype, first, cols));
    }
    packed->bytes = packed->bytes.subspan(offset, bytes);
  } else {
    // The cut goes through a group of rows: these are packed once more, by themselves.
    RIDGELINE_TRY(Buffer buffer, Buffer::allocate(bytes, "a part of a weight matrix"));
    const auto owner = std::make_shared<Buffer>(std::move(buffer));
    std::vector<std::byte> scratch;
    backend_.pack_rows(tensor->dtype, rows, cols, tensor->read_rows(first, rows, scratch).data(),
                       owner->data());
    *packed = PackedBytes{{owner->data(), bytes}, owner};
  }
  bytes_ += bytes;
  return backend_.adopt_weight(tensor->dtype, rows, cols, *std::move(packed));
}

Result<std::unique_ptr<DeviceBuffer>> WeightLoader::vector(const std::string& name,
                                                           std::int64_t size) {
  return vector_part(name, size, 0, size);
}

Result<std::unique_ptr<DeviceBuffer>> WeightLoader::vector_part(const std::string& name,
                                                                std::int64_t total,
                                                                std::int64_t first,
                                                                std::int64_t size) {
  RIDGELINE_TRY(const TensorView* tensor, find(name, 1, total));
  std::vector<float> values(static_cast<std::size_t>(total));
  std::vector<std::byte> scratch;
  decode(tensor->dtype, tensor->read_rows(0, 1, scratch).data(), total, values.data());
  const std::span<const float> part =
      std::span(values).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(size));
  bytes_ += part.size_bytes();
  return backend_.upload_floats(part);
}

Result<std::unique_ptr<DeviceBuffer>> WeightLoader::optional_vector(const std::string& name,
                                                                    std::int64_t size) {
  if (!has(name)) return std::unique_ptr<DeviceBuffer>{};
  return vector(name, size);
}

Status WeightLoader::expect_all_used() const {
  for (const TensorView& t : file_.tensors())
    if (!used_.contains(t.name) && !is_ignorable(t.name))
      return fail(
          fmt::format("{}: tensor '{}' is not part of this architecture as it is known "
                      "here; running without it would give wrong text",
                      file_.path(), t.name));
  return {};
}

}  // namespace ridgeline
