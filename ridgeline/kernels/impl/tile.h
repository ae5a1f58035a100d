#pragma once

#include "ridgeline/kernels/impl/panel.h"

// What all tile kernels share: where the F32 accumulators live, and prefetching.

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// 32 registers hold the accumulators of a whole tile; 16 do not, and then they stay
/// in memory (the caller's, in L1) and rows are taken a few at a time.
inline constexpr bool kManyRegisters = kLanes == 16;

/// The accumulators of a tile of kRows rows.
template <int kRows, bool kInRegisters = kManyRegisters>
struct Accumulators;

template <int kRows>
struct Accumulators<kRows, true> {
  VecF c[kRows][kVecs];
  RIDGELINE_INLINE Accumulators(float* acc, std::ptrdiff_t stride, bool resume) {
    RIDGELINE_UNROLL for (int r = 0; r < kRows; ++r)
      RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v)
        c[r][v] = resume ? load(acc + r * stride + v * kLanes) : zero_f();
  }
  RIDGELINE_INLINE VecF get(int r, int v) const {
    return c[r][v];
  }
  RIDGELINE_INLINE void set(int r, int v, VecF x) {
    c[r][v] = x;
  }
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
  RIDGELINE_INLINE VecF get(int r, int v) const {
    return load(acc + r * stride + v * kLanes);
  }
  RIDGELINE_INLINE void set(int r, int v, VecF x) {
    store(acc + r * stride + v * kLanes, x);
  }
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

/// Calls body(Index<row of the tile>, Index<rows>) for runs of at most kRun rows.
template <int kRows, int kRun, int kFirst = 0, class Body>
RIDGELINE_INLINE void row_runs(Body&& body) {
  if constexpr (kFirst < kRows) {
    // 5 rows as 3 + 2 rather than 4 + 1.
    constexpr int left = kRows - kFirst;
    constexpr int runs = (left + kRun - 1) / kRun;
    constexpr int rows = (left + runs - 1) / runs;
    body(Index<kFirst>{}, Index<rows>{});
    row_runs<kRows, kRun, kFirst + rows>(body);
  }
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
