#include "ridgeline/tools/ptq/gptq.h"

#include <fmt/format.h>

#include <algorithm>

#include "ridgeline/base/check.h"
#include "ridgeline/quant/block_grid.h"
#include "ridgeline/tools/ptq/gptq_factor.h"
#include "ridgeline/tools/ptq/gptq_refine.h"
#include "ridgeline/tools/ptq/gptq_tile.h"

namespace ridgeline::ptq {
namespace {

std::int64_t tiles_of(std::int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }

/// Rows whose errors are kept at once: for each refinement of them the Hessian is packed anew.
constexpr std::int64_t kChunkRows = 2048;

class Rounding final : public Gptq {
 public:
  Rounding(Hessian hessian, GptqFactor factor, int refinements, std::vector<float> importance,
           LinearAlgebra& algebra, std::string what)
      : hessian_(std::move(hessian)),
        factor_(std::move(factor)),
        refinements_(refinements),
        importance_(std::move(importance)),
        algebra_(algebra),
        what_(std::move(what)) {}

  Status quantize(std::span<const float> w, std::int64_t rows, DType type, std::byte* out,
                  TensorQuality& quality) override;
  std::span<const float> importance() const override { return importance_; }
  double damping() const override { return factor_.damping(); }

 private:
  /// What becomes of kChunkRows rows.
  struct Chunk {
    std::vector<float> errors, feedback;
    std::vector<std::uint8_t> levels;
    std::vector<BlockGrid> grids;
  };
  GptqTile::Rows rows_of(Chunk& chunk, const float* w, std::int64_t rows, std::int64_t tile) const;
  void round(const GridFormat& format, const float* w, std::int64_t rows, Chunk& chunk);
  Status refine(const GridFormat& format, const float* w, std::int64_t rows, Chunk& chunk);
  void pack(const GridFormat& format, const float* w, std::int64_t rows, const Chunk& chunk,
            std::byte* out, std::span<TensorQuality> qualities);

