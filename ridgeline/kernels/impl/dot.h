#pragma once

#include "ridgeline/kernels/impl/panel.h"

// Integer dot products of unsigned weight levels with signed activations, four along
// k per 32-bit lane, summed exactly. An ISA defines
//
//   Four          four activations, ready to meet every vector of a group
//   Two           two 16-bit numbers, likewise
//   Sum<kMax>     a running sum of products with levels 0..kMax:
//     kWithoutZero  level 128 counts as 0; otherwise levels are numbers from 0 on
//     start(first)     the sum begins at `first` (a correction, as a rule)
//     Operand, operand(u)  a group of levels as step() takes it
//     step<i>(w, x)    adds a group, the i-th (0, 1, ...) in the sum
//     total<n>(first)  the sum after n steps; `first` as in start(), for an ISA that
//                      can add it only now
//   add_pairs(acc, w, x)  acc + w.low x.low + w.high x.high, of 16-bit halves

namespace ridgeline::RIDGELINE_ISA {
namespace {

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)

#if defined(__AVX512VNNI__)

// GCC 12 loads a broadcast operand into a register first, which costs a tenth of the
// speed; an operand of the instruction is free.
using Four = const std::byte*;
using Two = const std::byte*;
RIDGELINE_INLINE Four four(const std::byte* p) { return p; }
RIDGELINE_INLINE Two two(const std::byte* p) { return p; }
RIDGELINE_INLINE VecI dot4(VecI acc, VecI u, Four x) {
  asm("vpdpbusd %2%{1to16%}, %1, %0"
      : "+v"(acc)
      : "v"(u), "m"(*reinterpret_cast<const std::int32_t*>(x)));
  return acc;
}
RIDGELINE_INLINE VecI add_pairs(VecI acc, VecI w, Two x) {
  asm("vpdpwssd %2%{1to16%}, %1, %0"
      : "+v"(acc)
      : "v"(w), "m"(*reinterpret_cast<const std::int32_t*>(x)));
  return acc;
}

#else

using Four = VecI;
using Two = VecI;
RIDGELINE_INLINE Four four(const std::byte* p) { return broadcast_i(p); }
RIDGELINE_INLINE Two two(const std::byte* p) { return broadcast_i(p); }
#if defined(RIDGELINE_EVEX_VNNI)  // CMakeLists.txt
RIDGELINE_INLINE VecI dot4(VecI acc, VecI u, Four x) {
  asm("%{evex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(u), "x"(x));
  return acc;
}
RIDGELINE_INLINE VecI add_pairs(VecI acc, VecI w, Two x) {
  asm("%{evex%} vpdpwssd %2, %1, %0" : "+x"(acc) : "x"(w), "x"(x));
  return acc;
}
#else
RIDGELINE_INLINE VecI dot4(VecI acc, VecI u, Four x) { return _mm256_dpbusd_avx_epi32(acc, u, x); }
RIDGELINE_INLINE VecI add_pairs(VecI acc, VecI w, Two x) {
  return _mm256_dpwssd_avx_epi32(acc, w, x);
}
#endif

#endif

template <int kMax>
struct Sum {
  static constexpr bool kWithoutZero = false;
  using Operand = VecI;
  static RIDGELINE_INLINE Operand operand(VecI u) { return u; }
  VecI sum;
  RIDGELINE_INLINE void start(VecI first) { sum = first; }
  template <int i>
  RIDGELINE_INLINE void step(Operand u, Four x) {
    sum = dot4(sum, u, x);
  }
  template <int n>
  RIDGELINE_INLINE VecI total(VecI) const {
    return sum;
  }
};

#elif defined(__AVX2__)

#if defined(__AVX512BW__)
RIDGELINE_INLINE VecI multiply_bytes(VecI u, VecI x) { return _mm512_maddubs_epi16(u, x); }
RIDGELINE_INLINE VecI multiply_halves(VecI a, VecI b) { return _mm512_madd_epi16(a, b); }
RIDGELINE_INLINE VecI add_halves(VecI a, VecI b) { return _mm512_add_epi16(a, b); }
RIDGELINE_INLINE VecI splat_half(short x) { return _mm512_set1_epi16(x); }
#else
RIDGELINE_INLINE VecI multiply_bytes(VecI u, VecI x) { return _mm256_maddubs_epi16(u, x); }
RIDGELINE_INLINE VecI multiply_halves(VecI a, VecI b) { return _mm256_madd_epi16(a, b); }
RIDGELINE_INLINE VecI add_halves(VecI a, VecI b) { return _mm256_add_epi16(a, b); }
RIDGELINE_INLINE VecI splat_half(short x) { return _mm256_set1_epi16(x); }
#endif

using Four = VecI;
using Two = VecI;
RIDGELINE_INLINE Four four(const std::byte* p) { return broadcast_i(p); }
RIDGELINE_INLINE Two two(const std::byte* p) { return broadcast_i(p); }
RIDGELINE_INLINE VecI add_pairs(VecI acc, VecI w, Two x) { return add(acc, multiply_halves(w, x)); }

/// vpmaddubsw adds two products in 16 bits. Sums stay there for as many groups as
/// cannot overflow (2 × 127 × kMax each), and are widened once.
template <int kMax>
struct Sum {
  static constexpr bool kWithoutZero = false;
  using Operand = VecI;
  static RIDGELINE_INLINE Operand operand(VecI u) { return u; }
  static constexpr int kGroups = 32767 / (2 * 127 * kMax);
  static_assert(kGroups >= 1);
  VecI narrow, wide;
  RIDGELINE_INLINE void start(VecI) {}
  template <int i>
  RIDGELINE_INLINE void step(Operand u, Four x) {
    const VecI product = multiply_bytes(u, x);
    if constexpr (i % kGroups != 0) {
      narrow = add_halves(narrow, product);
    } else {
      if constexpr (i == kGroups) wide = multiply_halves(narrow, splat_half(1));
      if constexpr (i > kGroups) wide = add(wide, multiply_halves(narrow, splat_half(1)));
      narrow = product;
    }
    compute_now(narrow);
  }
  template <int n>
  RIDGELINE_INLINE VecI total(VecI first) const {
    const VecI rest = add(first, multiply_halves(narrow, splat_half(1)));
    return n > kGroups ? add(wide, rest) : rest;
  }
};

/// Full bytes would saturate: they get their sign back (level 128 is 0), which then
/// moves to the activations.
template <>
struct Sum<255> {
  static constexpr bool kWithoutZero = true;
#if defined(__AVX512BW__)
  struct Operand {
    VecI magnitude;
    __mmask64 negative;
  };
  static RIDGELINE_INLINE Operand operand(VecI u) {
    const VecI w = bit_xor(u, splat_i(static_cast<std::int32_t>(0x80808080)));
    return {_mm512_abs_epi8(w), _mm512_movepi8_mask(w)};
  }
  static RIDGELINE_INLINE VecI with_sign(VecI x, Operand w) {
    return _mm512_mask_sub_epi8(x, w.negative, zero_i(), x);
  }
#else
  struct Operand {
    VecI magnitude;
    VecI sign;
  };
  static RIDGELINE_INLINE Operand operand(VecI u) {
    const VecI w = bit_xor(u, splat_i(static_cast<std::int32_t>(0x80808080)));
    return {_mm256_abs_epi8(w), w};
  }
  static RIDGELINE_INLINE VecI with_sign(VecI x, Operand w) { return _mm256_sign_epi8(x, w.sign); }
#endif
  VecI sum;
  RIDGELINE_INLINE void start(VecI) {}
  template <int i>
  RIDGELINE_INLINE void step(Operand w, Four x) {
    const VecI products =
        multiply_halves(multiply_bytes(w.magnitude, with_sign(x, w)), splat_half(1));
    sum = i == 0 ? products : add(sum, products);
    compute_now(sum);
  }
  template <int n>
  RIDGELINE_INLINE VecI total(VecI) const {  // nothing to correct
    return sum;
  }
};

#else

typedef std::int16_t VecS __attribute__((vector_size(32)));

/// The even and the odd ones of four activations, as 16-bit halves.
struct Four {
  VecI even, odd;
};
RIDGELINE_INLINE std::int32_t two_halves(int low, int high) {
  return static_cast<std::int32_t>((static_cast<std::uint32_t>(high) << 16) |
                                   (static_cast<std::uint32_t>(low) & 0xffffu));
}
RIDGELINE_INLINE Four four(const std::byte* p) {
  std::int8_t x[4];
  std::memcpy(x, p, sizeof x);
  return {splat_i(two_halves(x[0], x[2])), splat_i(two_halves(x[1], x[3]))};
}
/// Halves multiplied where the products fit 16 bits, then added in 32.
RIDGELINE_INLINE VecI dot2(VecI acc, VecI a, VecI b) {
  const VecI p = (VecI)((VecS)a * (VecS)b);
  return add(acc, add(shift_right_signed<16>(p), shift_right_signed<16>(shift_left<16>(p))));
}

template <int kMax>
struct Sum {
  static constexpr bool kWithoutZero = false;
  using Operand = VecI;
  static RIDGELINE_INLINE Operand operand(VecI u) { return u; }
  VecI sum;
  RIDGELINE_INLINE void start(VecI first) { sum = first; }
  template <int i>
  RIDGELINE_INLINE void step(Operand u, Four x) {
    const VecI even = bit_and(u, splat_i(0x00ff00ff));
    const VecI odd = bit_and(shift_right<8>(u), splat_i(0x00ff00ff));
    sum = dot2(dot2(sum, even, x.even), odd, x.odd);
  }
  template <int n>
  RIDGELINE_INLINE VecI total(VecI) const {
    return sum;
  }
};

struct Two {
  VecI low, high;
};
RIDGELINE_INLINE Two two(const std::byte* p) {
  std::int16_t x[2];
  std::memcpy(x, p, sizeof x);
  return {splat_i(x[0]), splat_i(x[1])};
}
RIDGELINE_INLINE VecI add_pairs(VecI acc, VecI w, Two x) {
  const VecI low = mul(shift_right_signed<16>(shift_left<16>(w)), x.low);
  return add(acc, add(low, mul(shift_right_signed<16>(w), x.high)));
}

#endif

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
