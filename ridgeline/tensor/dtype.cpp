#include "ridgeline/tensor/dtype.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "ridgeline/base/check.h"

namespace ridgeline {
namespace {

constexpr std::array kTypes{
    DTypeInfo{DType::kF32, "F32", 1, 4},
    DTypeInfo{DType::kF16, "F16", 1, 2},
    DTypeInfo{DType::kBF16, "BF16", 1, 2},
    DTypeInfo{DType::kQ8_0, "Q8_0", 32, 34},
    DTypeInfo{DType::kQ4_0, "Q4_0", 32, 18},
    DTypeInfo{DType::kQ4_1, "Q4_1", 32, 20},
    DTypeInfo{DType::kQ5_0, "Q5_0", 32, 22},
    DTypeInfo{DType::kQ5_1, "Q5_1", 32, 24},
    DTypeInfo{DType::kQ2_K, "Q2_K", 256, 84},
    DTypeInfo{DType::kQ3_K, "Q3_K", 256, 110},
    DTypeInfo{DType::kQ4_K, "Q4_K", 256, 144},
    DTypeInfo{DType::kQ5_K, "Q5_K", 256, 176},
    DTypeInfo{DType::kQ6_K, "Q6_K", 256, 210},
    DTypeInfo{DType::kIQ4_NL, "IQ4_NL", 32, 18},
    DTypeInfo{DType::kIQ4_XS, "IQ4_XS", 256, 136},
    DTypeInfo{DType::kMXFP4, "MXFP4", 32, 17},
    DTypeInfo{DType::kIQ2_XXS, "IQ2_XXS", 256, 66},
    DTypeInfo{DType::kIQ2_XS, "IQ2_XS", 256, 74},
    DTypeInfo{DType::kIQ2_S, "IQ2_S", 256, 82},
    DTypeInfo{DType::kIQ3_XXS, "IQ3_XXS", 256, 98},
    DTypeInfo{DType::kIQ3_S, "IQ3_S", 256, 110},
    DTypeInfo{DType::kINT4_32, "INT4_32", 32, 19},
    DTypeInfo{DType::kINT4_64, "INT4_64", 64, 35},
    DTypeInfo{DType::kINT4_128, "INT4_128", 128, 67},
};

// ggml's enumeration; gaps are types that were withdrawn.
constexpr std::array<std::string_view, 40> kGgufNames{
    "F32",   "F16",        "Q4_0",       "Q4_1",       "Q4_2",     "Q4_3",     "Q5_0",
    "Q5_1",  "Q8_0",       "Q8_1",       "Q2_K",       "Q3_K",     "Q4_K",     "Q5_K",
    "Q6_K",  "Q8_K",       "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",  "IQ1_S",    "IQ4_NL",
    "IQ3_S", "IQ2_S",      "IQ4_XS",     "I8",         "I16",      "I32",      "I64",
    "F64",   "IQ1_M",      "BF16",       "Q4_0_4_4",   "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",
    "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4"};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::toupper(x) == std::toupper(y); });
}

}  // namespace

std::span<const DTypeInfo> all_dtypes() { return kTypes; }

const DTypeInfo& info(DType dtype) {
  const auto* it = std::ranges::find(kTypes, dtype, &DTypeInfo::dtype);
  RIDGELINE_CHECK(it != kTypes.end());
  return *it;
}

std::optional<DType> dtype_from_gguf(std::uint32_t id) {
  const auto* it = std::ranges::find_if(
      kTypes, [id](const DTypeInfo& t) { return static_cast<std::uint32_t>(t.dtype) == id; });
  if (it == kTypes.end() || !is_gguf_type(it->dtype)) return std::nullopt;
  return it->dtype;
}

std::optional<DType> dtype_from_name(std::string_view wanted) {
  const auto* it = std::ranges::find_if(
      kTypes, [wanted](const DTypeInfo& t) { return equal_ignoring_case(t.name, wanted); });
  if (it == kTypes.end()) return std::nullopt;
  return it->dtype;
}

std::string_view gguf_type_name(std::uint32_t id) {
  return id < kGgufNames.size() ? kGgufNames[id] : std::string_view{};
}

std::size_t row_bytes(DType dtype, std::int64_t elements) {
  const DTypeInfo& type = info(dtype);
  RIDGELINE_CHECK(elements >= 0 && elements % type.block_elements == 0);
  return static_cast<std::size_t>(elements / type.block_elements) *
         static_cast<std::size_t>(type.block_bytes);
}

}  // namespace ridgeline
