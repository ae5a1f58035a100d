#include "ridgeline/format/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "tests/format/gguf_bytes.h"

namespace ridgeline {
namespace {

using testing::HasSubstr;
using testing_gguf::Bytes;

// Type ids of the format, written out: the file's numbers, not our names for them.
constexpr std::uint32_t kUint8 = 0, kInt8 = 1, kInt16 = 3, kUint32 = 4, kInt32 = 5, kFloat32 = 6,
                        kBool = 7, kString = 8, kArray = 9, kUint64 = 10, kInt64 = 11,
                        kFloat64 = 12;
constexpr std::uint32_t kF32 = 0, kIq1S = 19, kQ4K = 12, kQ8 = 8;

std::string error_of(const Bytes& bytes) {
  const auto file = parse_gguf(bytes.view(), "x.gguf");
  return file ? "no error" : file.error().message;
}

TEST(Gguf, ReadsMetadataOfEveryScalarType) {
  Bytes b;
  b.header(0, 9);
  b.key("u8", kUint8).put(std::uint8_t{200});
  b.key("i16", kInt16).put(std::int16_t{-300});
  b.key("u32", kUint32).put(std::uint32_t{4'000'000'000});
  b.key("i64", kInt64).put(std::int64_t{-5'000'000'000});
  b.key("huge", kUint64).put(std::numeric_limits<std::uint64_t>::max());
  b.key("f32", kFloat32).put(0.1f);
  b.key("f64", kFloat64).put(0.1);
  b.key("yes", kBool).put(std::uint8_t{1});
  b.key("text", kString).text("a\xc3\xa9");
  const auto file = parse_gguf(b.view(), "x.gguf");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->format(), "GGUF v3");
  EXPECT_EQ(file->integer("u8").value(), 200);
  EXPECT_EQ(file->integer("i16").value(), -300);
  EXPECT_EQ(file->integer("u32").value(), 4'000'000'000);
  EXPECT_EQ(file->integer("i64").value(), -5'000'000'000);
  EXPECT_EQ(file->number("i16").value(), -300.0);
  EXPECT_EQ(file->number("f32").value(), static_cast<double>(0.1f));
  EXPECT_EQ(file->number("f64").value(), 0.1);
  EXPECT_EQ(file->boolean("yes").value(), true);
  EXPECT_EQ(file->string("text").value(), "a\xc3\xa9");
  EXPECT_EQ(file->integer("absent").value(), std::nullopt);
  EXPECT_EQ(file->strings("absent").value(), std::nullopt);
  EXPECT_FALSE(file->has("absent"));
  EXPECT_TRUE(file->has("huge"));
  EXPECT_EQ(file->integer("huge").error().message,
            "x.gguf: metadata key 'huge' is the integer 18446744073709551615, expected an integer "
            "below 2^63");
}

TEST(Gguf, ReadsArrays) {
  Bytes b;
  b.header(0, 5);
  b.key("i32", kArray).put(kInt32).put(std::uint64_t{3});
  b.put(std::int32_t{-1}).put(std::int32_t{0}).put(std::int32_t{7});
  b.key("f32", kArray).put(kFloat32).put(std::uint64_t{2}).put(1.5f).put(-2.0f);
  b.key("words", kArray).put(kString).put(std::uint64_t{3}).text("a").text("").text("ccc");
  b.key("flags", kArray).put(kBool).put(std::uint64_t{2}).put('\1').put('\0');
  b.key("none", kArray).put(kUint32).put(std::uint64_t{0});
  const auto file = parse_gguf(b.view(), "x.gguf");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->integers("i32").value(), (std::vector<std::int64_t>{-1, 0, 7}));
  EXPECT_EQ(file->numbers("i32").value(), (std::vector<double>{-1, 0, 7}));
  EXPECT_EQ(file->numbers("f32").value(), (std::vector<double>{1.5, -2}));
  EXPECT_EQ(file->strings("words").value(), (GgufValue::Strings{"a", "", "ccc"}));
  EXPECT_EQ(file->booleans("flags").value(), (std::vector<bool>{true, false}));
  EXPECT_EQ(file->integers("none").value(), std::vector<std::int64_t>{});
}

TEST(Gguf, AValueOfAnotherTypeIsAnError) {
  Bytes b;
  b.header(0, 3);
  b.key("n", kFloat32).put(1.5f);
  b.key("words", kArray).put(kString).put(std::uint64_t{1}).text("a");
  b.key("name", kString).text("two\nlines");
  const auto file = parse_gguf(b.view(), "x.gguf");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->integer("n").error().message,
            "x.gguf: metadata key 'n' is the number 1.5, expected an integer");
  EXPECT_EQ(file->integers("words").error().message,
            "x.gguf: metadata key 'words' is an array of 1 strings, expected an array of integers");
  EXPECT_EQ(file->number("name").error().message,
            "x.gguf: metadata key 'name' is the string 'two\\x0alines', expected a number");
  EXPECT_THAT(file->boolean("n").error().message, HasSubstr("expected a boolean"));
  EXPECT_THAT(file->string("n").error().message, HasSubstr("expected a string"));
  EXPECT_THAT(file->strings("n").error().message, HasSubstr("expected an array of strings"));
  EXPECT_THAT(file->numbers("n").error().message, HasSubstr("expected an array of numbers"));
  EXPECT_THAT(file->booleans("n").error().message, HasSubstr("expected an array of booleans"));
}

TEST(Gguf, ShapesAreOutermostFirstAndDataIsFoundByOffset) {
  Bytes b;
  b.header(2, 0, 2);
  b.tensor("a", {2, 3}, kF32, 64).tensor("b", {32}, kQ8, 0).pad();
  const std::size_t data = b.view().size();
  b.zeros(34).pad().zeros(24);
  const auto file = parse_gguf(b.view(), "x.gguf");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->format(), "GGUF v2");
  ASSERT_EQ(file->tensors().size(), 2u);
  const TensorView& a = file->tensors()[0];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.dtype, DType::kF32);
  EXPECT_EQ(a.shape, (std::vector<std::int64_t>{3, 2}));
  EXPECT_EQ(a.bytes, 24u);
  EXPECT_EQ(a.data, b.view().data() + data + 64);
  ASSERT_NE(file->tensor("b"), nullptr);
  EXPECT_EQ(file->tensor("b")->bytes, 34u);
  EXPECT_EQ(file->tensor("b")->data, b.view().data() + data);
  EXPECT_EQ(file->tensor("c"), nullptr);
  file->release(a);  // without a mapping: nothing to do, nothing to break
  file->will_read(a);
}

TEST(Gguf, AlignmentComesFromTheMetadata) {
  Bytes b;
  b.header(2, 1);
  b.key("general.alignment", kUint32).put(std::uint32_t{8});
  b.tensor("a", {2}, kF32, 0).tensor("b", {1}, kF32, 8).pad(8);
  const std::size_t data = b.view().size();
  b.zeros(12);
  const auto file = parse_gguf(b.view(), "x.gguf");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->tensor("b")->data, b.view().data() + data + 8);
}

TEST(GgufErrors, Header) {
  EXPECT_EQ(error_of(Bytes()),
            "x.gguf: is not a GGUF file: it does not begin with the letters GGUF");
  EXPECT_THAT(error_of(Bytes().put(0x6c6c7567)), HasSubstr("is not a GGUF file"));
  EXPECT_EQ(error_of(Bytes().header(0, 0, 1)),
            "x.gguf: has GGUF version 1, which was withdrawn in 2023; expected version 2 or 3");
  EXPECT_EQ(error_of(Bytes().header(0, 0, 0x03000000)),
            "x.gguf: is a big-endian GGUF file, expected a little-endian one");
  EXPECT_EQ(error_of(Bytes().header(0, 0, 4)), "x.gguf: has GGUF version 4, expected 2 or 3");
  EXPECT_EQ(error_of(Bytes().header(0, 0, 0)), "x.gguf: has GGUF version 0, expected 2 or 3");
  EXPECT_EQ(error_of(Bytes().header(0, std::uint64_t{1} << 62)),
            "x.gguf: claims to have 4611686018427387904 metadata pairs, expected at most 65536");
  EXPECT_EQ(error_of(Bytes().header(3, 0).zeros(71)),
            "x.gguf: claims to have 3 tensors, but 71 bytes are left");
}

TEST(GgufErrors, Metadata) {
  EXPECT_EQ(error_of(Bytes().header(0, 1).put(std::uint64_t{1000}).zeros(20)),
            "x.gguf: the key of metadata pair 1 of 1 at byte 24 does not fit into the file's 52 "
            "bytes");
  EXPECT_THAT(error_of(Bytes().header(0, 1).text("").zeros(5)),
              HasSubstr("has a key of 0 bytes, expected 1 to 65535"));
  EXPECT_EQ(error_of(Bytes().header(0, 1).key("abc", 13).zeros(8)),
            "x.gguf: metadata key 'abc' has the unknown type 13, expected 0 to 12");
  EXPECT_EQ(error_of(Bytes().header(0, 1).key("abc", kUint64).put(std::uint32_t{1})),
            "x.gguf: the value of metadata key 'abc' at byte 39 does not fit into the file's 43 "
            "bytes");
  EXPECT_EQ(error_of(Bytes().header(0, 1).key("abc", kBool).put('\2')),
            "x.gguf: metadata key 'abc' has the boolean 2, expected 0 or 1");
  EXPECT_EQ(error_of(Bytes().header(0, 2).key("abc", kInt8).put('\1').key("abc", kInt8).put('\1')),
            "x.gguf: has the metadata key 'abc' twice");
  EXPECT_THAT(error_of(Bytes().header(0, 1).key("abc", kString).put(~std::uint64_t{0})),
              HasSubstr("the value of metadata key 'abc' at byte 39 does not fit"));
}

TEST(GgufErrors, Arrays) {
  const auto array = [](std::uint32_t type, std::uint64_t count) {
    return Bytes().header(0, 1).key("abc", kArray).put(type).put(count);
  };
  EXPECT_EQ(error_of(array(kArray, 1).zeros(12)),
            "x.gguf: metadata key 'abc' is an array of arrays, which is not supported");
  EXPECT_EQ(error_of(array(99, 1).zeros(12)),
            "x.gguf: metadata key 'abc' is an array of the unknown type 99, expected 0 to 12");
  // Counts that would take all memory or wrap around when multiplied.
  for (const std::uint32_t type : {kUint8, kInt16, kFloat32, kBool, kString, kFloat64}) {
    for (const std::uint64_t count : {std::uint64_t{17}, std::uint64_t{1} << 61, ~std::uint64_t{0}})
      EXPECT_EQ(error_of(array(type, count).zeros(16)),
                "x.gguf: metadata key 'abc' claims an array of " + std::to_string(count) +
                    " elements, but 16 bytes are left");
  }
  EXPECT_EQ(error_of(array(kString, 2).text("a").put(std::uint64_t{9})),
            "x.gguf: string 2 of 2 of metadata key 'abc' at byte 60 does not fit into the file's "
            "68 bytes");
  EXPECT_EQ(error_of(array(kBool, 2).put('\1').put('\3')),
            "x.gguf: metadata key 'abc' has the boolean 3 at index 1, expected 0 or 1");
  EXPECT_EQ(error_of(array(kUint8, (1 << 24) + 1).zeros((1 << 24) + 1)),
            "x.gguf: has more than 16777216 elements in metadata arrays, up to key 'abc'");
}

TEST(GgufErrors, Alignment) {
  for (const std::uint32_t bad : {0u, 4u, 48u, 1u << 17})
    EXPECT_EQ(error_of(Bytes().header(0, 1).key("general.alignment", kUint32).put(bad)),
              "x.gguf: general.alignment is the integer " + std::to_string(bad) +
                  ", expected a power of two from 8 to 65536");
  EXPECT_EQ(
      error_of(Bytes().header(0, 1).key("general.alignment", kString).text("32")),
      "x.gguf: general.alignment is the string '32', expected a power of two from 8 to 65536");
}

TEST(GgufErrors, TensorDescriptions) {
  EXPECT_EQ(
      error_of(Bytes().header(1, 0).tensor("blk.0.attn_q.weight", {256}, kIq1S, 0)),
      "x.gguf: tensor 'blk.0.attn_q.weight' has type IQ1_S, which is not supported; "
      "supported: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, "
      "IQ4_NL, IQ4_XS, MXFP4, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S");
  EXPECT_THAT(error_of(Bytes().header(1, 0).tensor("t", {1}, 12345, 0)),
              HasSubstr("tensor 't' has type 12345, which is not supported"));
  EXPECT_EQ(error_of(Bytes().header(1, 0).tensor("t", {128, 2}, kQ4K, 0)),
            "x.gguf: tensor 't' of type Q4_K has rows of 128 elements, expected a multiple of 256");
  EXPECT_EQ(error_of(Bytes().header(1, 0).tensor("t", {1, 1, 1, 1, 1}, kF32, 0)),
            "x.gguf: tensor 't' has 5 dimensions, expected at most 4");
  EXPECT_EQ(error_of(Bytes().header(1, 0).tensor("t", {4, 0}, kF32, 0)),
            "x.gguf: tensor 't' has the shape [0, 4], expected sizes of at least 1 and a product "
            "below 2^60");
  for (const std::uint64_t size :
       {std::uint64_t{1} << 33, std::uint64_t{1} << 63, ~std::uint64_t{0}})
    EXPECT_THAT(error_of(Bytes().header(1, 0).tensor("t", {size, size}, kF32, 0)),
                HasSubstr("expected sizes of at least 1 and a product below 2^60"));
  EXPECT_EQ(error_of(Bytes().header(1, 0).tensor(std::string(65, 'n'), {1}, kF32, 0)),
            "x.gguf: tensor 1 of 1 has a name of 65 bytes, expected 1 to 64");
  EXPECT_EQ(error_of(Bytes().header(2, 0).tensor("t", {1}, kF32, 0).tensor("t", {1}, kF32, 32)),
            "x.gguf: has the tensor 't' twice");
  EXPECT_EQ(error_of(Bytes().header(1, 0).text("t").put(std::uint32_t{3}).zeros(16)),
            "x.gguf: the shape of tensor 't' at byte 53 does not fit into the file's 53 bytes");
}

TEST(GgufErrors, TensorData) {
  EXPECT_EQ(error_of(Bytes().header(1, 0).tensor("t", {2, 4}, kF32, 0).pad().zeros(31)),
            "x.gguf: tensor 't' (F32 [4, 2]) at offset 0 does not fit into the file: 31 bytes are "
            "left for it");
  EXPECT_THAT(
      error_of(Bytes().header(1, 0).tensor("t", {1}, kF32, ~std::uint64_t{31}).pad().zeros(64)),
      HasSubstr("does not fit into the file: 0 bytes are left for it"));
  // The padding before the data is missing, and with it the data.
  EXPECT_THAT(error_of(Bytes().header(1, 0).tensor("t", {1}, kF32, 0)),
              HasSubstr("does not fit into the file: 0 bytes are left for it"));
  EXPECT_EQ(error_of(Bytes().header(1, 0).tensor("t", {1}, kF32, 16).pad().zeros(64)),
            "x.gguf: tensor 't' is at offset 16, expected a multiple of the alignment 32");
  EXPECT_EQ(error_of(Bytes()
                         .header(2, 0)
                         .tensor("late", {8}, kF32, 32)
                         .tensor("early", {9}, kF32, 0)
                         .pad()
                         .zeros(64)),
            "x.gguf: tensors 'early' and 'late' overlap");
}

TEST(GgufErrors, OpeningSaysWhy) {
  const std::string folder = testing::TempDir();
  EXPECT_THAT(open_gguf(folder + "/absent.gguf").error().message,
              HasSubstr("absent.gguf: cannot open the file: No such file or directory"));
  EXPECT_THAT(open_gguf(folder).error().message, HasSubstr("is a folder, expected a file"));
}

}  // namespace
}  // namespace ridgeline
