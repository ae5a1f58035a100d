#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ridgeline {

/// Four floats at once, in the vector extension of GCC and Clang: element-wise operators
/// that are one instruction each on any x86-64 or ARM64, without a kernel per ISA. Left to
/// themselves the compilers keep NaN-aware comparisons scalar.
using Float4 = float __attribute__((vector_size(16)));
using Int4 = std::int32_t __attribute__((vector_size(16)));  ///< a comparison's result: 0 or -1
using Double4 = double __attribute__((vector_size(32)));

inline constexpr std::size_t kFloat4Lanes = 4;

inline Float4 load4(const float* from) {
  Float4 result;
  std::memcpy(&result, from, sizeof(result));
  return result;
}

inline void store4(float* to, Float4 value) { std::memcpy(to, &value, sizeof(value)); }

inline Float4 broadcast4(float value) { return Float4{value, value, value, value}; }

/// Whether any lane of a comparison holds.
inline bool any4(Int4 mask) {
  std::int64_t halves[2];
  std::memcpy(halves, &mask, sizeof(mask));
  return (halves[0] | halves[1]) != 0;
}

}  // namespace ridgeline
