#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace ridgeline {

/// Element types of stored tensors. The numbers are GGUF's type ids, those from
/// kFirstDTypeOutsideGguf on our own.
enum class DType : std::uint8_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kBF16 = 30,
  kMXFP4 = 39,
  // Groups of 32, 64 or 128 with a scale and a zero each: GPTQ and AWQ (quant/int4.h).
  kINT4_32 = 200,
  kINT4_64 = 201,
  kINT4_128 = 202,
};
inline constexpr int kFirstDTypeOutsideGguf = 200;
/// Whether a GGUF file can hold the type.
constexpr bool is_gguf_type(DType dtype) {
  return static_cast<int>(dtype) < kFirstDTypeOutsideGguf;
}

/// A stored block holds `block_elements` consecutive elements along k (the row)
/// in `block_bytes` bytes. Plain types have blocks of one element.
struct DTypeInfo {
  DType dtype;
  std::string_view name;  ///< as people write it: "Q4_K", "BF16"
  int block_elements;
  int block_bytes;
};

/// Every supported type, one row each. A new type starts here.
std::span<const DTypeInfo> all_dtypes();

const DTypeInfo& info(DType dtype);
inline std::string_view name(DType dtype) { return info(dtype).name; }

/// The type with this GGUF id, if it is supported and GGUF's.
std::optional<DType> dtype_from_gguf(std::uint32_t id);
/// The type of this name in any case ("q4_0", "F16").
std::optional<DType> dtype_from_name(std::string_view name);
/// GGUF's name of a type id, also of types that are not supported; "" if unknown.
std::string_view gguf_type_name(std::uint32_t id);

/// Bytes of one row of `elements`, which must be a multiple of the block.
std::size_t row_bytes(DType dtype, std::int64_t elements);

}  // namespace ridgeline
