#include "ridgeline/platform/mapped_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "ridgeline/platform/topology.h"

namespace ridgeline {
namespace {

using ::testing::HasSubstr;

class MappedFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "ridgeline-mapped-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  static std::string text_of(const MappedFile& file) {
    return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
  }
  static void expect_error(const std::string& path, const std::string& why) {
    const auto file = MappedFile::open(path);
    ASSERT_FALSE(file.has_value());
    EXPECT_THAT(file.error().message, ::testing::StartsWith(path + ": "));
    EXPECT_THAT(file.error().message, HasSubstr(why));
  }

  std::filesystem::path folder_;
};

TEST_F(MappedFileTest, ShowsTheWholeFile) {
  const std::string path = write("model.gguf", "GGUF and more");
  const auto file = MappedFile::open(path);
  ASSERT_TRUE(file.has_value()) << file.error().message;
  EXPECT_EQ(text_of(*file), "GGUF and more");
  EXPECT_EQ(file->path(), path);
}

TEST_F(MappedFileTest, ErrorsNameThePathAndTheReason) {
  expect_error((folder_ / "absent").string(), "No such file");
  expect_error(folder_.string(), "is a folder");
  expect_error(write("empty", ""), "is empty");
  const std::string fifo = (folder_ / "fifo").string();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  expect_error(fifo, "not a regular file");
  if (::geteuid() != 0) {  // root reads everything
    const std::string secret = write("secret", "x");
    ::chmod(secret.c_str(), 0);
    expect_error(secret, "Permission denied");
  }
}

TEST_F(MappedFileTest, MovesWithItsMapping) {
  auto first = MappedFile::open(write("a", "alpha"));
  auto second = MappedFile::open(write("b", "beta"));
  ASSERT_TRUE(first.has_value() && second.has_value());
  MappedFile moved = std::move(*first);
  EXPECT_EQ(text_of(moved), "alpha");
  EXPECT_TRUE(first->bytes().empty());
  moved = std::move(*second);
  EXPECT_EQ(text_of(moved), "beta");
}

TEST_F(MappedFileTest, DoesNotLeakItsDescriptor) {
  const std::string path = write("a", "alpha");
  const int before = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const auto file = MappedFile::open(path);
  const int after = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(after, before + 1);
  ::close(before);
  ::close(after);
}

TEST_F(MappedFileTest, ReleaseGivesMemoryBackAndKeepsTheContent) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "a sanitizer's shadow memory counts as resident";
#endif
  constexpr std::size_t kBytes = std::size_t{32} << 20;
  constexpr std::uint64_t kSlack = std::uint64_t{2} << 20;
  std::string text(kBytes, '\0');
  for (std::size_t i = 0; i < kBytes; ++i) text[i] = static_cast<char>(i * 31 >> 8);
  const auto file = MappedFile::open(write("large", text));
  ASSERT_TRUE(file.has_value());

  const auto touch = [&] {
    unsigned sum = 0;
    for (std::size_t i = 0; i < kBytes; i += 512)
      sum += std::to_integer<unsigned>(file->bytes()[i]);
    return sum;
  };
  const unsigned sum = touch();
  const std::uint64_t mapped = resident_bytes();
  file->release(1, kBytes);  // all but the first, partial page; past the end is cut off
  const std::uint64_t released = resident_bytes();
  EXPECT_LT(released + kBytes - kSlack, mapped);
  EXPECT_GE(peak_resident_bytes(), mapped - kSlack);
  EXPECT_EQ(touch(), sum);
  EXPECT_EQ(text_of(*file), text);
}

TEST_F(MappedFileTest, TheShareOfHugePagesIsAShare) {
  EXPECT_EQ(MappedFile::open(write("small", "x"))->huge_page_share(), 0);
  const auto file = MappedFile::open(write("large", std::string(std::size_t{5} << 20, 'x')));
  ASSERT_TRUE(file.has_value());
  file->prefer_huge_pages();
  const double share = file->huge_page_share();  // the file system's choice
  EXPECT_GE(share, 0);
  EXPECT_LE(share, 1);
}

TEST_F(MappedFileTest, AdviceOutsideOfTheFileIsHarmless) {
  const auto file = MappedFile::open(write("a", std::string(10000, 'x')));
  ASSERT_TRUE(file.has_value());
  for (const std::size_t offset : {std::size_t{0}, std::size_t{1}, std::size_t{4095},
                                   std::size_t{9999}, std::size_t{10000}, ~std::size_t{0}}) {
    for (const std::size_t length :
         {std::size_t{0}, std::size_t{1}, std::size_t{5000}, ~std::size_t{0}}) {
      file->will_read(offset, length);
      file->release(offset, length);
    }
  }
  EXPECT_EQ(text_of(*file), std::string(10000, 'x'));
}

}  // namespace
}  // namespace ridgeline
