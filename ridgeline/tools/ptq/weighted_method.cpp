#include "ridgeline/tools/ptq/weighted_method.h"

#include <fmt/format.h>

#include "ridgeline/quant/block_grid.h"

namespace ridgeline::ptq {

Status WeightedMethod::quantize(const PlannedTensor& tensor, const Append& append,
                                TensorQuality& quality) {
  const TensorView& source = *tensor.source;
  const std::int64_t rows = source.rows(), cols = source.cols();
  const std::int64_t matrix_rows =
      source.shape.size() > 2 ? source.shape[source.shape.size() - 2] : rows;
  const std::int64_t matrices = rows / matrix_rows;
  if (grid_format(tensor.type) == nullptr) {
    notes_.push_back(fmt::format("{} was rounded to nearest: weights cannot guide {}", source.name,
                                 ridgeline::name(tensor.type)));
    return plain_.quantize(tensor, append, quality);
  }
  const ImportanceMatrix::Entry* entry = importance_.find(source.name);
  const bool may_be_absent = source.name == "token_embd.weight" || source.name == "output.weight";
  if (entry == nullptr && may_be_absent) {
    notes_.push_back(fmt::format("{} was rounded with all errors alike: {} has no entry for it",
                                 source.name, path_));
    return rows_.convert(
        tensor,
        [&](std::int64_t, std::int64_t count, const float* x, std::byte* out) {
          const std::size_t stride = row_bytes(tensor.type, cols);
          for (std::int64_t row = 0; row < count; ++row, x += cols, out += stride)
            encode_weighted(tensor.type, x, nullptr, cols, out);
        },
        append, quality);
  }
  if (entry == nullptr)
    return fail(
        fmt::format("{}: has no entry for tensor '{}'; expected an importance matrix of "
                    "this model",
                    path_, source.name));
  if (entry->cols() != cols || static_cast<std::int64_t>(entry->counts.size()) != matrices)
    return fail(fmt::format("{}: the entry of tensor '{}' is of {} x {} inputs, expected {} x {}",
                            path_, source.name, entry->counts.size(), entry->cols(), matrices,
                            cols));

  std::vector<std::vector<float>> weights;
  for (std::int64_t m = 0; m < matrices; ++m) weights.push_back(entry->mean_squares(m));
  const std::size_t stride = row_bytes(tensor.type, cols);
  return rows_.convert(
      tensor,
      [&](std::int64_t first, std::int64_t count, const float* x, std::byte* out) {
        for (std::int64_t row = first; row < first + count; ++row, x += cols, out += stride)
          encode_weighted(tensor.type, x,
                          weights[static_cast<std::size_t>(row / matrix_rows)].data(), cols, out);
      },
      append, quality);
}

}  // namespace ridgeline::ptq