  Hessian hessian_;  ///< damped, by position
  GptqFactor factor_;
  int refinements_;
  std::vector<float> importance_;
  LinearAlgebra& algebra_;
  std::string what_;
};

Status Rounding::quantize(std::span<const float> w, std::int64_t rows, DType type, std::byte* out,
                          TensorQuality& quality) {
  const std::int64_t cols = factor_.cols();
  const GridFormat* format = grid_format(type);
  if (format == nullptr)
    return fail(fmt::format("{}: GPTQ cannot round to type {}, which is no grid of levels", what_,
                            name(type)));
  if (cols % format->block_elements != 0 || factor_.block() % format->block_elements != 0)
    return fail(fmt::format("{}: {} inputs in blocks of {} cannot be of type {}, whose block is {}",
                            what_, cols, factor_.block(), name(type), format->block_elements));
  RIDGELINE_CHECK(static_cast<std::int64_t>(w.size()) == rows * cols);

  const std::int64_t most = std::min(rows, kChunkRows);
  Chunk chunk;
  chunk.errors.resize(static_cast<std::size_t>(most * cols));
  chunk.feedback.resize(static_cast<std::size_t>(most * GptqFactor::kBatch));
  chunk.levels.resize(static_cast<std::size_t>(most * cols));
  chunk.grids.resize(static_cast<std::size_t>(most * (cols / format->block_elements)));

  const std::size_t bytes = row_bytes(type, cols);
  std::vector<TensorQuality> qualities;
  for (std::int64_t row = 0; row < rows; row += kChunkRows) {
    const std::int64_t count = std::min(kChunkRows, rows - row);
    const float* from = w.data() + row * cols;
    round(*format, from, count, chunk);
    for (int i = 0; i < refinements_; ++i)
      RIDGELINE_TRY_STATUS(refine(*format, from, count, chunk));
    qualities.assign(static_cast<std::size_t>(count), {});
    pack(*format, from, count, chunk, out + static_cast<std::size_t>(row) * bytes, qualities);
    // In the order of the rows, so that the sums do not depend on the threads.
    for (const TensorQuality& q : qualities) quality.add(q);
  }
  return {};
}

GptqTile::Rows Rounding::rows_of(Chunk& chunk, const float* w, std::int64_t rows,
                                 std::int64_t tile) const {
  const std::int64_t row = tile * kTileRows, cols = factor_.cols();
  const auto blocks = static_cast<std::int64_t>(chunk.grids.size()) * cols /
                      static_cast<std::int64_t>(chunk.levels.size());
  return {static_cast<int>(std::min<std::int64_t>(kTileRows, rows - row)), w + row * cols,
          chunk.levels.data() + row * cols, chunk.grids.data() + row * blocks,
          chunk.errors.data() + row * cols};
}

void Rounding::round(const GridFormat& format, const float* w, std::int64_t rows, Chunk& chunk) {
  const std::int64_t cols = factor_.cols();
  std::vector<GptqTile> tiles;
  for (int i = 0; i < algebra_.threads().size(); ++i) tiles.emplace_back(format, factor_);
  for (const GptqFactor::Batch& batch : factor_.batches()) {
    const std::int64_t later = cols - batch.end;
    std::ranges::fill(chunk.feedback, 0.0F);
    if (later > 0)
      algebra_.add_product({chunk.errors.data() + batch.end, rows, later, cols}, batch.later, 1.0F,
                           {chunk.feedback.data(), rows, batch.width(), GptqFactor::kBatch});
    algebra_.threads().parallel_for(tiles_of(rows), [&](std::int64_t tile, int worker) {
      tiles[static_cast<std::size_t>(worker)].round(
          batch, chunk.feedback.data() + tile * kTileRows * GptqFactor::kBatch, GptqFactor::kBatch,
          rows_of(chunk, w, rows, tile));
    });
  }
}

Status Rounding::refine(const GridFormat& format, const float* w, std::int64_t rows, Chunk& chunk) {
  const std::int64_t cols = factor_.cols();
  std::vector<RefineTile> tiles;
  for (int i = 0; i < algebra_.threads().size(); ++i) tiles.emplace_back(format, factor_);
  PackedMatrix packed;
  std::vector<float> square;
  for (const GptqFactor::Batch& batch : factor_.batches()) {
    // H is symmetric: its rows are the columns that e H needs.
    float* from = hessian_.data() + batch.begin * cols;
    RIDGELINE_TRY_STATUS(algebra_.pack({from, batch.width(), cols, cols}, packed));
    square.clear();
    for (std::int64_t k = 0; k < batch.width(); ++k)
      square.insert(square.end(), from + k * cols + batch.begin, from + k * cols + batch.end);
    std::ranges::fill(chunk.feedback, 0.0F);
    algebra_.add_product({chunk.errors.data(), rows, cols, cols}, packed, 1.0F,
                         {chunk.feedback.data(), rows, batch.width(), GptqFactor::kBatch});
    algebra_.threads().parallel_for(tiles_of(rows), [&](std::int64_t tile, int worker) {
      tiles[static_cast<std::size_t>(worker)].refine(
          batch.begin, batch.end, square.data(),
          chunk.feedback.data() + tile * kTileRows * GptqFactor::kBatch, GptqFactor::kBatch,
          rows_of(chunk, w, rows, tile));
    });
  }
  return {};
}

void Rounding::pack(const GridFormat& format, const float* w, std::int64_t rows, const Chunk& chunk,
                    std::byte* out, std::span<TensorQuality> qualities) {
  const std::int64_t cols = factor_.cols(), blocks = cols / format.block_elements;
  const std::size_t block_bytes = static_cast<std::size_t>(info(format.dtype).block_bytes);
  algebra_.threads().parallel_for(rows, [&](std::int64_t row, int) {
    std::vector<float> decoded(static_cast<std::size_t>(format.block_elements));
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::int64_t at = row * cols + b * format.block_elements;
      const BlockGrid& grid = chunk.grids[static_cast<std::size_t>(row * blocks + b)];
      const std::uint8_t* levels = chunk.levels.data() + at;
      for (int i = 0; i < format.block_elements; ++i)
        decoded[static_cast<std::size_t>(i)] =
            format.value(grid, i / format.sub_elements, levels[i]);
      qualities[static_cast<std::size_t>(row)].add({w + at, decoded.size()}, decoded);
      format.pack(grid, levels, out + static_cast<std::size_t>(row * blocks + b) * block_bytes);
    }
  });
}

}  // namespace

Result<std::unique_ptr<Gptq>> Gptq::prepare(Hessian hessian, const GptqOptions& options,
                                            LinearAlgebra& algebra, const std::string& what,
                                            Matrix missing) {
  const std::int64_t n = hessian.cols();
  std::vector<float> importance(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i)
    importance[static_cast<std::size_t>(i)] =
        hessian.data()[i * n + i] / static_cast<float>(std::max<std::int64_t>(1, hessian.rows()));
  RIDGELINE_TRY(auto factor, GptqFactor::make(hessian, options, algebra, what, missing));
  return std::make_unique<Rounding>(std::move(hessian), std::move(factor), options.refinements,
                                    std::move(importance), algebra, what);
}

}  // namespace ridgeline::ptq
