#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define RIDGELINE_INLINE inline __attribute__((always_inline))

// Portable vectors of 8: the compiler's own vector type, lowered to whatever the
// target has (SSE2 on baseline x86-64).

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// No SIMD to speak of: short code is better than wide code.
inline constexpr bool kPortable = true;
inline constexpr int kLanes = 8;
typedef float VecF __attribute__((vector_size(32)));
typedef std::int32_t VecI __attribute__((vector_size(32)));
typedef std::uint32_t VecU __attribute__((vector_size(32)));
using Mask = VecI;  // all ones or all zeros in each lane

/// By bits: of `m ? a : b` the compiler makes a scalar loop where vectors are narrower.
RIDGELINE_INLINE VecI select_bits(Mask m, VecI a, VecI b) { return (a & m) | (b & ~m); }
RIDGELINE_INLINE VecF select(Mask m, VecF if_set, VecF if_clear) {
  return (VecF)select_bits(m, (VecI)if_set, (VecI)if_clear);
}

// --- floats -------------------------------------------------------------------

RIDGELINE_INLINE VecF splat(float x) { return VecF{x, x, x, x, x, x, x, x}; }
RIDGELINE_INLINE VecF zero_f() { return splat(0.0f); }
RIDGELINE_INLINE VecF load(const float* p) {
  VecF v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
RIDGELINE_INLINE void store(float* p, VecF v) { std::memcpy(p, &v, sizeof v); }

RIDGELINE_INLINE VecF add(VecF a, VecF b) { return a + b; }
RIDGELINE_INLINE VecF sub(VecF a, VecF b) { return a - b; }
RIDGELINE_INLINE VecF mul(VecF a, VecF b) { return a * b; }
RIDGELINE_INLINE VecF div(VecF a, VecF b) { return a / b; }
/// a b + c, rounded twice here.
RIDGELINE_INLINE VecF fma(VecF a, VecF b, VecF c) { return a * b + c; }
/// c - a b
RIDGELINE_INLINE VecF fnma(VecF a, VecF b, VecF c) { return c - a * b; }
/// The second operand where either is NaN (x86's rule, in every ISA).
RIDGELINE_INLINE VecF max(VecF a, VecF b) { return select(a > b, a, b); }
RIDGELINE_INLINE VecF min(VecF a, VecF b) { return select(a < b, a, b); }

// --- integers -----------------------------------------------------------------

RIDGELINE_INLINE VecI splat_i(std::int32_t x) { return VecI{x, x, x, x, x, x, x, x}; }
RIDGELINE_INLINE VecI zero_i() { return splat_i(0); }
RIDGELINE_INLINE VecI load_i(const void* p) {
  VecI v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
RIDGELINE_INLINE void store_i(void* p, VecI v) { std::memcpy(p, &v, sizeof v); }
// Through unsigned: overflow wraps, as in the other ISAs.
RIDGELINE_INLINE VecI add(VecI a, VecI b) { return (VecI)((VecU)a + (VecU)b); }
RIDGELINE_INLINE VecI sub(VecI a, VecI b) { return (VecI)((VecU)a - (VecU)b); }
RIDGELINE_INLINE VecI mul(VecI a, VecI b) { return (VecI)((VecU)a * (VecU)b); }
RIDGELINE_INLINE VecI bit_and(VecI a, VecI b) { return a & b; }
RIDGELINE_INLINE VecI bit_or(VecI a, VecI b) { return a | b; }
RIDGELINE_INLINE VecI bit_xor(VecI a, VecI b) { return a ^ b; }
template <int n>
RIDGELINE_INLINE VecI shift_left(VecI a) {
  return (VecI)((VecU)a << n);
}
template <int n>
RIDGELINE_INLINE VecI shift_right(VecI a) {  // zeros come in
  return (VecI)((VecU)a >> n);
}
template <int n>
RIDGELINE_INLINE VecI shift_right_signed(VecI a) {
  return a >> n;
}
RIDGELINE_INLINE VecI max(VecI a, VecI b) { return select_bits(a > b, a, b); }
/// The lowest byte of each lane.
RIDGELINE_INLINE void store_low_bytes(void* p, VecI v) {
  std::uint8_t bytes[kLanes];
  for (int i = 0; i < kLanes; ++i) bytes[i] = static_cast<std::uint8_t>(v[i]);
  std::memcpy(p, bytes, sizeof bytes);
}

// --- between the two ----------------------------------------------------------

RIDGELINE_INLINE VecF to_float(VecI a) { return __builtin_convertvector(a, VecF); }
RIDGELINE_INLINE VecI bits(VecF a) { return (VecI)a; }
RIDGELINE_INLINE VecF from_bits(VecI a) { return (VecF)a; }
RIDGELINE_INLINE VecF abs(VecF a) { return from_bits(bits(a) & splat_i(0x7fffffff)); }
/// To nearest, ties to even; 0x80000000 where it does not fit or is NaN.
RIDGELINE_INLINE VecI to_int(VecF a) {
  VecI r;
  for (int i = 0; i < kLanes; ++i) {
    const float x = a[i];
    r[i] = x >= -2147483648.0f && x < 2147483648.0f ? static_cast<std::int32_t>(__builtin_rintf(x))
                                                    : INT32_MIN;
  }
  return r;
}

// --- bytes ----------------------------------------------------------------------

/// kLanes bytes, each zero extended.
RIDGELINE_INLINE VecI load_bytes(const void* p) {
  typedef std::uint8_t Bytes __attribute__((vector_size(8)));
  Bytes b;
  std::memcpy(&b, p, sizeof b);
  return __builtin_convertvector(b, VecI);
}
/// A table of 16 bytes, and its entry for each byte of `index` (0..15).
using ByteTable = const std::uint8_t*;
RIDGELINE_INLINE ByteTable byte_table(const std::uint8_t* p) { return p; }
RIDGELINE_INLINE VecI look_up(ByteTable table, VecI index) {
  std::uint8_t bytes[sizeof index];
  std::memcpy(bytes, &index, sizeof bytes);
  for (std::uint8_t& b : bytes) b = table[b];
  VecI v;
  std::memcpy(&v, bytes, sizeof v);
  return v;
}

// --- masks --------------------------------------------------------------------

RIDGELINE_INLINE Mask less(VecF a, VecF b) { return a < b; }
/// Lanes 0..n-1; n may be below 0 or above kLanes.
RIDGELINE_INLINE Mask first_lanes(int n) { return VecI{0, 1, 2, 3, 4, 5, 6, 7} < splat_i(n); }
/// Touches only the first n floats; the other lanes are 0.
RIDGELINE_INLINE VecF load_first(const float* p, int n) {
  VecF v = zero_f();
  for (int i = 0; i < kLanes && i < n; ++i) v[i] = p[i];
  return v;
}
RIDGELINE_INLINE void store_first(float* p, VecF v, int n) {
  for (int i = 0; i < kLanes && i < n; ++i) p[i] = v[i];
}

// --- across lanes: one fixed tree ---------------------------------------------

RIDGELINE_INLINE float reduce_add(VecF v) {
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}
RIDGELINE_INLINE float reduce_max(VecF v) {
  float m = v[0];
  for (int i = 1; i < kLanes; ++i) m = m > v[i] ? m : v[i];
  return m;
}
RIDGELINE_INLINE std::int32_t reduce_add(VecI v) {
  std::uint32_t s = 0;
  for (int i = 0; i < kLanes; ++i) s += static_cast<std::uint32_t>(v[i]);
  return static_cast<std::int32_t>(s);
}
RIDGELINE_INLINE std::int32_t reduce_max(VecI v) {
  std::int32_t m = v[0];
  for (int i = 1; i < kLanes; ++i) m = m > v[i] ? m : v[i];
  return m;
}

// --- 16-bit floats in memory: kLanes of them ----------------------------------

RIDGELINE_INLINE VecI load_u16(const void* p) {
  typedef std::uint16_t Halves __attribute__((vector_size(16)));
  Halves h;
  std::memcpy(&h, p, sizeof h);
  return __builtin_convertvector(h, VecI);
}
RIDGELINE_INLINE void store_u16(void* p, VecI v) {
  std::uint16_t h[kLanes];
  for (int i = 0; i < kLanes; ++i) h[i] = static_cast<std::uint16_t>(v[i]);
  std::memcpy(p, h, sizeof h);
}

/// a < b where b - a cannot overflow. GCC 12 makes a scalar loop of a comparison of
/// vectors wider than the machine's.
RIDGELINE_INLINE Mask below(VecI a, VecI b) { return shift_right_signed<31>(a - b); }
/// The exponent is rebased by 112 in integers; zero and subnormals come out right by
/// subtracting the implied 2^-14 that the rebased number has too much.
RIDGELINE_INLINE VecF load_f16(const void* p) {
  const VecI h = load_u16(p);
  const VecI magnitude = shift_left<13>(h & splat_i(0x7fff));
  const VecI exponent = magnitude & splat_i(0x0f800000);
  const VecI rebased = magnitude + splat_i(112 << 23);
  const VecI special = rebased + splat_i(112 << 23);
  const VecF small = from_bits(rebased + splat_i(1 << 23)) - from_bits(splat_i(113 << 23));
  VecI r = select_bits(below(splat_i(0x0f800000 - 1), exponent), special, rebased);
  r = select_bits(below(exponent, splat_i(1)), bits(small), r);
  return from_bits(r | shift_left<16>(h & splat_i(0x8000)));
}
/// Rounds to nearest even; too large becomes infinity, NaN stays NaN.
RIDGELINE_INLINE void store_f16(void* p, VecF v) {
  const VecI sign = bits(v) & splat_i(INT32_MIN);
  const VecI a = bits(v) ^ sign;
  const VecI odd = shift_right<13>(a) & splat_i(1);
  VecI r = shift_right<13>(sub(a, splat_i(112 << 23)) + splat_i(0xfff) + odd);
  // Below 2^-14 the sum with 0.5 has its last bit where a subnormal's is.
  const VecF shifted = from_bits(a) + splat(0.5f);
  r = select_bits(a < splat_i(113 << 23), bits(shifted) - bits(splat(0.5f)), r);
  const VecI special = select_bits(a > splat_i(0x7f800000), splat_i(0x7e00), splat_i(0x7c00));
  r = select_bits(a >= splat_i(143 << 23), special, r);
  store_u16(p, r | shift_right<16>(sign));
}
RIDGELINE_INLINE VecF load_bf16(const void* p) { return from_bits(shift_left<16>(load_u16(p))); }
/// Rounds to nearest even; NaN stays NaN. One BF16 in the low half of each lane.
RIDGELINE_INLINE VecI to_bf16(VecF v) {
  const VecI b = bits(v);
  const VecI odd = shift_right<16>(b) & splat_i(1);
  const VecI rounded = add(b, add(odd, splat_i(0x7fff)));
  const VecI nan = (b & splat_i(0x7fffffff)) > splat_i(0x7f800000);
  return shift_right<16>(select_bits(nan, b | splat_i(0x400000), rounded));
}
RIDGELINE_INLINE void store_bf16(void* p, VecF v) { store_u16(p, to_bf16(v)); }

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
