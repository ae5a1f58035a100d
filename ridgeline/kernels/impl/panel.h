#pragma once

#include "ridgeline/kernels/impl/simd.h"
#include "ridgeline/kernels/kernel_table.h"

// Packed weights. A panel holds kPanelWidth output rows of a weight for all of k, as
// a stream of 64-byte groups. In a group of a quantized type, 32-bit lane r belongs
// to row r of the panel and holds four consecutive elements along k, one byte (or
// nibble, or bit) each:
//
//   byte      0  1  2  3    4  5  6  7          60 61 62 63
//           ┌─────────────┬─────────────┬─────┬─────────────┐
//   group g │ k k+1 .. +3 │ k k+1 .. +3 │ ... │ k k+1 .. +3 │   k = 4 g
//           └─────────────┴─────────────┴─────┴─────────────┘
//               row 0         row 1              row 15
//
// That is what vpdpbusd wants: one instruction multiplies a group with four
// activations that all lanes share. And since GGUF's blocks keep neighbours along k
// in neighbouring bytes, a panel is little else than the file's rows transposed in
// units of four bytes, at the file's size.

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// The same in every ISA: two vectors of 8 where there are no vectors of 16, which
/// lets each broadcast activation serve two multiplications.
inline constexpr int kPanelWidth = 16;
inline constexpr int kVecs = kPanelWidth / kLanes;
inline constexpr int kVecBytes = kLanes * 4;
inline constexpr std::size_t kGroupBytes = 64;
static_assert(kVecs * kVecBytes == kGroupBytes);

/// A constant that a lambda can take as an argument.
template <int n>
struct Index {
  static constexpr int value = n;
  constexpr operator int() const { return n; }
};

/// Lambdas marked so are inlined whatever they cost.
#define RIDGELINE_BODY __attribute__((always_inline))

/// body(Index<begin>{}), ..., body(Index<end - 1>{}). Arrays indexed by these stay in
/// registers; after GCC's own unrolling they often do not.
template <int begin, int end, class Body>
RIDGELINE_INLINE void unroll(Body&& body) {
  if constexpr (begin < end) {
    body(Index<begin>{});
    unroll<begin + 1, end>(body);
  }
}

/// Loops of a few steps over arrays that must end up in registers, and loops that
/// must stay loops (eight row counts, each unrolled, are code enough).
#define RIDGELINE_UNROLL _Pragma("GCC unroll 16")
#define RIDGELINE_LOOP _Pragma("GCC unroll 1")

/// Some rows of a weight in the file's format.
struct Rows {
  const std::byte* data;
  std::size_t stride;  ///< bytes
  int count;           ///< <= kPanelWidth

  Rows at(std::size_t offset) const { return {data + offset, stride, count}; }
  const std::byte* row(int r) const { return data + static_cast<std::size_t>(r) * stride; }
};

/// `groups` groups: lane r of group g = the g-th element of `T` of row r. Rows that
/// are missing give zeros.
template <class T>
inline void transpose(Rows from, std::int64_t groups, std::byte* to) {
  // A cache line of each row at a time: rows a power of two apart share one set of L1.
  constexpr std::int64_t kRun = 64 / sizeof(T);
  T lane[kRun][kPanelWidth];
  if (from.count < kPanelWidth) std::memset(lane, 0, sizeof lane);
  std::int64_t begin = 0;
  for (; begin + kRun <= groups; begin += kRun) {
    for (int r = 0; r < from.count; ++r) {
      const std::byte* row = from.row(r) + static_cast<std::size_t>(begin) * sizeof(T);
      for (std::int64_t g = 0; g < kRun; ++g, row += sizeof(T))
        std::memcpy(&lane[g][r], row, sizeof(T));
    }
    std::memcpy(to, lane, sizeof lane);
    to += sizeof lane;
  }
  for (; begin < groups; ++begin) {
    for (int r = 0; r < from.count; ++r)
      std::memcpy(&lane[0][r], from.row(r) + static_cast<std::size_t>(begin) * sizeof(T),
                  sizeof(T));
    std::memcpy(to, lane[0], sizeof lane[0]);
    to += sizeof lane[0];
  }
}

/// Four activations in every lane; and one float.
RIDGELINE_INLINE std::int32_t load_dword(const std::byte* p) {
  std::int32_t x;
  std::memcpy(&x, p, sizeof x);
  return x;
}
RIDGELINE_INLINE VecI broadcast_i(const std::byte* p) { return splat_i(load_dword(p)); }
RIDGELINE_INLINE VecF broadcast_f(const std::byte* p) {
  float x;
  std::memcpy(&x, p, sizeof x);
  return splat(x);
}
RIDGELINE_INLINE const float* floats(const std::byte* p) {
  return reinterpret_cast<const float*>(p);
}

/// The same pointer, but the compiler does not know: what was loaded through it before
/// is loaded again (from L1) rather than kept in a register, of which there are none.
RIDGELINE_INLINE const std::byte* reload(const std::byte* p) {
  asm volatile("" : "+r"(p));
  return p;
}
/// n, as a number that the compiler does not know: a loop of n steps stays a loop.
RIDGELINE_INLINE int opaque(int n) {
  asm("" : "+r"(n));
  return n;
}
/// Has v computed here, not put off to its use with all that it is computed from.
RIDGELINE_INLINE void compute_now(VecI& v) {
#if defined(__AVX512F__)
  asm volatile("" : "+v"(v));
#elif defined(__AVX2__)
  asm volatile("" : "+x"(v));
#else
  (void)v;
#endif
}

