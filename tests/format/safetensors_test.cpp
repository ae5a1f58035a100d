#include "ridgeline/format/safetensors.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace ridgeline {
namespace {

using testing::HasSubstr;

/// Header length, header, data.
std::string file_of(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file + header + std::string(data_bytes, '\1');
}

/// Parsed from memory of exactly this size, so that sanitizers see a read past its end.
Result<std::vector<StoredTensor>> parse(const std::string& file,
                                        std::unique_ptr<std::byte[]>& memory) {
  memory = std::make_unique<std::byte[]>(file.size());
  std::memcpy(memory.get(), file.data(), file.size());
  return parse_safetensors({memory.get(), file.size()}, "x.safetensors");
}
std::string error_of(const std::string& file) {
  std::unique_ptr<std::byte[]> memory;
  const auto tensors = parse(file, memory);
  return tensors ? "no error" : tensors.error().message;
}
std::string tensor(const std::string& dtype, const std::string& shape, int begin, int end) {
  return fmt::format(R"({{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", dtype, shape, begin,
                     end);
}

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirData) {
  std::unique_ptr<std::byte[]> memory;
  const auto tensors =
      parse(file_of(fmt::format(R"({{"__metadata__":{{"format":"pt"}},"b":{},"a":{},"scalar":{}}})",
                                tensor("BF16", "[2,3]", 0, 12), tensor("F32", "[2]", 12, 20),
                                tensor("I64", "[]", 20, 28)),
                    28),
            memory);
  ASSERT_TRUE(tensors) << tensors.error().message;
  ASSERT_EQ(tensors->size(), 3U);
  EXPECT_EQ((*tensors)[0].name, "b");
  EXPECT_EQ((*tensors)[0].shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ((*tensors)[1].dtype, "F32");
  EXPECT_EQ((*tensors)[1].data.size(), 8U);
  EXPECT_EQ((*tensors)[2].shape.size(), 0U);
}

TEST(SafetensorsErrors, AreSentences) {
  EXPECT_THAT(error_of("1234567"), HasSubstr("has 7 bytes, too few"));
  EXPECT_THAT(error_of(std::string("\x10\0\0\0\0\0\0\0{}", 10)),
              HasSubstr("header claims 16 bytes of the file's 10; is it complete?"));
  EXPECT_THAT(error_of(file_of("{", 0)), HasSubstr("the safetensors header: is not JSON"));
  EXPECT_THAT(error_of(file_of("[]", 0)), HasSubstr("expected a JSON object"));
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += R"({"a":)";
  EXPECT_THAT(error_of(file_of(deep + "1" + std::string(1000, '}'), 0)),
              HasSubstr("nested deeper than 64 levels"));
  const auto of = [](const std::string& value, std::size_t bytes = 16) {
    return error_of(file_of(R"({"t":)" + value + "}", bytes));
  };
  EXPECT_THAT(of("3"), HasSubstr("tensor 't' has no dtype, shape and two data_offsets"));
  EXPECT_THAT(of(tensor("F31", "[1]", 0, 4)), HasSubstr("has the unknown dtype 'F31'"));
  EXPECT_THAT(of(tensor("F32", "[-1]", 0, 4)), HasSubstr("a shape that is not made of sizes"));
  EXPECT_THAT(of(tensor("F32", "[4611686018427387904,4]", 0, 4)), HasSubstr("shape"));
  EXPECT_THAT(of(tensor("F32", "[1048576,1048576,1048576]", 0, 4)), HasSubstr("2^60"));
  EXPECT_THAT(of(tensor("F32", "[4]", 4, 20)),
              HasSubstr("data_offsets [4,20], expected two within the 16 bytes"));
  EXPECT_THAT(of(tensor("F32", "[4]", 8, 4)), HasSubstr("data_offsets [8,4]"));
  EXPECT_THAT(of(tensor("F32", "[3]", 0, 16)), HasSubstr("of F32 [3] has 16 bytes, expected 12"));
  EXPECT_THAT(error_of(file_of(fmt::format(R"({{"a":{},"b":{}}})", tensor("F32", "[2]", 0, 8),
                                           tensor("F32", "[2]", 4, 12)),
                               12)),
              HasSubstr("tensors 'a' and 'b' overlap"));
}

TEST(SafetensorsErrors, DamageNeverReadsPastTheEnd) {
  const std::string good = file_of(fmt::format(R"({{"a":{},"b":{}}})", tensor("F32", "[2]", 0, 8),
                                               tensor("F16", "[2,2]", 8, 16)),
                                   16);
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_NE(error_of(good.substr(0, size)), "no error") << size;
  std::mt19937 random(1);
  for (int i = 0; i < 5000; ++i) {
    std::string bad = good;
    for (int k = 0; k < 3; ++k) bad[random() % bad.size()] = static_cast<char>(random());
    error_of(bad);
  }
}

}  // namespace
}  // namespace ridgeline
