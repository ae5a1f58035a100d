#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

// What reader and writer must agree on. All numbers are little-endian:
//
//   header        magic u32 │ version u32 │ number of tensors u64 │ of metadata pairs u64
//   pair          key string │ type u32 │ value
//   string        length u64 │ bytes, no terminator
//   array value   element type u32 │ count u64 │ elements
//   tensor        name string │ dimensions u32 │ sizes u64, innermost first │ type u32 │
//                 offset u64 from the first aligned byte after the last description
//   data          each tensor at a multiple of general.alignment
namespace ridgeline::gguf {

inline constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
inline constexpr std::size_t kKeyBytesMax = 65535;   // both from the specification
inline constexpr std::size_t kTensorNameBytesMax = 64;
inline constexpr std::uint32_t kDimensionsMax = 4;  // of ggml

inline constexpr std::uint64_t kAlignmentDefault = 32;
inline constexpr std::uint64_t kAlignmentMin = 8;
inline constexpr std::uint64_t kAlignmentMax = 1u << 16;  // of a page, on the largest systems

inline bool is_alignment(std::uint64_t value) {
  return std::has_single_bit(value) && value >= kAlignmentMin && value <= kAlignmentMax;
}

/// The product of the sizes; nothing if one is below 1 or it exceeds 2^60 (so that no
/// type's bytes overflow).
inline std::optional<std::int64_t> count_elements(std::span<const std::int64_t> shape) {
  constexpr std::int64_t kElementsMax = std::int64_t{1} << 60;
  std::int64_t elements = 1;
  for (const std::int64_t size : shape) {
    if (size < 1 || size > kElementsMax / elements) return std::nullopt;
    elements *= size;
  }
  return elements;
}

}  // namespace ridgeline::gguf