/// Byte i of each lane, zero extended.
template <int i>
RIDGELINE_INLINE VecI byte_of(VecI v) {
  if constexpr (i == 3)
    return shift_right<24>(v);
  else if constexpr (i == 0)
    return bit_and(v, splat_i(0xff));
  else
    return bit_and(shift_right<8 * i>(v), splat_i(0xff));
}
/// Bytes 0..3 of each lane as the lanes of vector v of out[0..3].
RIDGELINE_INLINE void store_bytes(VecI bytes, std::int32_t (*out)[kPanelWidth], int v) {
  store_i(&out[0][v * kLanes], byte_of<0>(bytes));
  store_i(&out[1][v * kLanes], byte_of<1>(bytes));
  store_i(&out[2][v * kLanes], byte_of<2>(bytes));
  store_i(&out[3][v * kLanes], byte_of<3>(bytes));
}
RIDGELINE_INLINE void store_signed_bytes(VecI bytes, std::int32_t (*out)[kPanelWidth], int v) {
  store_i(&out[0][v * kLanes], shift_right_signed<24>(shift_left<24>(bytes)));
  store_i(&out[1][v * kLanes], shift_right_signed<24>(shift_left<16>(bytes)));
  store_i(&out[2][v * kLanes], shift_right_signed<24>(shift_left<8>(bytes)));
  store_i(&out[3][v * kLanes], shift_right_signed<24>(bytes));
}

/// `groups` groups of signed bytes, of which lane r has four of row r.
template <std::size_t groups>
RIDGELINE_INLINE void unpack_signed_scales(const std::byte* from,
                                           std::int32_t (*out)[kPanelWidth]) {
  RIDGELINE_UNROLL for (std::size_t q = 0; q < groups; ++q)
      RIDGELINE_UNROLL for (int v = 0; v < kVecs; ++v)
          store_signed_bytes(load_i(from + q * kGroupBytes + v * kVecBytes), out + 4 * q, v);
}

/// Byte i of each lane, with its sign.
template <int i>
RIDGELINE_INLINE VecI signed_byte_of(VecI v) {
  if constexpr (i == 3)
    return shift_right_signed<24>(v);
  else
    return shift_right_signed<24>(shift_left<24 - 8 * i>(v));
}

/// Panels of types with blocks of 32 elements (Q4_0 and its kin). As many blocks go
/// together as have their scales in one group, so that groups stay aligned; of two:
///
///   ┌────────────────────┬────────────────────┬─────────────────┬─────────────────┐
///   │ scales of block 2p │ scales of 2p + 1   │ values of 2p    │ values of 2p + 1│
///   └────────────────────┴────────────────────┴─────────────────┴─────────────────┘
///     16 F16               16 F16               kValueBytes       kValueBytes
///
/// What k leaves of the last ones is zero. The file's blocks begin with the F16 scale d,
/// and where the panel has room for two, the F16 offset m follows (x = d · level + m).
template <class FileBlock, std::size_t kValueBytes, std::size_t kScaleBytes = 32>
struct SmallBlocks {
  using File = FileBlock;
  struct Block {
    const std::byte* scales;
    const std::byte* values;
  };
  static constexpr int kElements = 32;
  static constexpr bool kHasMins = kScaleBytes == 64;
  static constexpr int kTogether = static_cast<int>(kGroupBytes / kScaleBytes);
  static constexpr int kShift = kTogether == 4 ? 2 : kTogether == 2 ? 1 : 0;
  static constexpr std::size_t kBytesPer32 = kScaleBytes + kValueBytes;
  static_assert(kTogether == 1 << kShift);

  static std::size_t panel_bytes(std::int64_t k) {
    return static_cast<std::size_t>((k / 32 + kTogether - 1) >> kShift) * kTogether * kBytesPer32;
  }
  static RIDGELINE_INLINE std::size_t scales_at(std::int64_t b) {
    return static_cast<std::size_t>(b >> kShift) * (kTogether * kBytesPer32) +
           static_cast<std::size_t>(b & (kTogether - 1)) * kScaleBytes;
  }
  static RIDGELINE_INLINE std::size_t values_at(std::int64_t b) {
    return static_cast<std::size_t>(b >> kShift) * (kTogether * kBytesPer32) + kGroupBytes +
           static_cast<std::size_t>(b & (kTogether - 1)) * kValueBytes;
  }
  static RIDGELINE_INLINE Block at(const std::byte* panel, std::int64_t b) {
    return {panel + scales_at(b), panel + values_at(b)};
  }
  static void pack_scales(Rows blocks, std::byte* to) {
    transpose<std::uint16_t>(blocks, kHasMins ? 2 : 1, to);
  }
  static RIDGELINE_INLINE VecF scale(Block block, int v) {
    return load_f16(block.scales + v * (kVecBytes / 2));
  }
  static RIDGELINE_INLINE VecF offset(Block block, int v) {
    return load_f16(block.scales + 32 + v * (kVecBytes / 2));
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
