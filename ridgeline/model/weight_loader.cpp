#include "ridgeline/model/weight_loader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

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

Result<const TensorView*> WeightLoader::find(const std::string& name,
                                             std::vector<std::int64_t> shape) {
  const TensorView* tensor = file_.tensor(name);
  if (tensor == nullptr) return fail(fmt::format("{}: tensor '{}' is missing", file_.path(), name));
  // Dimensions of one element in front say nothing.
  const auto significant = [](std::span<const std::int64_t> dims) {
    while (dims.size() > 1 && dims.front() == 1) dims = dims.subspan(1);
    return dims;
  };
  if (!std::ranges::equal(significant(tensor->shape), significant(shape)))
    return fail(fmt::format("{}: tensor '{}' has shape [{}], expected [{}]", file_.path(), name,
                            fmt::join(tensor->shape, ", "), fmt::join(significant(shape), ", ")));
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
  RIDGELINE_TRY(auto matrices, stack(name, 1, rows, cols));
  return std::move(matrices.front());
}

Result<std::vector<std::unique_ptr<PackedWeight>>> WeightLoader::stack(const std::string& name,
                                                                       std::int64_t matrices,
                                                                       std::int64_t rows,
                                                                       std::int64_t cols) {
  const TensorView* const stored = file_.tensor(name);
  std::vector<std::int64_t> shape{matrices, rows, cols};
  // Two matrices in one (matrices_in()).
  if (stored != nullptr && stored->shape.size() == 3 && matrices_in(*stored) > stored->shape[0])
    shape = {matrices / 2, 2 * rows, cols};
  RIDGELINE_TRY(const TensorView* tensor, find(name, shape));
  const std::optional<PackedBytes> packed = packed_.find(name);
  if (!packed)
    return fail(fmt::format("{}: tensor '{}' has {} dimensions, expected {}", file_.path(), name,
                            tensor->shape.size(), matrices > 1 ? 3 : 2));
  const std::size_t bytes = packed->bytes.size() / static_cast<std::size_t>(matrices);
  std::vector<std::unique_ptr<PackedWeight>> weights;
  for (std::int64_t i = 0; i < matrices; ++i) {
    RIDGELINE_TRY(
        weights.emplace_back(),
        backend_.adopt_weight(matrix_type(*tensor), rows, cols,
                              {packed->bytes.subspan(static_cast<std::size_t>(i) * bytes, bytes),
                               packed->owner, packed->input_order}));
    const bool two_in_one = matrices_in(*tensor) > tensor->shape.front() && matrices > 1;
    weights.back()->origin = {name, two_in_one ? i / 2 : i, two_in_one ? i % 2 * rows : 0};
  }
  bytes_ += packed->bytes.size();
  return weights;
}

Result<std::unique_ptr<PackedWeight>> WeightLoader::pack(MatrixType type, std::int64_t rows,
                                                         std::int64_t cols, const std::byte* data) {
  RIDGELINE_TRY(const std::size_t bytes, backend_.packed_bytes(type, rows, cols));
  RIDGELINE_TRY(Buffer allocated, Buffer::allocate(bytes, "the weights"));
  auto buffer = std::make_shared<Buffer>(std::move(allocated));
  backend_.pack_rows(type, rows, cols, data, buffer->data());
  bytes_ += bytes;
  return backend_.adopt_weight(type, rows, cols, {{buffer->data(), bytes}, buffer});
}

Result<std::unique_ptr<PackedWeight>> WeightLoader::row(const std::string& name,
                                                        std::int64_t cols) {
  RIDGELINE_TRY(const TensorView* tensor, find(name, {1, cols}));
  std::vector<std::byte> scratch;
  return pack(matrix_type(*tensor), 1, cols, tensor->read_rows(0, 1, scratch).data());
}

