#include "ridgeline/tools/ptq/gptq_refine.h"

#include <algorithm>

namespace ridgeline::ptq {

RefineTile::RefineTile(const GridFormat& format, const GptqFactor& factor)
    : format_(format), factor_(factor) {
  for (auto* lanes :
       {&weights_, &errors_, &gradient_, &before_, &changes_, &steps_, &gradient_before_})
    lanes->reset(new Lanes[GptqFactor::kBatch]());
  const auto block = static_cast<std::size_t>(factor.block());
  column_of_.resize(block);
  const std::size_t subs = block / static_cast<std::size_t>(format.sub_elements) * kTileRows;
  scales_.resize(subs);
  offsets_.resize(subs);
}

void RefineTile::refine(std::int64_t begin, std::int64_t end, const float* hessian,
                        const float* gradient, std::int64_t stride, const GptqTile::Rows& rows) {
  hessian_ = hessian;
  order_ = factor_.order().data() + begin;
  begin_ = begin;
  width_ = end - begin;
  load(gradient, stride, rows);

  const std::int64_t block = factor_.block();
  for (std::int64_t last = width_; last > 0; last -= block) {
    const Group group{last - block, last, order_[last - block] / block * block};
    for (std::int64_t k = group.begin; k < group.end; ++k) {
      const auto at = static_cast<std::size_t>(k);
      accumulate(changes_.get(), hessian_row(k), group.end, width_, gradient_[at]);
      std::copy_n(errors_[at], kTileRows, before_[at]);
    }
    refit(group, rows);
    choose_levels(group, rows);
    for (auto at = static_cast<std::size_t>(group.begin); at < static_cast<std::size_t>(group.end);
         ++at)
      for (int lane = 0; lane < kTileRows; ++lane)
        changes_[at][lane] = errors_[at][lane] - before_[at][lane];
  }

  for (int row = 0; row < rows.count; ++row) {
    float* to = rows.errors + row * factor_.cols() + begin_;
    for (std::int64_t k = 0; k < width_; ++k) to[k] = errors_[static_cast<std::size_t>(k)][row];
  }
}

void RefineTile::load(const float* gradient, std::int64_t stride, const GptqTile::Rows& rows) {
  for (int lane = 0; lane < kTileRows; ++lane) {
    // Lanes without a row repeat the last one.
    const int row = std::min(lane, rows.count - 1);
    const float* w = rows.w + row * factor_.cols();
    const float* errors = rows.errors + row * factor_.cols() + begin_;
    for (std::int64_t k = 0; k < width_; ++k) {
      const auto at = static_cast<std::size_t>(k);
      weights_[at][lane] = w[order_[k]];
      errors_[at][lane] = errors[k];
      gradient_[at][lane] = gradient[row * stride + k];
    }
  }
}

RefineTile::Shift RefineTile::best_shift(std::span<const std::int64_t> columns) const {
  // Normal equations of scale and offset: [qHq qH1; qH1 1H1] shift = [g·q; g·1].
  Lanes qhq{}, qh1{}, gq{}, g1{};
  float h11 = 0;
  for (const std::int64_t k : columns) {
    const float* h = hessian_row(k);
    const auto at = static_cast<std::size_t>(k);
    Lanes hq{};
    float h1 = 0;
    for (const std::int64_t i : columns) {
      h1 += h[i];
      for (int lane = 0; lane < kTileRows; ++lane)
        hq[lane] += h[i] * steps_[static_cast<std::size_t>(i)][lane];
    }
    h11 += h1;
    for (int lane = 0; lane < kTileRows; ++lane) {
      qhq[lane] += steps_[at][lane] * hq[lane];
      qh1[lane] += steps_[at][lane] * h1;
      gq[lane] += steps_[at][lane] * gradient_[at][lane];
      g1[lane] += gradient_[at][lane];
    }
  }
  Shift shift{};
  for (int lane = 0; lane < kTileRows; ++lane) {
    // H is positive definite, so only steps that are all alike have no determinant.
    const float determinant = qhq[lane] * h11 - qh1[lane] * qh1[lane];
    if (format_.has_offset && determinant > 1e-4F * qhq[lane] * h11) {
      shift.scale[lane] = (gq[lane] * h11 - g1[lane] * qh1[lane]) / determinant;
      shift.offset[lane] = (g1[lane] * qhq[lane] - gq[lane] * qh1[lane]) / determinant;
    } else if (qhq[lane] > 0) {
      shift.scale[lane] = gq[lane] / qhq[lane];
    }
  }
  return shift;
}

void RefineTile::refit(const Group& group, const GptqTile::Rows& rows) {
  for (std::int64_t k = group.begin; k < group.end; ++k) {
    const auto at = static_cast<std::size_t>(k);
    column_of_[static_cast<std::size_t>(order_[k] - group.first_input)] = k;
    std::copy_n(gradient_[at], kTileRows, gradient_before_[at]);
    for (int lane = 0; lane < kTileRows; ++lane) {
      const int row = std::min(lane, rows.count - 1);
      steps_[at][lane] =
          static_cast<float>(format_.step(rows.levels[row * factor_.cols() + order_[k]]));
    }
  }
  const std::int64_t sub_elements = format_.sub_elements;
  const std::int64_t subs = (group.end - group.begin) / sub_elements;
  for (std::int64_t s = 0; s < subs; ++s) {
    const std::span columns(column_of_.data() + s * sub_elements,
                            static_cast<std::size_t>(sub_elements));
    const Shift shift = best_shift(columns);
    const std::int64_t input = group.first_input + s * sub_elements;
    for (int row = 0; row < rows.count; ++row) {
      const BlockGrid& grid = grid_of(rows, row, input);
      const auto at = static_cast<std::size_t>(row * subs + s);
      scales_[at] = grid.scale[sub_of(input)] + shift.scale[row];
      offsets_[at] = grid.offset[sub_of(input)] + shift.offset[row];
    }
    // The next ones are fitted to what these leave.
    if (subs == 1) break;
    for (const std::int64_t k : columns) {
      Lanes change;
      for (int lane = 0; lane < kTileRows; ++lane)
        change[lane] =
            -(shift.scale[lane] * steps_[static_cast<std::size_t>(k)][lane] + shift.offset[lane]);
      spread(change, hessian_row(k), group.begin, group.end, gradient_.get());
    }
  }
  keep_better_grids(group, rows);
}

void RefineTile::keep_better_grids(const Group& group, const GptqTile::Rows& rows) {
  const std::int64_t size = group.end - group.begin, blocks = size / format_.block_elements;
  const std::int64_t subs = size / format_.sub_elements;
  std::vector<BlockGrid> grids(static_cast<std::size_t>(rows.count * blocks));
  for (int row = 0; row < rows.count; ++row)
    for (std::int64_t b = 0; b < blocks; ++b) {
      const auto at = static_cast<std::size_t>(row * subs + b * format_.sub_blocks());
      format_.store(&scales_[at], format_.has_offset ? &offsets_[at] : nullptr,
                    grids[static_cast<std::size_t>(row * blocks + b)]);
    }

  // δ = the change of e: the error changes by δ · (2 g + δ H).
  Lanes gain{};
  for (std::int64_t k = group.begin; k < group.end; ++k) {
    const auto at = static_cast<std::size_t>(k);
    std::ranges::fill(changes_[at], 0.0F);
    for (int row = 0; row < rows.count; ++row) {
      const std::int64_t block = (order_[k] - group.first_input) / format_.block_elements;
      const BlockGrid& grid = grids[static_cast<std::size_t>(row * blocks + block)];
      const int level = rows.levels[row * factor_.cols() + order_[k]];
      const float error = weights_[at][row] - format_.value(grid, sub_of(order_[k]), level);
      changes_[at][row] = error - errors_[at][row];
    }
  }
  for (std::int64_t k = group.begin; k < group.end; ++k) {
    const auto at = static_cast<std::size_t>(k);
    Lanes moved{};
    accumulate(changes_.get(), hessian_row(k), group.begin, group.end, moved);
    for (int lane = 0; lane < kTileRows; ++lane) {
      gain[lane] -= changes_[at][lane] * (2 * gradient_before_[at][lane] + moved[lane]);
      gradient_[at][lane] = gradient_before_[at][lane] + moved[lane];
    }
  }
  for (int row = 0; row < rows.count; ++row) {
    const bool is_better = gain[row] > 0;  // false: not a number
    if (is_better)
      for (std::int64_t b = 0; b < blocks; ++b)
        grid_of(rows, row, group.first_input + b * format_.block_elements) =
            grids[static_cast<std::size_t>(row * blocks + b)];
    for (auto at = static_cast<std::size_t>(group.begin); at < static_cast<std::size_t>(group.end);
         ++at) {
      if (is_better)
        errors_[at][row] += changes_[at][row];
      else
        gradient_[at][row] = gradient_before_[at][row];
    }
  }
}

void RefineTile::choose_levels(const Group& group, const GptqTile::Rows& rows) {
  for (std::int64_t k = group.end; k-- > group.begin;) {
    const auto at = static_cast<std::size_t>(k);
    const std::int64_t input = order_[k];
    const int sub = sub_of(input);
    const float own = hessian_row(k)[k];
    Lanes change{};
    bool any = false;
    for (int row = 0; row < rows.count; ++row) {
      const BlockGrid& grid = grid_of(rows, row, input);
      std::uint8_t& kept = rows.levels[row * factor_.cols() + input];
      const float best = weights_[at][row] - errors_[at][row] + gradient_[at][row] / own;
      const int level = format_.nearest(grid, sub, best);
      if (level == kept) continue;
      const float error = weights_[at][row] - format_.value(grid, sub, level);
      change[row] = error - errors_[at][row];
      errors_[at][row] = error;
      kept = static_cast<std::uint8_t>(level);
      any = true;
    }
    if (any) spread(change, hessian_row(k), group.begin, group.end, gradient_.get());
  }
}

}  // namespace ridgeline::ptq
