// Models that were split into NAME-00001-of-0000N.gguf.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "ridgeline/format/gguf.h"
#include "ridgeline/format/gguf_writer.h"

namespace ridgeline {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class GgufSplit : public testing::Test {
 protected:
  GgufSplit() {
    std::string pattern = testing::TempDir() + "gguf_split_XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << pattern;
    folder_ = pattern;
    for (int i = 0; i < 3; ++i) write(i, i, 3, fmt_name(i));
  }
  ~GgufSplit() override { fs::remove_all(folder_); }

  static std::string fmt_name(int i) { return fmt::format("t{}", i); }
  std::string path(int i) const {
    return (folder_ / fmt::format("m-{:05}-of-00003.gguf", i + 1)).string();
  }
  /// File i, which holds one tensor of four numbers i and says that it is `number` of `count`.
  void write(int i, int number, int count, const std::string& tensor, int tensors = 3) const {
    GgufMetadata metadata{
        {"split.no", GgufValue::of(static_cast<std::uint16_t>(number))},
        {"split.count", GgufValue::of(static_cast<std::uint16_t>(count))},
        {"split.tensors.count", GgufValue::of(static_cast<std::int32_t>(tensors))},
        {"general.name", GgufValue::of(std::string_view(i == 0 ? "first" : "later"))},
    };
    const std::vector<float> values(4, static_cast<float>(i));
    const TensorView view{
        tensor, DType::kF32, {4}, reinterpret_cast<const std::byte*>(values.data()), 16, nullptr};
    const Status status = write_gguf(path(i), metadata, std::vector{view});
    ASSERT_TRUE(status) << status.error().message;
  }
  std::string error_of(int i) const {
    const auto file = open_gguf(path(i));
    return file ? "no error" : file.error().message;
  }

  fs::path folder_;
};

TEST_F(GgufSplit, AnyPartOpensAll) {
  for (int part = 0; part < 3; ++part) {
    const auto file = open_gguf(path(part));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->path(), path(0));
    EXPECT_EQ(file->format(), "GGUF v3, 3 files");
    EXPECT_EQ(file->string("general.name").value(), "first");
    EXPECT_EQ(file->identities().size(), 3U);
    ASSERT_EQ(file->tensors().size(), 3U);
    for (int i = 0; i < 3; ++i) {
      const TensorView* tensor = file->tensor(fmt_name(i));
      ASSERT_NE(tensor, nullptr);
      file->will_read(*tensor);
      file->release(*tensor);
      EXPECT_EQ(reinterpret_cast<const float*>(tensor->data)[3], static_cast<float>(i));
    }
  }
}

TEST_F(GgufSplit, NamesAMissingPart) {
  fs::remove(path(1));
  EXPECT_THAT(error_of(0), HasSubstr("m-00002-of-00003.gguf: is missing: the model has 3 files"));
}

TEST_F(GgufSplit, RefusesForeignParts) {
  write(1, 2, 3, "t1");
  EXPECT_THAT(error_of(0), HasSubstr("m-00002-of-00003.gguf: says that it is file 3 of 3, "
                                     "expected file 2 of 3"));
  write(1, 1, 3, "t0");
  EXPECT_THAT(error_of(0), HasSubstr("has the tensor 't0', which another part"));
  write(1, 1, 3, "t1");
  write(0, 0, 3, "t0", 7);
  EXPECT_THAT(error_of(2), HasSubstr("have 3 tensors together, but metadata 'split.tensors.count' "
                                     "says 7"));
}

TEST_F(GgufSplit, NeedsTheNamesEnding) {
  fs::rename(path(0), folder_ / "model.gguf");
  const auto file = open_gguf(folder_ / "model.gguf");
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message,
              HasSubstr("is one of 3 files of a model; expected a name that ends in"));
}

}  // namespace
}  // namespace ridgeline
