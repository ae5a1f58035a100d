#pragma once

#include "ridgeline/kernels/formats/bf16.h"
#include "ridgeline/kernels/impl/tile.h"
#include "ridgeline/kernels/impl/weights.h"

// BF16 weights with activations rounded to BF16: vdpbf16ps multiplies pairs and adds
// in F32. Order: as in float_products.h, blocks of 32 along k.

namespace ridgeline::RIDGELINE_ISA {
namespace {

RIDGELINE_INLINE VecF dot_bf16(VecF acc, VecI w, const std::byte* x) {
  asm("vdpbf16ps %2%{1to16%}, %1, %0"
      : "+v"(acc)
      : "v"(w), "m"(*reinterpret_cast<const std::int32_t*>(x)));
  return acc;
}

template <class F, int kRows>
struct Bf16Kernel {
  static constexpr ActivationFormat kActivation = ActivationFormat::kBF16;
  static void run(const std::byte* panel, const std::byte* tile, std::int64_t k,
                  std::int64_t k_begin, std::int64_t k_end, float* acc, std::ptrdiff_t acc_stride,
                  bool resume, const std::byte* prefetch) {
    (void)k;
    Accumulators<kRows> c(acc, acc_stride, resume);
    Prefetch ahead{prefetch};
    const std::byte* x = tile + static_cast<std::size_t>(k_begin) * kRows * 2;
    for (std::int64_t b = k_begin / 32; b < (k_end + 31) / 32; ++b) {
      const std::byte* block = panel + static_cast<std::size_t>(b) * F::kBytesPer32;
      VecF sum[kRows];
      RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) sum[r] = zero_f();
      RIDGELINE_UNROLL for (int i = 0; i < 16; ++i) {
        if (i % 4 == 0) ahead.step<F::kBytesPer32 / 4>();
        const VecI w = F::pair(block, static_cast<std::size_t>(i), 0);
        RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) sum[r] =
            dot_bf16(sum[r], w, x + (i * kRows + r) * 4);
      }
      RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r) c.set(r, 0, add(c.get(r, 0), sum[r]));
      x += 64 * kRows;
    }
    c.finish(acc, acc_stride);
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
