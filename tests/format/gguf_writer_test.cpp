#include "ridgeline/format/gguf_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

namespace ridgeline {
namespace {

using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;
using namespace std::string_view_literals;

/// A folder of its own for each test, gone afterwards.
class GgufWriterTest : public testing::Test {
 protected:
  GgufWriterTest() {
    std::string pattern = testing::TempDir() + "gguf_writer_XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << pattern;
    folder_ = pattern;
  }
  ~GgufWriterTest() override { fs::remove_all(folder_); }

  std::string path(const char* name = "x.gguf") const { return folder_ / name; }
  std::size_t num_files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), {}));
  }
  std::string create_error(const GgufMetadata& metadata,
                           const std::vector<GgufTensorInfo>& tensors = {}) const {
    const auto writer = GgufWriter::create(path(), metadata, tensors);
    return writer ? "no error" : writer.error().message;
  }

  fs::path folder_;
};

template <class T>
GgufValue limits() {
  return GgufValue::of(
      std::vector<T>{std::numeric_limits<T>::lowest(), T{0}, T{1}, std::numeric_limits<T>::max()});
}

GgufMetadata every_type() {
  return {
      {"u8", GgufValue::of(std::uint8_t{255})},
      {"i8", GgufValue::of(std::int8_t{-128})},
      {"u16", GgufValue::of(std::uint16_t{65535})},
      {"i16", GgufValue::of(std::int16_t{-32768})},
      {"u32", GgufValue::of(std::uint32_t{4294967295})},
      {"i32", GgufValue::of(std::numeric_limits<std::int32_t>::min())},
      {"u64", GgufValue::of(std::numeric_limits<std::uint64_t>::max())},
      {"i64", GgufValue::of(std::numeric_limits<std::int64_t>::min())},
      {"f32", GgufValue::of(0.1f)},
      {"f64", GgufValue::of(0.1)},
      {"infinity", GgufValue::of(std::numeric_limits<float>::infinity())},
      {"yes", GgufValue::of(true)},
      {"no", GgufValue::of(false)},
      {"text", GgufValue::of("with \0 inside"sv)},
      {"empty", GgufValue::of(""sv)},
      {"u8s", limits<std::uint8_t>()},
      {"i8s", limits<std::int8_t>()},
      {"u16s", limits<std::uint16_t>()},
      {"i16s", limits<std::int16_t>()},
      {"u32s", limits<std::uint32_t>()},
      {"i32s", limits<std::int32_t>()},
      {"u64s", limits<std::uint64_t>()},
      {"i64s", limits<std::int64_t>()},
      {"f32s", limits<float>()},
      {"f64s", limits<double>()},
      {"bools", GgufValue::of(std::vector<bool>{true, false, true})},
      {"strings", GgufValue::of(std::vector<std::string_view>{"a", "", "ccc"})},
      {"nothing", GgufValue::of(std::vector<std::int32_t>{})},
  };
}

TEST_F(GgufWriterTest, MetadataOfEveryTypeComesBackEqual) {
  const GgufMetadata metadata = every_type();
  ASSERT_TRUE(write_gguf(path(), metadata, {}));
  const auto file = open_gguf(path());
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->metadata().size(), metadata.size());
  for (const auto& [key, value] : metadata) {
    ASSERT_TRUE(file->has(key)) << key;
    const GgufValue& read = file->metadata().find(key)->second;
    EXPECT_EQ(read.value, value.value) << key;
    EXPECT_EQ(read.type, value.type) << key;
    EXPECT_EQ(read.is_array(), value.is_array()) << key;
  }
}

TEST_F(GgufWriterTest, TensorsComeBackEqual) {
  std::vector<std::vector<std::byte>> contents;
  std::vector<TensorView> tensors;
  const std::vector<std::int64_t> shapes[] = {{}, {256}, {3, 256}, {2, 1, 512}, {2, 2, 2, 256}};
  for (const DTypeInfo& type : all_dtypes()) {
    for (const auto& shape : shapes) {
      if ((shape.empty() && type.block_elements > 1) || !is_gguf_type(type.dtype)) continue;
      TensorView tensor;
      tensor.name = std::string(type.name) + "." + std::to_string(shape.size());
      tensor.dtype = type.dtype;
      tensor.shape = shape;
      tensor.bytes = row_bytes(type.dtype, tensor.elements());
      contents.emplace_back(tensor.bytes);
      for (std::size_t i = 0; i < tensor.bytes; ++i)
        contents.back()[i] = static_cast<std::byte>(i * 31 + contents.size());
      tensor.data = contents.back().data();
      tensors.push_back(std::move(tensor));
    }
  }
  for (const std::uint32_t alignment : {8u, 32u, 4096u}) {
    const auto status =
        write_gguf(path(), {{"general.alignment", GgufValue::of(alignment)}}, tensors);
    ASSERT_TRUE(status) << status.error().message;
    const auto file = open_gguf(path());
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_EQ(file->tensors().size(), tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const TensorView &read = file->tensors()[i], &written = tensors[i];
      EXPECT_EQ(read.name, written.name);
      EXPECT_EQ(read.dtype, written.dtype);
      EXPECT_EQ(read.shape, written.shape);
      ASSERT_EQ(read.bytes, written.bytes);
      EXPECT_EQ(std::memcmp(read.data, written.data, read.bytes), 0) << read.name;
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(read.data) % alignment, 0u);
      file->will_read(read);
      file->release(read);
      EXPECT_EQ(std::memcmp(read.data, written.data, read.bytes), 0) << "after release";
    }
  }
}

