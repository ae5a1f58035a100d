#include "ridgeline/platform/crc32c.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string_view>
#include <vector>

namespace ridgeline {
namespace {

std::uint32_t of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  EXPECT_EQ(crc32c(bytes), crc32c_portable(bytes));
  return crc32c(bytes);
}

TEST(Crc32c, GivesThePublishedValues) {
  EXPECT_EQ(of(""), 0u);
  EXPECT_EQ(of("123456789"), 0xE3069283u);
  // RFC 3720, B.4
  EXPECT_EQ(
      of(std::string_view("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 32)),
      0x8A9136AAu);
  EXPECT_EQ(of(std::string(32, '\xff')), 0x62A8AB43u);
}

std::uint32_t bit_by_bit(std::span<const std::byte> data) {
  std::uint32_t crc = ~0u;
  for (const std::byte b : data) {
    crc ^= static_cast<std::uint32_t>(b);
    for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78u : 0u);
  }
  return ~crc;
}

TEST(Crc32c, LongInputsAreJoinedFromTheirQuarters) {
  std::mt19937 random(1);
  std::vector<std::byte> data(100'003);
  for (std::byte& b : data) b = static_cast<std::byte>(random());
  for (const int size : {1, 7, 8, 4096, 16383, 16384, 16391, 65536, 99'999}) {
    for (const int offset : {0, 3}) {
      const auto part = std::span<const std::byte>(data).subspan(static_cast<std::size_t>(offset),
                                                                 static_cast<std::size_t>(size));
      EXPECT_EQ(crc32c(part), bit_by_bit(part)) << size << " from " << offset;
      EXPECT_EQ(crc32c_portable(part), bit_by_bit(part)) << size << " from " << offset;
    }
  }
}

}  // namespace
}  // namespace ridgeline
