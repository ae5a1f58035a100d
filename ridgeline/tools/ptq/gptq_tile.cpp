#include "ridgeline/tools/ptq/gptq_tile.h"

#include <algorithm>

namespace ridgeline::ptq {

GptqTile::GptqTile(const GridFormat& format, const GptqFactor& factor)
    : format_(format),
      factor_(factor),
      weights_(new Lanes[GptqFactor::kBatch]()),
      feedback_(new Lanes[GptqFactor::kBatch]()),
      errors_(new Lanes[GptqFactor::kBatch]()),
      shifts_(new Lanes[GptqFactor::kBatch]()),
      current_(static_cast<std::size_t>(factor.block())) {}

void GptqTile::load(const GptqFactor::Batch& batch, const float* feedback, std::int64_t stride,
                    const Rows& rows) {
  const std::int32_t* order = factor_.order().data() + batch.begin;
  for (int lane = 0; lane < kTileRows; ++lane) {
    // Lanes without a row repeat the last one.
    const int row = std::min(lane, rows.count - 1);
    const float* w = rows.w + row * factor_.cols();
    const float* from = feedback + row * stride;
    for (std::int64_t k = 0; k < batch.width(); ++k) {
      weights_[static_cast<std::size_t>(k)][lane] = w[order[k]];
      feedback_[static_cast<std::size_t>(k)][lane] = from[k];
    }
  }
}

void GptqTile::round(const GptqFactor::Batch& batch, const float* feedback, std::int64_t stride,
                     const Rows& rows) {
  load(batch, feedback, stride, rows);
  const std::int64_t width = batch.width();
  for (std::int64_t end = width; end > 0; end -= factor_.block()) {
    const std::int64_t begin = std::max<std::int64_t>(0, end - factor_.block());
    for (std::int64_t k = begin; k < end; ++k)
      accumulate(errors_.get(), batch.column(batch.begin + k), end, width,
                 feedback_[static_cast<std::size_t>(k)]);
    fit(batch, begin, end, rows);
    round_columns(batch, begin, end, rows);
  }
  for (int row = 0; row < rows.count; ++row) {
    float* to = rows.errors + row * factor_.cols() + batch.begin;
    for (std::int64_t k = 0; k < width; ++k) to[k] = errors_[static_cast<std::size_t>(k)][row];
  }
}

void GptqTile::fit(const GptqFactor::Batch& batch, std::int64_t begin, std::int64_t end,
                   const Rows& rows) {
  // Where all of the group is free, its best values are w + t with t L = feedback, the later
  // columns first.
  for (std::int64_t k = end; k-- > begin;) {
    Lanes sum{};
    accumulate(shifts_.get(), batch.column(batch.begin + k), k + 1, end, sum);
    const auto at = static_cast<std::size_t>(k);
    for (int lane = 0; lane < kTileRows; ++lane)
      shifts_[at][lane] = feedback_[at][lane] - sum[lane];
  }
  const std::int64_t cols = factor_.cols(), size = end - begin;
  const std::int32_t* order = factor_.order().data() + batch.begin;
  const std::int64_t first = order[begin] / size * size;  // the group's inputs follow it
  for (int row = 0; row < rows.count; ++row) {
    for (std::int64_t k = begin; k < end; ++k) {
      const auto at = static_cast<std::size_t>(k);
      current_[static_cast<std::size_t>(order[k] - first)] = weights_[at][row] + shifts_[at][row];
    }
    for (std::int64_t i = 0; i < size; i += format_.block_elements) {
      BlockGrid& grid =
          rows.grids[row * (cols / format_.block_elements) + (first + i) / format_.block_elements];
      format_.fit(current_.data() + i, factor_.weights().data() + first + i, grid);
    }
  }
}

void GptqTile::round_columns(const GptqFactor::Batch& batch, std::int64_t begin, std::int64_t end,
                             const Rows& rows) {
  const std::int64_t cols = factor_.cols(), blocks = cols / format_.block_elements;
  const std::int32_t* order = factor_.order().data() + batch.begin;
  for (std::int64_t k = end; k-- > begin;) {
    const auto at = static_cast<std::size_t>(k);
    Lanes& sum = feedback_[at];
    accumulate(errors_.get(), batch.column(batch.begin + k), k + 1, end, sum);
    const std::int64_t input = order[k];
    const std::int64_t block = input / format_.block_elements;
    const auto sub = static_cast<int>(input % format_.block_elements / format_.sub_elements);
    for (int row = 0; row < rows.count; ++row) {
      const BlockGrid& grid = rows.grids[row * blocks + block];
      const float w = weights_[at][row];
      const int level = format_.nearest(grid, sub, w + sum[row]);
      rows.levels[row * cols + input] = static_cast<std::uint8_t>(level);
      errors_[at][row] = w - format_.value(grid, sub, level);
    }
    for (int lane = rows.count; lane < kTileRows; ++lane) errors_[at][lane] = 0;
  }
}

}  // namespace ridgeline::ptq
