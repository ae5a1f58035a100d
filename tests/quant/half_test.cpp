#include "ridgeline/quant/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace ridgeline {
namespace {

constexpr std::uint16_t kF16Infinity = 0x7c00;

/// The value of a finite binary16, from its definition.
double f16_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 0x3ff;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

TEST(F16, EveryPatternDecodes) {
  for (std::uint32_t i = 0; i < 0x10000; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const float value = f16_to_f32(bits);
    if ((bits & 0x7fff) > kF16Infinity) {
      // Quiet, sign and payload kept.
      const std::uint32_t expected = (i & 0x8000u) << 16 | 0x7fc00000u | (i & 0x3ffu) << 13;
      ASSERT_EQ(std::bit_cast<std::uint32_t>(value), expected) << i;
    } else if ((bits & 0x7fff) == kF16Infinity) {
      ASSERT_TRUE(std::isinf(value)) << i;
      ASSERT_EQ(std::signbit(value), (bits & 0x8000) != 0) << i;
    } else {
      ASSERT_EQ(value, f16_value(bits)) << i;
      ASSERT_EQ(std::signbit(value), (bits & 0x8000) != 0) << i;
    }
  }
}

TEST(F16, EveryPatternSurvivesARoundTrip) {
  for (std::uint32_t i = 0; i < 0x10000; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const bool nan = (bits & 0x7fff) > kF16Infinity;
    ASSERT_EQ(f32_to_f16(f16_to_f32(bits)), nan ? bits | 0x200 : bits) << i;
  }
}

TEST(F16, RoundsToNearestEvenBetweenAllNeighbours) {
  // The step above the greatest finite number leads to what would be 65536.
  for (std::uint16_t low = 0; low < kF16Infinity; ++low) {
    const auto high = static_cast<std::uint16_t>(low + 1);
    const double upper = high == kF16Infinity ? 65536.0 : f16_value(high);
    const auto middle = static_cast<float>((f16_value(low) + upper) / 2);  // exact
    const std::uint16_t even = low % 2 == 0 ? low : high;
    ASSERT_EQ(f32_to_f16(middle), even) << low;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), low) << low;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 1e9f)), high) << low;
    ASSERT_EQ(f32_to_f16(-middle), even | 0x8000) << low;
  }
}

TEST(F16, FarValuesOverflowOrVanish) {
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::max()), kF16Infinity);
  EXPECT_EQ(f32_to_f16(-std::numeric_limits<float>::infinity()), kF16Infinity | 0x8000);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(f32_to_f16(-1e-30f), 0x8000);
  // A NaN whose payload lies only in the bits that are cut off must not become infinity.
  EXPECT_EQ(f32_to_f16(std::bit_cast<float>(0xff800001u)), 0xfe00);
}

TEST(BF16, RoundsToNearestEven) {
  for (std::uint32_t i = 0; i < 0x7f80; ++i) {
    const std::uint32_t middle = i << 16 | 0x8000;
    const auto convert = [](std::uint32_t bits) { return f32_to_bf16(std::bit_cast<float>(bits)); };
    ASSERT_EQ(convert(i << 16), i);
    ASSERT_EQ(convert(middle - 1), i);
    ASSERT_EQ(convert(middle), i + i % 2);
    ASSERT_EQ(convert(middle + 1), i + 1);
    ASSERT_EQ(convert(middle | 0x80000000u), (i + i % 2) | 0x8000);
    ASSERT_EQ(std::bit_cast<std::uint32_t>(bf16_to_f32(static_cast<std::uint16_t>(i))), i << 16);
  }
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7f800001u)), 0x7fc0);
}

TEST(Half, RowsConvertAsSingleNumbersDo) {
  constexpr std::int64_t kCount = 1027;  // not a multiple of any vector
  std::vector<float> values;
  for (std::int64_t i = 0; i < kCount; ++i)
    values.push_back(std::ldexp(static_cast<float>(i * 2654435761 % 4099) - 2048.0f,
                                static_cast<int>(i % 61) - 40));
  std::vector<std::byte> f16(2 * kCount), bf16(2 * kCount);
  encode_f16(values.data(), kCount, f16.data());
  encode_bf16(values.data(), kCount, bf16.data());
  std::vector<float> from_f16(kCount), from_bf16(kCount);
  decode_f16(f16.data(), kCount, from_f16.data());
  decode_bf16(bf16.data(), kCount, from_bf16.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(from_f16[i], f16_to_f32(f32_to_f16(values[i]))) << values[i];
    ASSERT_EQ(from_bf16[i], bf16_to_f32(f32_to_bf16(values[i]))) << values[i];
  }
}

}  // namespace
}  // namespace ridgeline
