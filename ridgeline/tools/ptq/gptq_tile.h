#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ridgeline/quant/block_grid.h"
#include "ridgeline/tools/ptq/gptq_factor.h"

namespace ridgeline::ptq {

/// Rows that are rounded side by side, each in a lane of its own.
inline constexpr int kTileRows = 16;
using Lanes = float[kTileRows];

/// sum += Σ values[i] column[i] over i in [begin, end)
void accumulate(const Lanes* values, const float* column, std::int64_t begin, std::int64_t end,
                Lanes& sum);
/// sums[i] += value row[i] over i in [begin, end)
void spread(const Lanes& value, const float* row, std::int64_t begin, std::int64_t end,
            Lanes* sums);

/// Of one thread: a batch of columns of a tile, while it is rounded.
class GptqTile {
 public:
  GptqTile(const GridFormat& format, const GptqFactor& factor);

  /// Rows of the tile, and where what they become is kept, each row by input: w, levels
  /// [rows][cols], grids [rows][cols / block_elements]; by position: errors [rows][cols].
  struct Rows {
    int count;
    const float* w;
    std::uint8_t* levels;
    BlockGrid* grids;
    float* errors;
  };
  /// Rounds the columns of a batch, of which all later ones are rounded: fits their grids,
  /// chooses their levels and leaves w - ŵ in `errors`. `feedback` [rows][stride]: what the
  /// batches before ask to be added to the weights.
  void round(const GptqFactor::Batch& batch, const float* feedback, std::int64_t stride,
             const Rows& rows);

 private:
  void load(const GptqFactor::Batch& batch, const float* feedback, std::int64_t stride,
            const Rows& rows);
  void fit(const GptqFactor::Batch& batch, std::int64_t begin, std::int64_t end, const Rows& rows);
  void round_columns(const GptqFactor::Batch& batch, std::int64_t begin, std::int64_t end,
                     const Rows& rows);

  const GridFormat& format_;
  const GptqFactor& factor_;
  // [kBatch], from the batch's first column on:
  std::unique_ptr<Lanes[]> weights_;   ///< as they came
  std::unique_ptr<Lanes[]> feedback_;  ///< of the errors of all groups that are rounded
  std::unique_ptr<Lanes[]> errors_;
  std::unique_ptr<Lanes[]> shifts_;  ///< from the weights to their best values, a group's
  std::vector<float> current_;       ///< a group's best values in one row, by input
};

}  // namespace ridgeline::ptq
