// Matrix products. An item is a block of panels times a block of rows; threads take
// items as they get free. See tiling.h for the sizes, kernel_table.h for the tile.

#include <algorithm>
#include <array>

#include "ridgeline/base/check.h"
#include "ridgeline/ops/cpu/products.h"
#include "ridgeline/ops/cpu/tiling.h"

namespace ridgeline {

namespace {

constexpr std::size_t kMaxOutputs = 8;

}  // namespace

ProductCut ProductCut::of(const CpuWeight& weight, std::int64_t rows, std::int64_t max_columns,
                          std::int64_t panel_width) {
  const std::int64_t cols = std::max<std::int64_t>(weight.cols(), 1);
  const auto panel_bytes = static_cast<std::int64_t>(weight.read_bytes());
  const bool stream = rows <= kPanelOuterTiles * kMaxTileRows;
  const std::int64_t pass_bytes =
      stream ? panel_bytes
             : std::max<std::int64_t>(1, panel_bytes * std::min(cols, kChunkInputs) / cols);
  ProductCut cut;
  cut.block_panels = std::clamp<std::int64_t>((stream ? kStreamBytes : kBlockBytes) / pass_bytes, 1,
                                              max_columns / panel_width);
  cut.panel_blocks = ceil_div(weight.num_panels(), cut.block_panels);
  cut.row_blocks = ceil_div(rows, kRowBlock);
  return cut;
}

CpuBackend::Tiles CpuBackend::pack_activations(Matrix x, const CpuWeight& weight,
                                               std::vector<Buffer>& buffers) {
  const ActivationFormat format = weight.kernel().activation;
  const ActivationKernel& kernel = *find_activation_kernel(*kernels_, format);
  Buffer& buffer = buffers[static_cast<std::size_t>(format)];
  Tiles tiles{buffer.data(), kernel.tile_bytes(kMaxTileRows, x.cols), x.rows};
  const std::int64_t count = ceil_div(x.rows, kMaxTileRows);
  RIDGELINE_CHECK(static_cast<std::size_t>(count) * tiles.tile_bytes <= buffer.size());
  const std::vector<std::int32_t>* const order = weight.input_order();
  RIDGELINE_CHECK(order == nullptr ||
                  static_cast<std::size_t>(kMaxTileRows * x.cols) <= scratch_floats_);
  pool_.parallel_for(count, [&](std::int64_t i, int worker) {
    const float* rows = x.data + i * kMaxTileRows * x.stride;
    std::ptrdiff_t stride = x.stride;
    if (order != nullptr) {
      auto* gathered = reinterpret_cast<float*>(scratch_[static_cast<std::size_t>(worker)].data());
      for (int r = 0; r < tiles.tile_rows(i); ++r)
        for (std::int64_t c = 0; c < x.cols; ++c)
          gathered[r * x.cols + c] = rows[r * stride + (*order)[static_cast<std::size_t>(c)]];
      rows = gathered;
      stride = x.cols;
    }
    kernel.pack(rows, stride, tiles.tile_rows(i), x.cols,
                buffer.data() + static_cast<std::size_t>(i) * tiles.tile_bytes);
  });
  return tiles;
}

void CpuBackend::multiply(const CpuWeight& weight, const Tiles& tiles, const WorkItem& item,
                          float* acc, std::ptrdiff_t acc_stride) const {
  const WeightKernel& kernel = weight.kernel();
  const std::int64_t k = weight.cols();
  const std::int64_t tile_begin = item.row_begin / kMaxTileRows;
  const std::int64_t tile_end = ceil_div(item.row_end, kMaxTileRows);
  const auto run = [&](std::int64_t panel, std::int64_t tile, std::int64_t k_begin,
                       std::int64_t k_end, const std::byte* prefetch) {
    float* out = acc + (tile - tile_begin) * kMaxTileRows * acc_stride +
                 (panel - item.panel_begin) * kernels_->panel_width;
    kernel.tile[tiles.tile_rows(tile)](weight.panel(panel), tiles.tile(tile), k, k_begin, k_end,
                                       out, acc_stride, k_begin > 0, prefetch);
  };

  if (tile_end - tile_begin <= kPanelOuterTiles) {
    const bool prefetch = item.row_end - item.row_begin >= kernel.prefetch_rows;
    for (std::int64_t p = item.panel_begin; p < item.panel_end; ++p)
      for (std::int64_t t = tile_begin; t < tile_end; ++t)
        run(p, t, 0, k, prefetch ? weight.panel(p) + kPrefetchAhead : nullptr);
    return;
  }
  for (std::int64_t k_begin = 0; k_begin < k; k_begin += kChunkInputs) {
    const std::int64_t k_end = std::min(k, k_begin + kChunkInputs);
    const std::size_t ahead = kernel.read_bytes(k_begin) + kPrefetchAhead;
    for (std::int64_t t = tile_begin; t < tile_end; ++t)
      for (std::int64_t p = item.panel_begin; p < item.panel_end; ++p)
        run(p, t, k_begin, k_end, t == tile_begin ? weight.panel(p) + ahead : nullptr);
  }
}

void CpuBackend::linear(Matrix x, std::span<const LinearOutput> outputs) {
  RIDGELINE_CHECK(outputs.size() <= kMaxOutputs);
  if (observer_ != nullptr) {
    std::array<const PackedWeight*, kMaxOutputs> weights;
    for (std::size_t i = 0; i < outputs.size(); ++i) weights[i] = outputs[i].weight;
    observer_->observe(x, std::span(weights).first(outputs.size()));
  }
  // Those that want x in the same order go together; each order's x takes the place of the
  // one before it.
  const auto order_of = [](const LinearOutput& output) {
    return static_cast<const CpuWeight&>(*output.weight).input_order();
  };
  std::array<LinearOutput, kMaxOutputs> rest;
  std::ranges::copy(outputs, rest.begin());
  for (auto begin = rest.begin(), end = begin + std::ssize(outputs); begin != end;) {
    const auto* const order = order_of(*begin);
    const auto others = std::partition(
        begin, end, [&](const LinearOutput& output) { return order_of(output) == order; });
    linear_in_order(x, {begin, others});
    begin = others;
  }
}

void CpuBackend::linear_in_order(Matrix x, std::span<const LinearOutput> outputs) {
  std::array<Tiles, kActivationFormats> packed;  // by ActivationFormat
  std::array<ProductCut, kMaxOutputs> cuts;
  const std::int64_t width = kernels_->panel_width;
  std::int64_t items = 0;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto& weight = static_cast<const CpuWeight&>(*outputs[i].weight);
    RIDGELINE_CHECK(weight.cols() == x.cols && weight.rows() == outputs[i].out.cols);
    Tiles& tiles = packed[static_cast<std::size_t>(weight.kernel().activation)];
    if (tiles.data == nullptr) tiles = pack_activations(x, weight, tile_buffers_);
    cuts[i] = ProductCut::of(weight, x.rows, kMaxBlockColumns, width);
    items += cuts[i].items();
  }

