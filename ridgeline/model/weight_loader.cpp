#include "ridgeline/model/weight_loader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "ridgeline/quant/block_format.h"

namespace ridgeline {
namespace {

/// Bytes of the file that are repacked before their pages are let go.
constexpr std::size_t kStripeBytes = std::size_t{16} << 20;

/// Tensors that files carry and no forward pass reads.
bool is_ignorable(std::string_view name) {
  return name == "rope_freqs.weight" || name.ends_with(".attn_rot_embd") ||
         name.ends_with(".rotary_emb.inv_freq");
}

}  // namespace

WeightLoader::WeightLoader(const GgufFile& file, Backend& backend,
                           std::function<void(double)> progress)
    : file_(file), backend_(backend), progress_(std::move(progress)) {
  for (const TensorView& t : file.tensors()) total_bytes_ += t.bytes;
}

void WeightLoader::advance(std::size_t bytes) {
  done_bytes_ += bytes;
  if (progress_ && total_bytes_ > 0)
    progress_(static_cast<double>(done_bytes_) / static_cast<double>(total_bytes_));
}

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
  RIDGELINE_TRY(auto weight, backend_.allocate_weight(tensor->dtype, rows, cols, name.c_str()));
  file_.will_read(*tensor);

  const std::size_t stride = row_bytes(tensor->dtype, cols);
  const std::int64_t granularity = backend_.pack_granularity();
  const std::int64_t stripe =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(kStripeBytes / stride) / granularity) *
      granularity;
  for (std::int64_t row = 0; row < rows; row += stripe) {
    const std::int64_t count = std::min(stripe, rows - row);
    TensorView part;
    part.data = tensor->data + static_cast<std::size_t>(row) * stride;
    part.bytes = static_cast<std::size_t>(count) * stride;
    backend_.pack_rows(*weight, row, count, part.data);
    file_.release(part);
    advance(part.bytes);
  }
  packed_bytes_ += weight->bytes();
  return weight;
}

Result<std::unique_ptr<DeviceBuffer>> WeightLoader::vector(const std::string& name,
                                                           std::int64_t size) {
  RIDGELINE_TRY(const TensorView* tensor, find(name, 1, size));
  std::vector<float> values(static_cast<std::size_t>(size));
  decode(tensor->dtype, tensor->data, size, values.data());
  advance(tensor->bytes);
  packed_bytes_ += values.size() * sizeof(float);
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