Result<WeightLoader::LatentHeads> WeightLoader::latent_heads(const std::string& name,
                                                             std::int64_t heads, std::int64_t key,
                                                             std::int64_t value,
                                                             std::int64_t latent) {
  RIDGELINE_TRY(const TensorView* tensor, find(name, {heads * (key + value), latent}));
  const std::size_t stride = row_bytes(tensor->dtype, latent);
  const bool plain = info(tensor->dtype).block_elements == 1;
  const DType k_type = plain ? tensor->dtype : DType::kF32;
  const std::size_t element = row_bytes(k_type, 1);
  std::vector<std::byte> scratch, row(static_cast<std::size_t>(latent) * element),
      turned(static_cast<std::size_t>(key * latent) * element);
  LatentHeads result;
  for (std::int64_t h = 0; h < heads; ++h) {
    const std::byte* from = tensor->read_rows(h * (key + value), key + value, scratch).data();
    for (std::int64_t i = 0; i < key; ++i, from += stride) {
      if (plain)
        std::memcpy(row.data(), from, stride);
      else
        decode(tensor->dtype, from, latent, reinterpret_cast<float*>(row.data()));
      for (std::int64_t j = 0; j < latent; ++j)
        std::memcpy(turned.data() + static_cast<std::size_t>(j * key + i) * element,
                    row.data() + static_cast<std::size_t>(j) * element, element);
    }
    RIDGELINE_TRY(result.k.emplace_back(), pack(k_type, latent, key, turned.data()));
    RIDGELINE_TRY(result.v.emplace_back(), pack(tensor->dtype, value, latent, from));
  }
  file_.release(*tensor);
  return result;
}

Result<std::unique_ptr<PackedWeight>> WeightLoader::matrix_rows(const std::string& name,
                                                                std::int64_t total,
                                                                std::int64_t first,
                                                                std::int64_t rows,
                                                                std::int64_t cols) {
  RIDGELINE_TRY(const TensorView* tensor, find(name, {total, cols}));
  const MatrixType type = matrix_type(*tensor);
  std::optional<PackedBytes> packed = packed_.find(name);
  if (!packed)
    return fail(fmt::format("{}: tensor '{}' has {} dimensions, expected 2", file_.path(), name,
                            tensor->shape.size()));
  RIDGELINE_TRY(const std::size_t bytes, backend_.packed_bytes(type, rows, cols));
  const std::int64_t group = backend_.pack_granularity();
  if (first % group == 0 && (rows % group == 0 || first + rows == total)) {
    std::size_t offset = 0;
    if (first > 0) {
      RIDGELINE_TRY(offset, backend_.packed_bytes(type, first, cols));
    }
    packed->bytes = packed->bytes.subspan(offset, bytes);
  } else {
    // The cut goes through a group of rows: these are packed once more, by themselves.
    RIDGELINE_TRY(Buffer buffer, Buffer::allocate(bytes, "a part of a weight matrix"));
    const auto owner = std::make_shared<Buffer>(std::move(buffer));
    std::vector<std::byte> scratch;
    backend_.pack_rows(type, rows, cols, tensor->read_rows(first, rows, scratch).data(),
                       owner->data());
    *packed = PackedBytes{{owner->data(), bytes}, owner, tensor->input_order};
  }
  bytes_ += bytes;
  RIDGELINE_TRY(auto weight, backend_.adopt_weight(type, rows, cols, *std::move(packed)));
  weight->origin = {name, 0, first};
  return weight;
}

Result<std::unique_ptr<DeviceBuffer>> WeightLoader::vector(const std::string& name,
                                                           std::int64_t size) {
  return table(name, 1, size);
}

Result<std::unique_ptr<DeviceBuffer>> WeightLoader::table(const std::string& name,
                                                          std::int64_t rows, std::int64_t cols) {
  RIDGELINE_TRY(const TensorView* tensor, find(name, {rows, cols}));
  std::vector<float> values(static_cast<std::size_t>(rows * cols));
  std::vector<std::byte> scratch;
  decode(tensor->dtype, tensor->read_rows(0, tensor->rows(), scratch).data(), rows * cols,
         values.data());
  bytes_ += values.size() * sizeof(float);
  return backend_.upload_floats(values);
}

Result<std::unique_ptr<DeviceBuffer>> WeightLoader::vector_part(const std::string& name,
                                                                std::int64_t total,
                                                                std::int64_t first,
                                                                std::int64_t size) {
  RIDGELINE_TRY(const TensorView* tensor, find(name, {1, total}));
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
