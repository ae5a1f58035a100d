#include "ridgeline/platform/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace ridgeline {
namespace {

namespace fs = std::filesystem;

class AtomicFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "ridgeline-atomic-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/file";
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::size_t num_files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  static std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span(text));
  }
  static std::string text(const MappedFile& file) {
    return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
  }
  std::string folder_, path_;
};

TEST_F(AtomicFileTest, HasItsNameOnlyWhenItIsComplete) {
  auto file = AtomicFile::create(path_, 10);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_TRUE(file->write(5, bytes("world")));
  EXPECT_FALSE(fs::exists(path_));
  ASSERT_TRUE(file->write(0, bytes("hello")));
  const auto mapped = file->publish();
  ASSERT_TRUE(mapped) << mapped.error().message;
  EXPECT_EQ(text(*mapped), "helloworld");
  EXPECT_EQ(mapped->path(), path_);
  EXPECT_EQ(num_files(), 1u);
  const auto again = MappedFile::open(path_);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->identity(), mapped->identity());
}

TEST_F(AtomicFileTest, LeavesNothingUnlessPublished) {
  { ASSERT_TRUE(AtomicFile::create(path_, 10)); }
  EXPECT_EQ(num_files(), 0u);
}

TEST_F(AtomicFileTest, TheLastWriterWins) {
  auto first = AtomicFile::create(path_, 1), second = AtomicFile::create(path_, 1);
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(first->write(0, bytes("1")) && second->write(0, bytes("2")));
  const auto one = first->publish(), two = second->publish();
  ASSERT_TRUE(one && two);
  EXPECT_EQ(text(*one), "1");
  EXPECT_EQ(text(*MappedFile::open(path_)), "2");
  EXPECT_EQ(num_files(), 1u);
}

TEST_F(AtomicFileTest, WhatAKilledProcessLeftIsRemoved) {
  const pid_t child = fork();
  if (child == 0) {
    auto file = AtomicFile::create(path_, 10);
    raise(SIGKILL);
  }
  waitpid(child, nullptr, 0);
  auto alive = AtomicFile::create(path_, 10);
  ASSERT_TRUE(alive);
  EXPECT_EQ(num_files(), 2u);
  AtomicFile::remove_abandoned(folder_, "other");
  EXPECT_EQ(num_files(), 2u);
  AtomicFile::remove_abandoned(folder_, "file");
  EXPECT_EQ(num_files(), 1u);
  EXPECT_TRUE(alive->publish());
}

TEST_F(AtomicFileTest, ErrorsNameTheFileAndTheReason) {
  const auto file = AtomicFile::create("/nonexistent/folder/file", 10);
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, testing::HasSubstr("/nonexistent/folder/file"));
  EXPECT_THAT(file.error().message, testing::HasSubstr("No such file or directory"));
  EXPECT_THAT(AtomicFile::create(path_, std::size_t{1} << 60).error().message,
              testing::HasSubstr("cannot reserve 1152921504606846976 bytes"));
  EXPECT_EQ(num_files(), 0u);
}

}  // namespace
}  // namespace ridgeline
