#include "ridgeline/tools/score_matrix_attention.h"

#include <algorithm>

#include "ridgeline/base/check.h"
#include "ridgeline/tools/row_softmax.h"

namespace ridgeline {
namespace {

std::int64_t round_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

/// Positions of V that a product takes at once: a tile of their scores stays in L1.
constexpr std::int64_t kChunk = 512;

}  // namespace

Result<ScoreMatrixAttention> ScoreMatrixAttention::create(const KernelTable& kernels, int head_dim,
                                                          std::span<const std::uint16_t> k,
                                                          std::span<const std::uint16_t> v) {
  ScoreMatrixAttention a;
  a.kernels_ = &kernels;
  a.weight_ = find_weight_kernel(kernels, DType::kF16, ActivationPrecision::kExact);
  a.packer_ = find_activation_kernel(kernels, ActivationFormat::kF32);
  a.head_dim_ = head_dim;
  a.positions_ = static_cast<std::int64_t>(k.size()) / head_dim;
  a.stride_ = round_up(a.positions_, kernels.panel_width);
  RIDGELINE_CHECK(k.size() == v.size());
  RIDGELINE_TRY(a.k_panels_, a.pack(k, a.positions_, head_dim));
  std::vector<std::uint16_t> transposed;
  for (std::int64_t begin = 0; begin < a.positions_; begin += kChunk) {
    const std::int64_t n = a.chunk_positions(begin / kChunk);
    transposed.resize(static_cast<std::size_t>(n * head_dim));
    for (std::int64_t p = 0; p < n; ++p)
      for (int i = 0; i < head_dim; ++i)
        transposed[static_cast<std::size_t>(i * n + p)] =
            v[static_cast<std::size_t>((begin + p) * head_dim + i)];
    RIDGELINE_TRY(Buffer panels, a.pack(transposed, head_dim, n));
    a.v_panels_.push_back(std::move(panels));
  }
  RIDGELINE_TRY(a.scores_,
                Buffer::allocate(static_cast<std::size_t>(a.positions_ * a.stride_) * sizeof(float),
                                 "a score matrix"));
  RIDGELINE_TRY(a.tile_,
                Buffer::allocate(
                    a.packer_->tile_bytes(kMaxTileRows, std::max<std::int64_t>(head_dim, kChunk)),
                    "packed scores"));
  a.scaled_.resize(static_cast<std::size_t>(kMaxTileRows * head_dim));
  a.touch_scores();
  return a;
}

std::int64_t ScoreMatrixAttention::chunk_positions(std::int64_t chunk) const {
  return std::min(kChunk, positions_ - chunk * kChunk);
}

/// Has the system hand out the pages that run() will use.
void ScoreMatrixAttention::touch_scores() {
  constexpr std::int64_t kPageFloats = 1024;
  auto* scores = reinterpret_cast<volatile float*>(scores_.data());
  for (std::int64_t r = 0; r < positions_; ++r)
    for (std::int64_t c = 0; c < std::min(stride_, r + kPageFloats); c += kPageFloats)
      scores[r * stride_ + c] = 0;
}

Result<Buffer> ScoreMatrixAttention::pack(std::span<const std::uint16_t> rows, std::int64_t count,
                                          std::int64_t cols) {
  const int width = kernels_->panel_width;
  const std::int64_t panels = (count + width - 1) / width;
  const std::size_t bytes = weight_->panel_bytes(cols);
  RIDGELINE_TRY(Buffer packed,
                Buffer::allocate(bytes * static_cast<std::size_t>(panels), "K or V"));
  for (std::int64_t p = 0; p < panels; ++p)
    weight_->pack_panel(reinterpret_cast<const std::byte*>(rows.data() + p * width * cols),
                        static_cast<std::size_t>(cols) * sizeof(std::uint16_t),
                        static_cast<int>(std::min<std::int64_t>(width, count - p * width)), cols,
                        packed.data() + static_cast<std::size_t>(p) * bytes);
  return packed;
}

int ScoreMatrixAttention::tile_rows(std::int64_t first) const {
  return static_cast<int>(std::min<std::int64_t>(kMaxTileRows, positions_ - first));
}

void ScoreMatrixAttention::run(const float* q, float scale, float* out) {
  compute_scores(q, scale);
  softmax_rows();
  weigh_values(out);
}

void ScoreMatrixAttention::compute_scores(const float* q, float scale) {
  const std::size_t panel_bytes = weight_->panel_bytes(head_dim_);
  auto* scores = reinterpret_cast<float*>(scores_.data());
  for (std::int64_t r = 0; r < positions_; r += kMaxTileRows) {
    const int rows = tile_rows(r);
    for (int i = 0; i < rows * head_dim_; ++i)
      scaled_[static_cast<std::size_t>(i)] = q[r * head_dim_ + i] * scale;
    packer_->pack(scaled_.data(), head_dim_, rows, head_dim_, tile_.data());
    for (std::int64_t c = 0; c < r + rows; c += kernels_->panel_width)
      weight_->tile[rows](
          k_panels_.data() + static_cast<std::size_t>(c / kernels_->panel_width) * panel_bytes,
          tile_.data(), head_dim_, 0, head_dim_, scores + r * stride_ + c, stride_, false, nullptr);
  }
}

void ScoreMatrixAttention::softmax_rows() {
  for (std::int64_t r = 0; r < positions_; ++r) {
    float* row = reinterpret_cast<float*>(scores_.data()) + r * stride_;
    const float sum = exponentiate(row, r + 1, largest_of(row, r + 1));
    for (std::int64_t i = 0; i <= r; ++i) row[i] /= sum;
    // Up to where the tile's products with V may end.
    std::fill(row + r + 1, row + std::min(stride_, round_up(r + kMaxTileRows, weight_->k_step)),
              0.0F);
  }
}

void ScoreMatrixAttention::weigh_values(float* out) {
  const int width = kernels_->panel_width;
  const std::int64_t columns = round_up(head_dim_, width);
  std::vector<float> acc(static_cast<std::size_t>(kMaxTileRows * columns));
  for (std::int64_t r = 0; r < positions_; r += kMaxTileRows) {
    const int rows = tile_rows(r);
    const float* scores = reinterpret_cast<const float*>(scores_.data()) + r * stride_;
    for (std::int64_t begin = 0; begin < r + rows; begin += kChunk) {
      const std::int64_t n = chunk_positions(begin / kChunk);
      const std::int64_t end = std::min(n, round_up(r + rows - begin, weight_->k_step));
      packer_->pack(scores + begin, stride_, rows, n, tile_.data());
      const Buffer& panels = v_panels_[static_cast<std::size_t>(begin / kChunk)];
      for (std::int64_t c = 0; c < columns; c += width)
        weight_->tile[rows](
            panels.data() + static_cast<std::size_t>(c / width) * weight_->panel_bytes(n),
            tile_.data(), n, 0, end, acc.data() + c, columns, begin > 0, nullptr);
    }
    for (int i = 0; i < rows; ++i)
      std::copy_n(acc.data() + i * columns, head_dim_, out + (r + i) * head_dim_);
  }
}

std::size_t ScoreMatrixAttention::memory_bytes() const { return scores_.size() + tile_.size(); }

std::size_t ScoreMatrixAttention::matrix_bytes(std::int64_t positions) {
  return static_cast<std::size_t>(positions * positions) * sizeof(float);
}

}  // namespace ridgeline
