#pragma once

#include "ridgeline/kernels/formats/f32.h"
#include "ridgeline/kernels/impl/tile.h"
#include "ridgeline/kernels/impl/weights.h"

// Tiles with F32 activations. The order: blocks of 32 along k, each one chain of
// multiply-adds that begins at zero, added to the accumulator in ascending order. With
// a chain that short, the processor overlaps several of them where there are few
// rows, and no number of rows changes a result.

namespace ridgeline::RIDGELINE_ISA {
namespace {

template <class F, int kRows, class Acc>
RIDGELINE_INLINE void add_float_block(const std::byte* block, const float* x, Acc& c,
                                      Prefetch& ahead) {
  VecF sum[kRows][kVecs];
  RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v)
      sum[r][v] = zero_f();
  RIDGELINE_LOOP for (std::size_t four = 0; four < 8; ++four) {
    ahead.step<F::kBytesPer32 / 8>();
    unroll<0, 4>([&](auto i) RIDGELINE_BODY {
      VecF w[kVecs];
      RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) w[v] = F::template weight<i>(block, four, v);
      RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) {
        const VecF a = splat(x[i * kRows + r]);
        RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) sum[r][v] = fma(w[v], a, sum[r][v]);
      }
    });
    x += 4 * kRows;
  }
  RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v)
      c.set(r, v, add(c.get(r, v), sum[r][v]));
}

template <class F, int kRows>
struct FloatKernel {
  static constexpr ActivationFormat kActivation = ActivationFormat::kF32;
  static void run(const std::byte* panel, const std::byte* tile, std::int64_t k,
                  std::int64_t k_begin, std::int64_t k_end, float* acc, std::ptrdiff_t acc_stride,
                  bool resume, const std::byte* prefetch) {
    (void)k;
    Accumulators<kRows> c(acc, acc_stride, resume);
    Prefetch ahead{prefetch};
    const float* x = floats(tile) + k_begin * kRows;
    for (std::int64_t b = k_begin / 32; b < (k_end + 31) / 32; ++b) {
      const std::byte* block = panel + static_cast<std::size_t>(b) * F::kBytesPer32;
      add_float_block<F, kRows>(block, x, c, ahead);
      x += 32 * kRows;
    }
    c.finish(acc, acc_stride);
  }
};

/// acc += 32 elements of x times the expanded weights; shared by all exact treatments.
template <int kRows>
__attribute__((noinline)) void add_expanded(const Expanded& block, const float* x, float* acc,
                                            std::ptrdiff_t acc_stride) {
  Accumulators<kRows, false> c(acc, acc_stride, true);
  Prefetch none{nullptr};
  add_float_block<F32, kRows>(reinterpret_cast<const std::byte*>(block.w), x, c, none);
}

/// A quantized type with exact activations: 32 elements at a time are expanded in L1.
template <class F, int kRows>
struct ExactKernel {
  static constexpr ActivationFormat kActivation = ActivationFormat::kF32;
  static void run(const std::byte* panel, const std::byte* tile, std::int64_t k,
                  std::int64_t k_begin, std::int64_t k_end, float* acc, std::ptrdiff_t acc_stride,
                  bool resume, const std::byte* prefetch) {
    (void)k;
    (void)prefetch;  // the arithmetic takes far longer than the memory
    const Accumulators<kRows, false> c(acc, acc_stride, resume);
    const float* x = floats(tile) + k_begin * kRows;
    Expanded block;
    for (std::int64_t b = k_begin / 32; b < k_end / 32; ++b) {
      expand<F>(panel, b, block);
      add_expanded<kRows>(block, x, acc, acc_stride);
      x += 32 * kRows;
    }
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
