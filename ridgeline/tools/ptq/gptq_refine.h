#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ridgeline/quant/block_grid.h"
#include "ridgeline/tools/ptq/gptq_factor.h"
#include "ridgeline/tools/ptq/gptq_tile.h"

namespace ridgeline::ptq {

/// Of one thread: GPTQ rounds each input once, knowing only those before it; afterwards scales
/// and levels can be chosen again, each given all others. With e = w - ŵ and g = e H, the error
/// e H eᵀ is least
///   - in the scale s of a sub-block of steps q (Ŵ = s q + offset there), others fixed, at
///     s + g·q / q H qᵀ, and likewise in scale and offset at once;
///   - in the value of an input k at ŵ_k + g_k / H_kk (coordinate descent: Behdin et al. 2023,
///     "QuantEase", section 3).
/// New scales are kept where the error falls once they are stored, so it never rises.
class RefineTile {
 public:
  RefineTile(const GridFormat& format, const GptqFactor& factor);

  /// Once through columns [begin, end) of a batch. `hessian` is their square of the damped
  /// Hessian, by position, [width][width]; `gradient` [rows][stride] is e H.
  void refine(std::int64_t begin, std::int64_t end, const float* hessian, const float* gradient,
              std::int64_t stride, const GptqTile::Rows& rows);

 private:
  /// Columns of a batch that stay together, [begin, end) from the batch's first.
  struct Group {
    std::int64_t begin, end;
    std::int64_t first_input;
  };
  /// What a sub-block's scale and offset gain, by lane.
  struct Shift {
    Lanes scale, offset;
  };

  void load(const float* gradient, std::int64_t stride, const GptqTile::Rows& rows);
  void refit(const Group& group, const GptqTile::Rows& rows);
  Shift best_shift(std::span<const std::int64_t> columns) const;
  void keep_better_grids(const Group& group, const GptqTile::Rows& rows);
  void choose_levels(const Group& group, const GptqTile::Rows& rows);

  BlockGrid& grid_of(const GptqTile::Rows& rows, int row, std::int64_t input) const {
    return rows
        .grids[row * (factor_.cols() / format_.block_elements) + input / format_.block_elements];
  }
  int sub_of(std::int64_t input) const {
    return static_cast<int>(input % format_.block_elements / format_.sub_elements);
  }
  const float* hessian_row(std::int64_t k) const { return hessian_ + k * width_; }

  const GridFormat& format_;
  const GptqFactor& factor_;
  const float* hessian_ = nullptr;
  const std::int32_t* order_ = nullptr;  ///< inputs of the batch's columns
  std::int64_t begin_ = 0, width_ = 0;
  // [kBatch]:
  std::unique_ptr<Lanes[]> weights_, errors_, gradient_;
  std::unique_ptr<Lanes[]> before_;   ///< errors when the batch, or its group, began
  std::unique_ptr<Lanes[]> changes_;  ///< of errors, of groups that are done
  std::unique_ptr<Lanes[]> steps_;    ///< that levels stand for
  std::unique_ptr<Lanes[]> gradient_before_;
  std::vector<std::int64_t> column_of_;  ///< of a group's inputs
  std::vector<float> scales_, offsets_;  ///< wanted, [kTileRows][sub-blocks of the group]
};

}  // namespace ridgeline::ptq
