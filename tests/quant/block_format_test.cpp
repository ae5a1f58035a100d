#include "ridgeline/quant/block_format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "ridgeline/quant/int4.h"
#include "ridgeline/quant/iq2.h"
#include "ridgeline/quant/iq3.h"
#include "ridgeline/quant/iq4_nl.h"
#include "ridgeline/quant/iq4_xs.h"
#include "ridgeline/quant/k_affine.h"
#include "ridgeline/quant/mxfp4.h"
#include "ridgeline/quant/q2_k.h"
#include "ridgeline/quant/q3_k.h"
#include "ridgeline/quant/q4_0.h"
#include "ridgeline/quant/q4_1.h"
#include "ridgeline/quant/q4_k.h"
#include "ridgeline/quant/q5_0.h"
#include "ridgeline/quant/q5_1.h"
#include "ridgeline/quant/q5_k.h"
#include "ridgeline/quant/q6_k.h"
#include "ridgeline/quant/q8_0.h"
#include "ridgeline/quant/random_blocks.h"

namespace ridgeline {
namespace {

std::vector<std::byte> encoded(DType dtype, const std::vector<float>& values) {
  const auto n = static_cast<std::int64_t>(values.size());
  std::vector<std::byte> blocks(row_bytes(dtype, n));
  encode(dtype, values.data(), n, blocks.data());
  return blocks;
}

std::vector<float> decoded(DType dtype, const std::vector<std::byte>& blocks) {
  const DTypeInfo& type = info(dtype);
  std::vector<float> values(blocks.size() / static_cast<std::size_t>(type.block_bytes) *
                            static_cast<std::size_t>(type.block_elements));
  decode(dtype, blocks.data(), static_cast<std::int64_t>(values.size()), values.data());
  return values;
}

template <class T>
std::vector<T> read_oracle(DType dtype, const char* ending) {
  std::string name(info(dtype).name);
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  const std::string path =
      std::string(RIDGELINE_SOURCE_DIR) + "/tests/data/oracles/quant/" + name + ending;
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

/// Types from the n-th row on, all or those with an encoder.
std::vector<DTypeInfo> types_from(std::size_t n, bool all) {
  std::vector<DTypeInfo> types;
  for (const DTypeInfo& type : all_dtypes().subspan(n))
    if (all || can_encode(type.dtype)) types.push_back(type);
  return types;
}
const auto type_name = [](const auto& i) { return std::string(i.param.name); };

class TypeTest : public testing::TestWithParam<DTypeInfo> {
 protected:
  DType dtype() const { return GetParam().dtype; }
};

class BlockDecoderTest : public TypeTest {};
INSTANTIATE_TEST_SUITE_P(AllTypes, BlockDecoderTest, testing::ValuesIn(types_from(0, true)),
                         type_name);
class BlockFormatTest : public TypeTest {};
INSTANTIATE_TEST_SUITE_P(AllTypes, BlockFormatTest, testing::ValuesIn(types_from(0, false)),
                         type_name);

// ggml's own blocks and values (tests/data/oracles/quant/README.md); F32 needs none.
class DecoderOracleTest : public TypeTest {};
INSTANTIATE_TEST_SUITE_P(AllTypes, DecoderOracleTest, testing::ValuesIn(types_from(1, true)),
                         type_name);
class BlockOracleTest : public TypeTest {};
INSTANTIATE_TEST_SUITE_P(AllTypes, BlockOracleTest, testing::ValuesIn(types_from(1, false)),
                         type_name);

TEST_P(BlockOracleTest, EncodesToTheReferencesBytes) {
  const auto input = read_oracle<float>(dtype(), ".input.f32");
  const auto expected = read_oracle<std::byte>(dtype(), ".blocks");
  ASSERT_EQ(input.size(), 2048u);
  const auto blocks = encoded(dtype(), input);
  ASSERT_EQ(blocks.size(), expected.size());
  const auto block_bytes = static_cast<std::size_t>(GetParam().block_bytes);
  for (std::size_t at = 0; at < blocks.size(); ++at)
    ASSERT_EQ(blocks[at], expected[at])
        << "block " << at / block_bytes << " byte " << at % block_bytes;
}

TEST_P(DecoderOracleTest, DecodesToTheReferencesBits) {
  const auto blocks = read_oracle<std::byte>(dtype(), ".blocks");
  const auto expected = read_oracle<float>(dtype(), ".decoded.f32");
  const auto values = decoded(dtype(), blocks);
  ASSERT_EQ(values.size(), expected.size());
  ASSERT_EQ(values.size(), 2048u);
  for (std::size_t i = 0; i < values.size(); ++i)
    ASSERT_EQ(std::bit_cast<std::uint32_t>(values[i]), std::bit_cast<std::uint32_t>(expected[i]))
        << "element " << i << ": " << values[i] << ", expected " << expected[i];
}

/// Largest error relative to the largest element of the block, from the format: half a
/// step of the levels, plus the rounding of the scale to f16 (2^-11, seen by the whole
/// range) or, for the K-quants, to 6 and 8 bits.
double error_bound(DType dtype) {
  constexpr double kF16Scale = 1.0 / 2048;
  switch (dtype) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return kF16Scale;
    case DType::kBF16:
      return 1.0 / 256;
    case DType::kQ8_0:
      return 0.5 / 127 + kF16Scale;
    // The side opposite to the extreme element ends one level early, a whole step.
    case DType::kQ4_0:
      return 1.0 / 8 + kF16Scale;
    case DType::kQ5_0:
      return 1.0 / 16 + kF16Scale;
    // The block spans at most 2·max in 15 (31) steps; the offset is rounded as well.
    case DType::kQ4_1:
      return 1.0 / 15 + 3 * kF16Scale;
    case DType::kQ5_1:
      return 1.0 / 31 + 3 * kF16Scale;
    // The widest gap, from 89 to 113 of 127, and the search may move its ends by a tenth
    // beyond -127; on the other side the values end at 113.
    case DType::kIQ4_NL:
      return 14.0 / 113 + 0.1;
    // The same, and the scale is rounded to 6 bits.
    case DType::kIQ4_XS:
      return 14.0 / 113 + 0.1 + 1.0 / 64;
    // 6 · 2^e follows 4 · 2^e; the greatest element may be just below 8 · 2^e.
    case DType::kMXFP4:
      return 1.0 / 4;
    // A sub-block spans at most 2·max in 15 steps. Rounding scale and offset to 6 bits
    // each may shift the range's end by 15/126 steps' worth of the greatest scale and
    // by 1/126 of the greatest offset; the weighted search may trade one more step.
    case DType::kQ4_K:
      return 2.0 / 15 * (0.5 + 15.0 / 126 + 1) + 1.0 / 126;
    // Likewise with 31 steps.
    case DType::kQ5_K:
      return 2.0 / 31 * (0.5 + 31.0 / 126 + 1) + 1.0 / 126;
    // Likewise with 3 steps, and 4 bits for scale and offset.
    case DType::kQ2_K:
      return 2.0 / 3 * (0.5 + 3.0 / 30 + 1) + 1.0 / 30;
    // The search may clip a whole step of max/4; the scale is rounded to 6 bits.
    case DType::kQ3_K:
      return 1.0 / 4 + 1.0 / 64 * 4 + kF16Scale;
    // The search may clip a whole step of max/32; the scale is rounded to 8 bits.
    case DType::kQ6_K:
      return 1.0 / 32 + 1.0 / 256 + kF16Scale;
    case DType::kIQ2_XXS:
    case DType::kIQ2_XS:
    case DType::kIQ2_S:
    case DType::kIQ3_XXS:
    case DType::kIQ3_S:
    case DType::kINT4_32:
    case DType::kINT4_64:
    case DType::kINT4_128:
      break;  // no encoder
  }
  return 0;
}

TEST_P(BlockFormatTest, RoundTripStaysWithinTheFormatsError) {
  std::mt19937 random(42);
  std::normal_distribution<float> normal;
  const int elements = std::max(GetParam().block_elements, 1);
  for (int round = 0; round < 200; ++round) {
    std::vector<float> values(static_cast<std::size_t>(elements));
    const float scale = std::ldexp(1.0f, round % 10);
    for (float& v : values) v = normal(random) * scale;
    const auto result = decoded(dtype(), encoded(dtype(), values));
    float greatest = 0;
    for (const float v : values) greatest = std::max(greatest, std::fabs(v));
    for (std::size_t i = 0; i < values.size(); ++i)
      ASSERT_LE(std::fabs(static_cast<double>(values[i]) - result[i]),
                error_bound(dtype()) * greatest)
          << "round " << round << " element " << i;
  }
}

TEST_P(BlockFormatTest, ABlockDoesNotDependOnItsNeighbours) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  const auto elements = static_cast<std::size_t>(GetParam().block_elements);
  std::vector<float> values(5 * elements);
  for (float& v : values) v = normal(random);
  const auto all = encoded(dtype(), values);
  const auto back = decoded(dtype(), all);
  for (std::size_t b = 0; b < 5; ++b) {
    const auto from = values.begin() + static_cast<std::ptrdiff_t>(b * elements);
    const std::vector<float> one(from, from + static_cast<std::ptrdiff_t>(elements));
    const auto blocks = encoded(dtype(), one);
    EXPECT_EQ(std::memcmp(blocks.data(), all.data() + b * blocks.size(), blocks.size()), 0);
    EXPECT_EQ(std::memcmp(decoded(dtype(), blocks).data(), back.data() + b * elements,
                          elements * sizeof(float)),
              0);
  }
}

TEST_P(BlockFormatTest, ZerosStayZeros) {
  const std::vector<float> zeros(512, 0.0f);
  for (const float v : decoded(dtype(), encoded(dtype(), zeros))) ASSERT_EQ(v, 0.0f);
}

// What non-finite input encodes to is open; that it breaks nothing else is not (the
// sanitizers look for undefined conversions here).
TEST_P(BlockFormatTest, NonFiniteInputHarmsOnlyItsOwnBlock) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kMax = std::numeric_limits<float>::max();
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  for (const float bad : {kInfinity, -kInfinity, kNan, kMax, -kMax, kTiny, -kTiny}) {
    std::vector<float> values(512);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
    const auto clean = encoded(dtype(), values);
    for (const std::size_t at : {std::size_t{0}, std::size_t{17}, std::size_t{255}})
      values[at] = bad;
    const auto blocks = encoded(dtype(), values);
    const std::size_t half = row_bytes(dtype(), 256);
    EXPECT_EQ(std::memcmp(blocks.data() + half, clean.data() + half, half), 0) << bad;
    std::fill(values.begin(), values.begin() + 256, bad);
    encoded(dtype(), values);
  }
}