  pool_.parallel_for(items, [&](std::int64_t index, int worker) {
    std::size_t i = 0;
    while (index >= cuts[i].items()) index -= cuts[i++].items();
    const LinearOutput& output = outputs[i];
    const auto& weight = static_cast<const CpuWeight&>(*output.weight);
    const std::int64_t block = index / cuts[i].row_blocks;
    const std::int64_t row_begin = index % cuts[i].row_blocks * kRowBlock;
    const WorkItem item{block * cuts[i].block_panels,
                        std::min(weight.num_panels(), (block + 1) * cuts[i].block_panels),
                        row_begin, std::min(x.rows, row_begin + kRowBlock)};
    const Tiles& tiles = packed[static_cast<std::size_t>(weight.kernel().activation)];

    const std::int64_t col = item.panel_begin * width;
    const std::int64_t cols = std::min(weight.rows(), item.panel_end * width) - col;
    float* out = output.out.data + row_begin * output.out.stride + col;
    // A panel's padding would spill into the next row, and a residual must stay.
    const bool direct = !output.add && item.panel_end * width <= weight.rows();
    float* acc =
        direct ? out : reinterpret_cast<float*>(scratch_[static_cast<std::size_t>(worker)].data());
    const std::ptrdiff_t acc_stride =
        direct ? output.out.stride : (item.panel_end - item.panel_begin) * width;
    multiply(weight, tiles, item, acc, acc_stride);

    for (std::int64_t r = 0; r < item.row_end - item.row_begin; ++r) {
      float* row = out + r * output.out.stride;
      if (!direct) {
        const float* from = acc + r * acc_stride;
        if (!output.add)
          std::copy_n(from, cols, row);
        else if (output.scale == 1.0F)
          kernels_->add(from, cols, row);
        else
          kernels_->add_scaled(from, output.scale, cols, row);
      }
      if (!output.add && output.scale != 1.0F) kernels_->scale(output.scale, cols, row);
      if (output.bias != nullptr) kernels_->add(output.bias + col, cols, row);
    }
  });
}

void CpuBackend::gated_linear(Matrix x, const PackedWeight& gate, const PackedWeight& up,
                              Matrix out, Activation f) {
  const auto& weight_gate = static_cast<const CpuWeight&>(gate);
  const auto& weight_up = static_cast<const CpuWeight&>(up);
  RIDGELINE_CHECK(gate.rows() == up.rows() && gate.cols() == up.cols() && gate.cols() == x.cols);
  if (observer_ != nullptr) observer_->observe(x, std::array{&gate, &up});
  const std::int64_t width = kernels_->panel_width;
  const bool same_format = weight_up.kernel().activation == weight_gate.kernel().activation;
  const bool same_order = weight_up.input_order() == weight_gate.input_order();
  const Tiles tiles_gate = pack_activations(x, weight_gate, tile_buffers_);
  const Tiles tiles_up =
      same_format && same_order
          ? tiles_gate
          : pack_activations(x, weight_up, same_format ? second_tile_buffers_ : tile_buffers_);
  const ProductCut cut =
      ProductCut::of(weight_gate.read_bytes() > weight_up.read_bytes() ? weight_gate : weight_up,
                     x.rows, kMaxBlockColumns / 2, width);

  pool_.parallel_for(cut.items(), [&](std::int64_t index, int worker) {
    const std::int64_t block = index / cut.row_blocks;
    const std::int64_t row_begin = index % cut.row_blocks * kRowBlock;
    const WorkItem item{block * cut.block_panels,
                        std::min(weight_gate.num_panels(), (block + 1) * cut.block_panels),
                        row_begin, std::min(x.rows, row_begin + kRowBlock)};
    const std::int64_t stride = (item.panel_end - item.panel_begin) * width;
    float* acc_gate = reinterpret_cast<float*>(scratch_[static_cast<std::size_t>(worker)].data());
    float* acc_up = acc_gate + kScratchTileFloats / 2;
    multiply(weight_gate, tiles_gate, item, acc_gate, stride);
    multiply(weight_up, tiles_up, item, acc_up, stride);

    const std::int64_t col = item.panel_begin * width;
    const std::int64_t cols = std::min(gate.rows(), item.panel_end * width) - col;
    for (std::int64_t r = 0; r < item.row_end - item.row_begin; ++r)
      kernels_->gate_mul(f, acc_gate + r * stride, acc_up + r * stride, cols,
                         out.data + (row_begin + r) * out.stride + col);
  });
}

}  // namespace ridgeline