TEST_F(GgufWriterTest, AFileAppearsWholeOrNotAtAll) {
  const GgufTensorInfo info{"t", DType::kF32, {4}};
  const std::vector<std::byte> half(8, std::byte{1});
  {
    auto writer = GgufWriter::create(path(), {}, std::vector{info});
    ASSERT_TRUE(writer) << writer.error().message;
    ASSERT_TRUE(writer->append(half));
    EXPECT_FALSE(fs::exists(path()));
  }
  EXPECT_EQ(num_files(), 0u);  // given up: nothing stays behind

  std::ofstream(path()) << "an older file";
  auto writer = GgufWriter::create(path(), {}, std::vector{info});
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->append(half));
  ASSERT_TRUE(writer->append(half));
  EXPECT_EQ(fs::file_size(path()), std::strlen("an older file"));
  ASSERT_TRUE(writer->finish());
  EXPECT_EQ(num_files(), 1u);
  const auto file = open_gguf(path());
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->tensor("t")->data[15], std::byte{1});
}

TEST_F(GgufWriterTest, RefusesWhatCouldNotBeRead) {
  const GgufValue one = GgufValue::of(std::uint32_t{1});
  EXPECT_THAT(create_error({{"a", one}, {"a", one}}), HasSubstr("metadata key 'a' comes twice"));
  EXPECT_THAT(create_error({{"", one}}), HasSubstr("a metadata key has 0 bytes"));
  EXPECT_THAT(create_error({{"a", {std::uint64_t{256}, GgufType::kUint8}}}),
              HasSubstr("metadata key 'a' is the integer 256, which type uint8 cannot hold"));
  EXPECT_THAT(create_error({{"a", {std::int64_t{1}, GgufType::kUint8}}}),
              HasSubstr("which type uint8 cannot hold"));
  EXPECT_THAT(create_error({{"a", {std::vector<double>{1.0}, GgufType::kString}}}),
              HasSubstr("is an array of 1 strings, which type string cannot hold"));
  EXPECT_THAT(create_error({{"general.alignment", GgufValue::of(std::uint32_t{24})}}),
              HasSubstr("general.alignment is the integer 24, expected a power of two"));
  EXPECT_THAT(create_error({}, {{"t", DType::kF32, {1}}, {"t", DType::kF32, {1}}}),
              HasSubstr("tensor 't' comes twice"));
  EXPECT_THAT(create_error({}, {{std::string(65, 'n'), DType::kF32, {1}}}),
              HasSubstr("has a name of 65 bytes, expected 1 to 64"));
  EXPECT_THAT(
      create_error({}, {{"t", DType::kQ4_K, {2, 128}}}),
      HasSubstr("tensor 't' of type Q4_K has the shape [2, 128], expected sizes of at least "
                "1 and rows of a multiple of 256"));
  EXPECT_THAT(create_error({}, {{"t", DType::kF32, {2, 0}}}), HasSubstr("has the shape [2, 0]"));
  EXPECT_THAT(create_error({}, {{"t", DType::kINT4_32, {32}}}),
              HasSubstr("tensor 't' has type INT4_32, which GGUF does not have"));
  EXPECT_THAT(create_error({}, {{"t", DType::kF32, {1, 1, 1, 1, 1}}}),
              HasSubstr("has 5 dimensions, expected at most 4"));
  EXPECT_EQ(num_files(), 0u);
}

TEST_F(GgufWriterTest, NamesTheFileThatCannotBeWritten) {
  EXPECT_THAT(write_gguf(path("absent/x.gguf"), {}, {}).error().message,
              AllOf(HasSubstr("absent/x.gguf"),
                    HasSubstr("cannot create the file: No such file or directory")));
  fs::create_directory(path("folder"));
  EXPECT_THAT(write_gguf(path("folder"), {}, {}).error().message,
              HasSubstr("folder: cannot rename the complete file to this name: Is a directory"));
  EXPECT_EQ(num_files(), 1u);
}

}  // namespace
}  // namespace ridgeline