TEST_P(BlockDecoderTest, AnyBytesDecode) {
  std::mt19937 random(3);
  std::vector<std::byte> blocks(row_bytes(dtype(), 256 * 64));
  for (std::byte& b : blocks) b = static_cast<std::byte>(random());
  EXPECT_EQ(decoded(dtype(), blocks).size(), 256u * 64u);
}

TEST(BlockFormat, LayoutsHaveTheTypesSize) {
  const auto check = []<class Block>(DType dtype, Block) {
    EXPECT_EQ(info(dtype).block_bytes, sizeof(Block)) << info(dtype).name;
    EXPECT_EQ(info(dtype).block_elements, Block::kElements) << info(dtype).name;
  };
  check(DType::kQ8_0, BlockQ8_0{});
  check(DType::kQ4_0, BlockQ4_0{});
  check(DType::kQ4_1, BlockQ4_1{});
  check(DType::kQ5_0, BlockQ5_0{});
  check(DType::kQ5_1, BlockQ5_1{});
  check(DType::kQ2_K, BlockQ2_K{});
  check(DType::kQ3_K, BlockQ3_K{});
  check(DType::kQ4_K, BlockQ4_K{});
  check(DType::kQ5_K, BlockQ5_K{});
  check(DType::kQ6_K, BlockQ6_K{});
  check(DType::kIQ4_NL, BlockIQ4_NL{});
  check(DType::kIQ4_XS, BlockIQ4_XS{});
  check(DType::kMXFP4, BlockMXFP4{});
  check(DType::kIQ2_XXS, BlockIQ2_XXS{});
  check(DType::kIQ2_XS, BlockIQ2_XS{});
  check(DType::kIQ2_S, BlockIQ2_S{});
  check(DType::kIQ3_XXS, BlockIQ3_XXS{});
  check(DType::kIQ3_S, BlockIQ3_S{});
  check(DType::kINT4_32, BlockInt4<32>{});
  check(DType::kINT4_64, BlockInt4<64>{});
  check(DType::kINT4_128, BlockInt4<128>{});
}

