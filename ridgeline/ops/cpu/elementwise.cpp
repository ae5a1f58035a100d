// The row by row operations: each row's arithmetic is its own.

#include <algorithm>
#include <cmath>

#include "ridgeline/base/check.h"
#include "ridgeline/ops/cpu/for_rows.h"

namespace ridgeline {

void CpuBackend::embed(const PackedWeight& table, std::span<const std::int32_t> tokens,
                       Matrix out) {
  const auto& weight = static_cast<const CpuWeight&>(table);
  RIDGELINE_CHECK(weight.input_order() == nullptr);
  for_rows(static_cast<std::int64_t>(tokens.size()), out.cols,
           [&](std::int64_t begin, std::int64_t end) {
             for (std::int64_t r = begin; r < end; ++r) {
               const std::int64_t token = tokens[static_cast<std::size_t>(r)];
               RIDGELINE_CHECK(token >= 0 && token < weight.rows());
               weight.kernel().decode_row(weight.panel(token / kernels_->panel_width),
                                          static_cast<int>(token % kernels_->panel_width),
                                          weight.cols(), out.data + r * out.stride);
             }
           });
}

void CpuBackend::rms_norm(Matrix x, const float* weight, float eps, Matrix out) {
  for_rows(x.rows, x.cols, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r)
      kernels_->rms_norm(x.data + r * x.stride, weight, eps, x.cols, out.data + r * out.stride);
  });
}

void CpuBackend::layer_norm(Matrix x, const float* weight, const float* bias, float eps,
                            Matrix out) {
  for_rows(x.rows, x.cols, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r)
      kernels_->layer_norm(x.data + r * x.stride, weight, bias, eps, x.cols,
                           out.data + r * out.stride);
  });
}

void CpuBackend::activate(Matrix x, Activation f) {
  RIDGELINE_CHECK(f != Activation::kSwigluOai);
  for_rows(x.rows, x.cols, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r)
      kernels_->activate(f, x.data + r * x.stride, x.cols, x.data + r * x.stride);
  });
}

void CpuBackend::add(Matrix x, Matrix y) {
  RIDGELINE_CHECK(x.rows == y.rows && x.cols == y.cols);
  for_rows(x.rows, x.cols, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r)
      kernels_->add(x.data + r * x.stride, x.cols, y.data + r * y.stride);
  });
}

void CpuBackend::scale(Matrix x, float factor) {
  for_rows(x.rows, x.cols, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r)
      kernels_->scale(factor, x.cols, x.data + r * x.stride);
  });
}

void CpuBackend::softcap(Matrix x, float cap) {
  for_rows(x.rows, x.cols, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r)
      kernels_->softcap(cap, x.cols, x.data + r * x.stride);
  });
}

void CpuBackend::rope_table(std::span<const SequenceSlice> slices,
                            std::span<const float> inverse_frequencies, float magnitude,
                            Matrix table) {
  const auto half = static_cast<std::int64_t>(inverse_frequencies.size());
  RIDGELINE_CHECK(table.cols == 2 * half);
  for (const SequenceSlice& slice : slices) {
    // A sine costs about twenty times a multiplication: share out early.
    for_rows(slice.rows, table.cols * 20, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        float* row = table.data + (slice.first_row + r) * table.stride;
        const auto position = static_cast<double>(slice.first_position + r);
        for (std::int64_t i = 0; i < half; ++i) {
          const double angle =
              position * static_cast<double>(inverse_frequencies[static_cast<std::size_t>(i)]);
          row[i] = static_cast<float>(std::cos(angle)) * magnitude;
          row[half + i] = static_cast<float>(std::sin(angle)) * magnitude;
        }
      }
    });
  }
}

void CpuBackend::rope(Matrix x, int heads, Matrix table, RopeStyle style) {
  const auto rotate = style == RopeStyle::kHalf ? kernels_->rope_half : kernels_->rope_interleaved;
  const std::int64_t head_dim = x.cols / heads;
  for_rows(x.rows, x.cols, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r)
      for (int h = 0; h < heads; ++h)
        rotate(x.data + r * x.stride + h * head_dim, table.data + r * table.stride,
               static_cast<int>(table.cols));
  });
}

void CpuBackend::copy_heads(Matrix x, Matrix out, int heads, std::int64_t width) {
  for_rows(x.rows, heads * width, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r)
      for (int h = 0; h < heads; ++h)
        std::copy_n(x.data + r * x.stride + h * (x.cols / heads), width,
                    out.data + r * out.stride + h * (out.cols / heads));
  });
}

void CpuBackend::gather_rows(Matrix x, std::span<const std::int32_t> rows, Matrix out) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const float* from = x.data + rows[i] * x.stride;
    float* to = out.data + static_cast<std::int64_t>(i) * out.stride;
    if (from != to) std::copy_n(from, x.cols, to);
  }
}

void CpuBackend::read(Matrix x, std::span<float> out) {
  RIDGELINE_CHECK(static_cast<std::int64_t>(out.size()) == x.rows * x.cols);
  for (std::int64_t r = 0; r < x.rows; ++r)
    std::copy_n(x.data + r * x.stride, x.cols, out.data() + r * x.cols);
}

void CpuBackend::write(std::span<const float> from, Matrix x) {
  RIDGELINE_CHECK(static_cast<std::int64_t>(from.size()) == x.rows * x.cols);
  for (std::int64_t r = 0; r < x.rows; ++r)
    std::copy_n(from.data() + r * x.cols, x.cols, x.data + r * x.stride);
}

}  // namespace ridgeline
