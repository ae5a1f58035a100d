#include "ridgeline/model/weight_loader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "ridgeline/quant/block_format.h"

namespace ridgeline {
namespace {

/// Tensors that files carry and no forward pass reads.
bool is_ignorable(std::string_view name) {
  return name == "rope_freqs.weight" || name.ends_with(".attn_rot_embd") ||
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

Result<std::unique_ptr<DeviceBuffer>> WeightLoader::vector(const std::string& name,
                                                           std::int64_t size) {
  RIDGELINE_TRY(const TensorView* tensor, find(name, 1, size));
  std::vector<float> values(static_cast<std::size_t>(size));
  std::vector<std::byte> scratch;
  decode(tensor->dtype, tensor->read_rows(0, 1, scratch).data(), size, values.data());
  bytes_ += values.size() * sizeof(float);
  return backend_.upload_floats(values);
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
