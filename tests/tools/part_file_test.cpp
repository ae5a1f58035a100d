#include "ridgeline/tools/hub/part_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/random_model.h"

namespace ridgeline::hub {
namespace {

class PartFileTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::remove(path_); }
  void TearDown() override { std::filesystem::remove(path_); }
  static std::span<const std::byte> bytes(const std::string& text) {
    return std::as_bytes(std::span(text));
  }
  const std::string path_ = test::temporary_path("part");
};

TEST_F(PartFileTest, RemembersWhatIsThere) {
  {
    PartFile part = *PartFile::open(path_, 25, 10);
    EXPECT_EQ(part.num_segments(), 3u);
    EXPECT_EQ(part.end(2), 25u);
    EXPECT_EQ(part.bytes_there(), 0u);
    ASSERT_TRUE(part.write(10, bytes("abcd")));
    ASSERT_TRUE(part.note(10, 4));
    EXPECT_EQ(part.there_until(0), 0u);
    ASSERT_TRUE(part.write(0, bytes("0123456789")));
    ASSERT_TRUE(part.note(0, 10));
    EXPECT_TRUE(part.is_done(0));
    EXPECT_EQ(part.there_until(0), 14u);
    EXPECT_EQ(part.there_until(12), 14u);
  }
  PartFile part = *PartFile::open(path_, 25, 10);
  EXPECT_EQ(part.there(1), 4u);
  EXPECT_EQ(part.bytes_there(), 14u);
  ASSERT_TRUE(part.write(14, bytes("efghijklmno")));
  ASSERT_TRUE(part.note(14, 11));  // over a segment's end
  EXPECT_EQ(part.there_until(0), 25u);
  const std::string whole = test::temporary_path("whole");
  ASSERT_TRUE(part.publish(whole));
  EXPECT_FALSE(std::filesystem::exists(path_));
  std::ifstream file(whole);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "0123456789abcdefghijklmno");
  std::filesystem::remove(whole);
}

TEST_F(PartFileTest, BeginsAnewWhereTheNotesAreOfAnotherFile) {
  const auto there_after = [&](std::uint64_t size, std::uint64_t segment) {
    {
      PartFile part = *PartFile::open(path_, 25, 10);
      EXPECT_TRUE(part.note(0, 5));
    }
    return PartFile::open(path_, size, segment)->bytes_there();
  };
  EXPECT_EQ(there_after(25, 10), 5u);
  EXPECT_EQ(there_after(26, 10), 0u);
  EXPECT_EQ(there_after(25, 5), 0u);
  PartFile part = *PartFile::open(path_, 25, 10);
  ASSERT_TRUE(part.note(0, 25));
  ASSERT_TRUE(part.restart());
  EXPECT_EQ(PartFile::open(path_, 25, 10)->bytes_there(), 0u);
}

TEST_F(PartFileTest, DamagedNotesAreNotBelieved) {
  { ASSERT_TRUE(PartFile::open(path_, 25, 10)->note(0, 10)); }
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(path_));
  for (std::streamoff at = 25; at < size; ++at) {
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(at);
    file.put('\x7f');
    file.close();
    const auto part = PartFile::open(path_, 25, 10);
    ASSERT_TRUE(part);
    EXPECT_LE(part->bytes_there(), 10u) << at;
    ASSERT_TRUE(PartFile::open(path_, 25, 10)->note(0, 10));
  }
  std::filesystem::resize_file(path_, 30);
  EXPECT_EQ(PartFile::open(path_, 25, 10)->bytes_there(), 0u);
}

TEST_F(PartFileTest, ErrorsNameTheFileAndTheReason) {
  const auto absent = PartFile::open("/nonexistent/part", 5, 5);
  ASSERT_FALSE(absent);
  EXPECT_THAT(absent.error().message, testing::HasSubstr("/nonexistent/part"));
  const auto huge = PartFile::open(path_, std::uint64_t{1} << 60, std::uint64_t{1} << 50);
  ASSERT_FALSE(huge);
  EXPECT_THAT(huge.error().message, testing::HasSubstr("cannot reserve 11529215046"));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace ridgeline::hub
