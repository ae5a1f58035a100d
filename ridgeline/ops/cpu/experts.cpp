// Products with one of several matrices per row: mixtures of experts, and matrices by head.
//
// The rows of a batch are sorted by expert, and each expert's rows fill tiles of their own.
// A tile's rows do not touch each other's arithmetic, so it does not matter which rows meet.
// The down products go through the experts in ascending order for each block of columns, and
// add what comes out to the rows: a row's sum has one order, whoever else is in the batch.

#include <algorithm>

#include "ridgeline/base/check.h"
#include "ridgeline/ops/cpu/products.h"
#include "ridgeline/ops/cpu/tiling.h"

namespace ridgeline {
namespace {

const CpuWeight& cpu_weight(ExpertMatrices matrices, std::size_t i) {
  const auto& weight = static_cast<const CpuWeight&>(*matrices[i]);
  RIDGELINE_CHECK(weight.input_order() == nullptr);
  return weight;
}

}  // namespace

template <class RowsOf, class RowAt>
CpuBackend::Tiles CpuBackend::pack_scattered(std::int64_t tiles, std::int64_t cols,
                                             ActivationFormat format, RowsOf&& rows_of,
                                             RowAt&& row_at) {
  const ActivationKernel& kernel = *find_activation_kernel(*kernels_, format);
  Buffer& buffer = tile_buffers_[static_cast<std::size_t>(format)];
  const Tiles packed{buffer.data(), kernel.tile_bytes(kMaxTileRows, cols), 0};
  RIDGELINE_CHECK(static_cast<std::size_t>(tiles) * packed.tile_bytes <= buffer.size());
  pool_.parallel_for(tiles, [&](std::int64_t i, int worker) {
    const int rows = rows_of(i);
    const float* const first = row_at(i, 0);
    std::byte* const tile = buffer.data() + static_cast<std::size_t>(i) * packed.tile_bytes;
    const std::ptrdiff_t stride = rows > 1 ? row_at(i, 1) - first : 0;
    bool even = true;
    for (int r = 2; r < rows && even; ++r) even = row_at(i, r) - first == r * stride;
    if (even) {
      kernel.pack(first, stride, rows, cols, tile);
      return;
    }
    auto* gathered = reinterpret_cast<float*>(scratch_[static_cast<std::size_t>(worker)].data());
    for (int r = 0; r < rows; ++r) std::copy_n(row_at(i, r), cols, gathered + r * cols);
    kernel.pack(gathered, cols, rows, cols, tile);
  });
  return packed;
}

void CpuBackend::experts(Matrix x, const ExpertChoice& choice, const ExpertWeights& weights,
                         Matrix out) {
  if (x.rows == 0) return;
  segments_.sort(choice, x.rows, weights.gate.size());
  gated_experts(x, weights);
  down_experts(weights, out);
}

template <class RowAt>
void CpuBackend::observe_experts(std::int64_t cols, std::initializer_list<ExpertMatrices> matrices,
                                 RowAt&& row_at) {
  std::vector<float> gathered;
  std::vector<const PackedWeight*> weights;
  for (const Segment& s : segments_.all()) {
    gathered.resize(static_cast<std::size_t>(s.rows * cols));
    for (std::int64_t r = 0; r < s.rows; ++r)
      std::copy_n(row_at(s.begin + r), cols, gathered.data() + r * cols);
    weights.clear();
    for (const ExpertMatrices& m : matrices) weights.push_back(m[s.expert].get());
    observer_->observe({gathered.data(), s.rows, cols, cols}, weights);
  }
}

void CpuBackend::gated_experts(Matrix x, const ExpertWeights& weights) {
  const CpuWeight& any_gate = cpu_weight(weights.gate, 0);
  const CpuWeight& any_up = cpu_weight(weights.up, 0);
  if (observer_ != nullptr)
    observe_experts(x.cols, {weights.gate, weights.up},
                    [&](std::int64_t place) { return x.data + segments_.row(place) * x.stride; });
  const std::int64_t ffn = any_gate.rows(), width = kernels_->panel_width;
  RIDGELINE_CHECK(any_gate.cols() == x.cols && any_up.cols() == x.cols && any_up.rows() == ffn);

  // One row goes to all its experts in the same tile.
  const bool single = x.rows == 1;
  const auto pack = [&](ActivationFormat format) {
    return pack_scattered(
        single ? 1 : segments_.tiles(), x.cols, format,
        [&](std::int64_t tile) {
          const Segment& s = segments_.of_tile(tile);
          return static_cast<int>(
              std::min<std::int64_t>(kMaxTileRows, s.rows - (tile - s.first_tile) * kMaxTileRows));
        },
        [&](std::int64_t tile, int r) {
          const Segment& s = segments_.of_tile(tile);
          const std::int64_t place = s.begin + (tile - s.first_tile) * kMaxTileRows + r;
          return x.data + segments_.row(place) * x.stride;
        });
  };
  const Tiles tiles_gate = pack(any_gate.kernel().activation);
  const Tiles tiles_up = any_up.kernel().activation == any_gate.kernel().activation
                             ? tiles_gate
                             : pack(any_up.kernel().activation);

  const auto cut_of = [&](const Segment& s) {
    return ProductCut::of(any_gate.read_bytes() > any_up.read_bytes() ? any_gate : any_up, s.rows,
                          kMaxBlockColumns / 2, width);
  };
  std::int64_t items = 0;
  for (Segment& s : segments_.all()) {
    s.first_item = items;
    items += cut_of(s).items();
  }
  pool_.parallel_for(items, [&](std::int64_t index, int worker) {
    const Segment& s = segments_.of_item(index);
    const ProductCut cut = cut_of(s);
    const std::int64_t block = (index - s.first_item) / cut.row_blocks;
    const std::int64_t row_begin = (index - s.first_item) % cut.row_blocks * kRowBlock;
    const WorkItem item{block * cut.block_panels,
                        std::min(any_gate.num_panels(), (block + 1) * cut.block_panels), row_begin,
                        std::min(s.rows, row_begin + kRowBlock)};
    const std::int64_t stride = (item.panel_end - item.panel_begin) * width;
    auto* acc_gate = reinterpret_cast<float*>(scratch_[static_cast<std::size_t>(worker)].data());
    float* const acc_up = acc_gate + kScratchTileFloats / 2;
    const std::int64_t first_tile = single ? 0 : s.first_tile;
    multiply(cpu_weight(weights.gate, s.expert), tiles_gate.from(first_tile, s.rows), item,
             acc_gate, stride);
    multiply(cpu_weight(weights.up, s.expert), tiles_up.from(first_tile, s.rows), item, acc_up,
             stride);

    const std::int64_t col = item.panel_begin * width;
    const std::int64_t cols = std::min(ffn, item.panel_end * width) - col;
    const auto bias = static_cast<std::int64_t>(s.expert) * ffn + col;
    auto* const hidden = reinterpret_cast<float*>(expert_hidden_.data());
    for (std::int64_t r = 0; r < item.row_end - item.row_begin; ++r) {
      float* const gate = acc_gate + r * stride;
      float* const up = acc_up + r * stride;
      if (weights.gate_bias != nullptr) kernels_->add(weights.gate_bias + bias, cols, gate);
      if (weights.up_bias != nullptr) kernels_->add(weights.up_bias + bias, cols, up);
      kernels_->gate_mul(weights.activation, gate, up, cols,
                         hidden + (s.begin + row_begin + r) * ffn + col);
    }
  });
}

void CpuBackend::down_experts(const ExpertWeights& weights, Matrix out) {
  const CpuWeight& any = cpu_weight(weights.down, 0);
  const std::int64_t ffn = any.cols(), width = kernels_->panel_width;
  RIDGELINE_CHECK(any.rows() == out.cols);
  const auto* const hidden = reinterpret_cast<const float*>(expert_hidden_.data());
  if (observer_ != nullptr)
    observe_experts(ffn, {weights.down}, [&](std::int64_t place) { return hidden + place * ffn; });
  const Tiles tiles = pack_scattered(
      segments_.tiles(), ffn, any.kernel().activation,
      [&](std::int64_t tile) {
        const Segment& s = segments_.of_tile(tile);
        return static_cast<int>(
            std::min<std::int64_t>(kMaxTileRows, s.rows - (tile - s.first_tile) * kMaxTileRows));
      },
      [&](std::int64_t tile, int r) {
        const Segment& s = segments_.of_tile(tile);
        return hidden + (s.begin + (tile - s.first_tile) * kMaxTileRows + r) * ffn;
      });

  std::int64_t most_rows = 0;
  for (const Segment& s : segments_.all()) most_rows = std::max(most_rows, s.rows);
  // A block of columns goes through all experts, so there are few: enough to share out.
  const std::int64_t block_panels =
      std::min(ProductCut::of(any, most_rows, kMaxBlockColumns, width).block_panels,
               std::max<std::int64_t>(1, any.num_panels() / (kExpertBlocksPerThread * threads())));
  pool_.parallel_for(ceil_div(any.num_panels(), block_panels), [&](std::int64_t block, int worker) {
    auto* const acc = reinterpret_cast<float*>(scratch_[static_cast<std::size_t>(worker)].data());
    WorkItem item{block * block_panels, std::min(any.num_panels(), (block + 1) * block_panels), 0,
                  0};
    const std::int64_t stride = (item.panel_end - item.panel_begin) * width;
    const std::int64_t col = item.panel_begin * width;
    const std::int64_t cols = std::min(out.cols, item.panel_end * width) - col;
    for (const Segment& s : segments_.all()) {
      const Tiles rows = tiles.from(s.first_tile, s.rows);
      for (item.row_begin = 0; item.row_begin < s.rows; item.row_begin = item.row_end) {
        item.row_end = std::min(s.rows, item.row_begin + kRowBlock);
        multiply(cpu_weight(weights.down, s.expert), rows, item, acc, stride);
        for (std::int64_t r = 0; r < item.row_end - item.row_begin; ++r) {
          const std::int64_t place = s.begin + item.row_begin + r;
          float* const from = acc + r * stride;
          if (weights.down_bias != nullptr)
            kernels_->add(weights.down_bias + static_cast<std::int64_t>(s.expert) * out.cols + col,
                          cols, from);
          kernels_->add_scaled(from, segments_.weight(place), cols,
                               out.data + segments_.row(place) * out.stride + col);
        }
      }
    }
  });
}

void CpuBackend::linear_by_head(Matrix x, std::span<const std::unique_ptr<PackedWeight>> weights,
                                Matrix out) {
  const auto heads = static_cast<std::int64_t>(weights.size());
  const CpuWeight& any = cpu_weight(weights, 0);
  const std::int64_t x_pitch = x.cols / heads, out_pitch = out.cols / heads;
  const std::int64_t width = kernels_->panel_width;
  RIDGELINE_CHECK(any.cols() <= x_pitch && any.rows() <= out_pitch);
  if (observer_ != nullptr)
    for (std::int64_t h = 0; h < heads; ++h)
      observer_->observe(
          x.slice_cols(h * x_pitch, any.cols()),
          std::array<const PackedWeight*, 1>{weights[static_cast<std::size_t>(h)].get()});
  const std::int64_t head_tiles = ceil_div(x.rows, kMaxTileRows);
  const Tiles tiles = pack_scattered(
      heads * head_tiles, any.cols(), any.kernel().activation,
      [&](std::int64_t tile) {
        return static_cast<int>(
            std::min<std::int64_t>(kMaxTileRows, x.rows - tile % head_tiles * kMaxTileRows));
      },
      [&](std::int64_t tile, int r) {
        return x.data + (tile % head_tiles * kMaxTileRows + r) * x.stride +
               tile / head_tiles * x_pitch;
      });

  const ProductCut cut = ProductCut::of(any, x.rows, kMaxBlockColumns, width);
  pool_.parallel_for(heads * cut.items(), [&](std::int64_t index, int worker) {
    const std::int64_t head = index / cut.items();
    const std::int64_t block = index % cut.items() / cut.row_blocks;
    const std::int64_t row_begin = index % cut.row_blocks * kRowBlock;
    const WorkItem item{block * cut.block_panels,
                        std::min(any.num_panels(), (block + 1) * cut.block_panels), row_begin,
                        std::min(x.rows, row_begin + kRowBlock)};
    const std::int64_t stride = (item.panel_end - item.panel_begin) * width;
    auto* const acc = reinterpret_cast<float*>(scratch_[static_cast<std::size_t>(worker)].data());
    multiply(cpu_weight(weights, static_cast<std::size_t>(head)),
             tiles.from(head * head_tiles, x.rows), item, acc, stride);
    const std::int64_t col = item.panel_begin * width;
    const std::int64_t cols = std::min(any.rows(), item.panel_end * width) - col;
    for (std::int64_t r = 0; r < item.row_end - item.row_begin; ++r)
      std::copy_n(acc + r * stride, cols,
                  out.data + (row_begin + r) * out.stride + head * out_pitch + col);
  });
}

}  // namespace ridgeline