TEST(RandomBlocks, HaveTheSizeAskedFor) {
  for (const DTypeInfo& type : all_dtypes()) {
    if (can_encode(type.dtype)) continue;
    std::vector<std::byte> blocks(row_bytes(type.dtype, 1024));
    random_blocks(type.dtype, 1, 0.5f, 1024, blocks.data());
    double squares = 0;
    for (const float v : decoded(type.dtype, blocks)) squares += static_cast<double>(v) * v;
    EXPECT_NEAR(std::sqrt(squares / 1024), 0.5, 0.001) << type.name;
  }
}

TEST(BlockFormat, SixBitScalesUnpackFromTheirBits) {
  // scale[s] = 10 + s, min[s] = 50 + s, laid out by hand: 14 = 0b001110, 54 = 0b110110.
  k_affine::PackedScales packed = {10,          11,          12,          13,
                                   50 | 3 << 6, 51 | 3 << 6, 52 | 3 << 6, 53 | 3 << 6,
                                   14 | 6 << 4, 15 | 7 << 4, 0 | 8 << 4,  1 | 9 << 4};
  packed[2] |= 1 << 6;  // 16 = 0b010000
  packed[3] |= 1 << 6;
  const k_affine::Scales scales = k_affine::unpack_scales(packed);
  for (int s = 0; s < 8; ++s) {
    EXPECT_EQ(scales.scale[s], 10 + s);
    EXPECT_EQ(scales.min[s], 50 + s);
  }
}

}  // namespace
}  // namespace ridgeline
