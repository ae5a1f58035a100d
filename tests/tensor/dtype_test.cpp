#include "ridgeline/tensor/dtype.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace ridgeline {
namespace {

TEST(DType, EveryRowIsFoundByIdAndByName) {
  std::set<std::string_view> names;
  for (const DTypeInfo& type : all_dtypes()) {
    const auto id = static_cast<std::uint32_t>(type.dtype);
    if (is_gguf_type(type.dtype)) {
      EXPECT_EQ(dtype_from_gguf(id), type.dtype);
      EXPECT_EQ(gguf_type_name(id), type.name) << "our name differs from GGUF's";
    } else {
      EXPECT_EQ(dtype_from_gguf(id), std::nullopt);
      EXPECT_EQ(gguf_type_name(id), "");
    }
    EXPECT_EQ(dtype_from_name(type.name), type.dtype);
    EXPECT_EQ(name(type.dtype), type.name);
    EXPECT_EQ(&info(type.dtype), &type);
    EXPECT_TRUE(names.insert(type.name).second) << type.name;
  }
  EXPECT_EQ(names.size(), 24u);
}

TEST(DType, NamesMatchInAnyCaseAndOnlyWhole) {
  EXPECT_EQ(dtype_from_name("q4_k"), DType::kQ4_K);
  EXPECT_EQ(dtype_from_name("bf16"), DType::kBF16);
  EXPECT_EQ(dtype_from_name("Q4_K_M"), std::nullopt);
  EXPECT_EQ(dtype_from_name("Q4"), std::nullopt);
  EXPECT_EQ(dtype_from_name(""), std::nullopt);
}

TEST(DType, UnsupportedIdsStillHaveTheirGgufName) {
  EXPECT_EQ(dtype_from_gguf(19), std::nullopt);
  EXPECT_EQ(gguf_type_name(19), "IQ1_S");
  EXPECT_EQ(gguf_type_name(30), "BF16");
  EXPECT_EQ(gguf_type_name(39), "MXFP4");
  EXPECT_EQ(dtype_from_gguf(1000), std::nullopt);
  EXPECT_EQ(gguf_type_name(1000), "");
}

TEST(DType, RowBytes) {
  EXPECT_EQ(row_bytes(DType::kF32, 5), 20u);
  EXPECT_EQ(row_bytes(DType::kBF16, 5), 10u);
  EXPECT_EQ(row_bytes(DType::kQ8_0, 64), 68u);
  EXPECT_EQ(row_bytes(DType::kQ4_0, 4096), 2304u);
  EXPECT_EQ(row_bytes(DType::kQ4_K, 256), 144u);
  EXPECT_EQ(row_bytes(DType::kQ6_K, 0), 0u);
  EXPECT_DEATH(row_bytes(DType::kQ8_0, 33), "internal error");
}

}  // namespace
}  // namespace ridgeline
