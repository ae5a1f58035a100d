#pragma once

#include "ridgeline/kernels/impl/activations.h"
#include "ridgeline/kernels/impl/panel.h"

// What all tile kernels share: where the F32 accumulators live, and prefetching.

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// 32 registers hold the accumulators of a whole tile; 16 do not, and then they stay
/// in memory (the caller's, in L1).
inline constexpr bool kManyRegisters = kLanes == 16;

/// The accumulators of a tile of kRows rows.
template <int kRows, bool kInRegisters = kManyRegisters>
struct Accumulators;

template <int kRows>
struct Accumulators<kRows, true> {
  VecF c[kRows][kVecs];
  RIDGELINE_INLINE Accumulators(float* acc, std::ptrdiff_t stride, bool resume) {
    RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r)
        RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v) c[r][v] =
            resume ? load(acc + r * stride + v * kLanes) : zero_f();
  }
  RIDGELINE_INLINE VecF get(int r, int v) const { return c[r][v]; }
  RIDGELINE_INLINE void set(int r, int v, VecF x) { c[r][v] = x; }
  RIDGELINE_INLINE void finish(float* acc, std::ptrdiff_t stride) const {
    RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r)
        RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v)
            store(acc + r * stride + v * kLanes, c[r][v]);
  }
};

template <int kRows>
struct Accumulators<kRows, false> {
  float* acc;
  std::ptrdiff_t stride;
  RIDGELINE_INLINE Accumulators(float* a, std::ptrdiff_t s, bool resume) : acc(a), stride(s) {
    if (resume) return;
    for (int r = 0; r < kRows; ++r)
      for (int v = 0; v < kVecs; ++v) store(acc + r * stride + v * kLanes, zero_f());
  }
  RIDGELINE_INLINE VecF get(int r, int v) const { return load(acc + r * stride + v * kLanes); }
  RIDGELINE_INLINE void set(int r, int v, VecF x) { store(acc + r * stride + v * kLanes, x); }
  RIDGELINE_INLINE void finish(float*, std::ptrdiff_t) const {}
};

/// Brings in, piece by piece, as many bytes as the kernel itself reads.
struct Prefetch {
  const std::byte* next;
  template <std::size_t kBytes>
  RIDGELINE_INLINE void step() {
    if (next == nullptr) return;
    for (std::size_t i = 0; i < kBytes; i += kGroupBytes) __builtin_prefetch(next + i, 0, 2);
    next += kBytes;
  }
};

/// A tile of kRows rows out of sub-tiles of at most kInterleave (activations.h), each
/// with the whole range of k. Kernel<F, n>::run takes one of n rows.
template <template <class, int> class Kernel, class F, int kRows>
void run_tile(const std::byte* panel, const std::byte* tile, std::int64_t k, std::int64_t k_begin,
              std::int64_t k_end, float* acc, std::ptrdiff_t acc_stride, bool resume,
              const std::byte* prefetch) {
  constexpr int kFull = kRows / kInterleave, kRest = kRows % kInterleave;
  const std::size_t row_bytes = tile_row_bytes(Kernel<F, 1>::kActivation, k);
  for (int i = 0; i < kFull; ++i) {
    Kernel<F, kInterleave>::run(panel, tile, k, k_begin, k_end, acc, acc_stride, resume, prefetch);
    tile += kInterleave * row_bytes;
    acc += kInterleave * acc_stride;
    prefetch = nullptr;
  }
  if constexpr (kRest > 0)
    Kernel<F, kRest>::run(panel, tile, k, k_begin, k_end, acc, acc_stride, resume, prefetch);
}

/// The kernel for tiles of kRows rows.
template <template <class, int> class Kernel, class F, int kRows>
constexpr TileKernel tile_kernel() {
  if constexpr (kRows <= kInterleave)
    return Kernel<F, kRows>::run;
  else
    return run_tile<Kernel, F, kRows>;
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
