// Files made by llama.cpp's llama-imatrix (tests/data/rivals/imatrix), of a random model with
// six experts, of 96 tokens.

#include "ridgeline/tools/ptq/importance_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <random>

#include "ridgeline/format/gguf_writer.h"
#include "tests/support/random_model.h"

namespace ridgeline::ptq {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string recorded(const std::string& name) {
  return RIDGELINE_SOURCE_DIR "/tests/data/rivals/imatrix/" + name;
}

/// From a copy without slack, so that a sanitizer sees each byte out of bounds.
Result<ImportanceMatrix> parse(const std::string& content) {
  const auto copy = std::make_unique<char[]>(content.size());
  std::memcpy(copy.get(), content.data(), content.size());
  return ImportanceMatrix::parse(std::as_bytes(std::span(copy.get(), content.size())), "x");
}

ImportanceMatrix read(const std::string& path) {
  auto matrix = ImportanceMatrix::read(path);
  EXPECT_TRUE(matrix) << matrix.error().message;
  return matrix ? *std::move(matrix) : ImportanceMatrix();
}

std::string written(const ImportanceMatrix& matrix, const std::string& name) {
  const std::string path = test::temporary_path(name);
  const Status status = matrix.write(path);
  EXPECT_TRUE(status) << status.error().message;
  std::string bytes = read_file(path);
  std::remove(path.c_str());
  return bytes;
}

std::string write_error(const ImportanceMatrix& matrix, const std::string& name) {
  const std::string path = test::temporary_path(name);
  const Status status = matrix.write(path);
  EXPECT_FALSE(status);
  EXPECT_FALSE(std::ifstream(path).good());
  return status ? "" : status.error().message;
}

TEST(ImportanceMatrix, ReadsGguf) {
  const ImportanceMatrix m = read(recorded("moe.gguf"));
  EXPECT_THAT(m.datasets, ElementsAre("c3.txt"));
  EXPECT_EQ(m.chunks, 3);
  EXPECT_EQ(m.chunk_size, 32);
  EXPECT_EQ(m.entries().size(), 8u);
  const auto* query = m.find("blk.0.attn_q.weight");
  ASSERT_NE(query, nullptr);
  EXPECT_THAT(query->counts, ElementsAre(96));
  EXPECT_EQ(query->cols(), 32);
  EXPECT_FLOAT_EQ(query->mean_squares()[0], 96.694786f / 96);
  const auto* gate = m.find("blk.0.ffn_gate_exps.weight");
  ASSERT_NE(gate, nullptr);
  EXPECT_THAT(gate->counts, ElementsAre(24, 65, 28, 30, 37, 8));
  EXPECT_EQ(gate->cols(), 32);
  EXPECT_FLOAT_EQ(gate->mean_squares(0)[1], 6.0025535f / 24);
  EXPECT_EQ(m.find("blk.1.attn_q.weight"), nullptr);
}

TEST(ImportanceMatrix, WritesGgufAsLlamaCppDoes) {
  EXPECT_EQ(written(read(recorded("moe.gguf")), "a.gguf"), read_file(recorded("moe.gguf")));
}

TEST(ImportanceMatrix, DatComesBackByteForByte) {
  EXPECT_EQ(written(read(recorded("moe.dat")), "a.dat"), read_file(recorded("moe.dat")));
}

// Both files are of the same run; llama.cpp divides in F32.
TEST(ImportanceMatrix, TheTwoFormsMeanTheSame) {
  const ImportanceMatrix gguf = read(recorded("moe.gguf")), dat = read(recorded("moe.dat"));
  const auto ours = parse(written(gguf, "b.dat"));
  ASSERT_TRUE(ours) << ours.error().message;
  EXPECT_EQ(dat.datasets, gguf.datasets);
  EXPECT_EQ(dat.chunks, gguf.chunks);
  EXPECT_EQ(ours->datasets, gguf.datasets);
  EXPECT_EQ(ours->chunks, gguf.chunks);
  EXPECT_EQ(dat.entries().size(), gguf.entries().size());
  for (const auto& [name, entry] : gguf.entries()) {
    const auto matrices = static_cast<std::int64_t>(entry.counts.size());
    const auto expected = gguf.mean_squares(name, matrices, entry.cols());
    const auto theirs = dat.mean_squares(name, matrices, entry.cols());
    const auto mine = ours->mean_squares(name, matrices, entry.cols());
    ASSERT_TRUE(expected && theirs && mine) << name;
    for (std::size_t i = 0; i < expected->size(); ++i) {
      EXPECT_NEAR((*theirs)[i], (*expected)[i], 3e-7f * (*expected)[i]) << name << " " << i;
      EXPECT_NEAR((*mine)[i], (*expected)[i], 2e-7f * (*expected)[i]) << name << " " << i;
    }
  }
}

TEST(ImportanceMatrix, ExpertsThatSawNothingWeighAllInputsAlike) {
  ImportanceMatrix m;
  m.chunk_size = 4;
  m.entries()["experts"] = {{2, 4, 0, 0, 9, 3}, {2, 0, 3}};
  m.entries()["unseen"] = {{0, 0}, {0}};
  EXPECT_THAT(*m.mean_squares("experts", 3, 2), ElementsAre(1, 2, 1, 1, 3, 1));
  EXPECT_THAT(m.find("experts")->mean_squares(1), ElementsAre(1, 1));
  EXPECT_THAT(*m.mean_squares("absent", 3, 2), ElementsAre());
  EXPECT_THAT(m.mean_squares("experts", 2, 2).error().message,
              HasSubstr("6 sums and 3 counts for 'experts', expected 2 x 2"));
  EXPECT_FALSE(m.mean_squares("experts", 6, 1));
  const auto dat = parse(written(m, "c.dat"));
  ASSERT_TRUE(dat) << dat.error().message;
  EXPECT_THAT(*dat->mean_squares("experts", 3, 2), ElementsAre(1, 2, 1, 1, 3, 1));
  EXPECT_EQ(dat->find("unseen"), nullptr);
  const auto gguf = parse(written(m, "c.gguf"));
  ASSERT_TRUE(gguf) << gguf.error().message;
  EXPECT_EQ(gguf->find("experts")->sums, m.find("experts")->sums);
  EXPECT_EQ(gguf->find("unseen")->counts, m.find("unseen")->counts);
}

TEST(ImportanceMatrix, SeveralDatasets) {
  ImportanceMatrix m;
  m.entries()["a"] = {{1}, {1}};
  m.datasets = {"one.txt", "two.txt"};
  EXPECT_EQ(parse(written(m, "d.gguf"))->datasets, m.datasets);
  EXPECT_THAT(parse(written(m, "d.dat"))->datasets, ElementsAre("two.txt"));
}

TEST(ImportanceMatrix, RefusesToWriteWhatItWouldNotRead) {
  const auto with = [](ImportanceMatrix::Entry entry) {
    ImportanceMatrix m;
    m.entries()["a"] = std::move(entry);
    return m;
  };
  EXPECT_THAT(write_error(with({{1, -1}, {1}}), "e.gguf"), HasSubstr("sum 1 of entry 'a' is -1"));
  EXPECT_THAT(write_error(with({{1e39}, {1}}), "e.dat"), HasSubstr("is 1e+39"));
  EXPECT_THAT(write_error(with({{1}, {kInfinity}}), "e.gguf"), HasSubstr("count 0 of entry 'a'"));
  EXPECT_THAT(write_error(with({{1, 2, 3}, {1, 2}}), "e.gguf"), HasSubstr("3 sums and 2 counts"));
  EXPECT_THAT(write_error(with({{0}, {0}}), "e.dat"), HasSubstr("no text reached"));
  EXPECT_THAT(write_error(with({{1}, {1e12}}), "e.dat"), HasSubstr("write GGUF"));
  EXPECT_THAT(write_error(ImportanceMatrix(), "e.dat"), HasSubstr("no text reached"));
}

std::string dat_file(std::int32_t entries, const std::string& name, std::int32_t calls,
                     std::vector<float> values) {
  std::string bytes;
  const auto put = [&bytes](auto value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  put(entries);
  put(static_cast<std::int32_t>(name.size()));
  bytes += name;
  put(calls);
  put(static_cast<std::int32_t>(values.size()));
  for (const float v : values) put(v);
  return bytes;
}

std::string error_of(const std::string& content) {
  const auto m = parse(content);
  return m ? "accepted" : m.error().message;
}

TEST(ImportanceMatrix, BadDatFilesAreSentences) {
  EXPECT_TRUE(parse(dat_file(1, "a", 1, {1, 2})));  // the oldest files end here
  EXPECT_THAT(error_of(""), HasSubstr("is no importance matrix"));
  EXPECT_THAT(error_of("hello, this is a text"), HasSubstr("is no importance matrix"));
  EXPECT_THAT(error_of(dat_file(0, "a", 1, {1})), HasSubstr("is no importance matrix"));
  EXPECT_THAT(error_of(dat_file(2, "a", 1, {1, 2, 3, 4, 5, 6})),
              HasSubstr("the file ends in the name"));
  EXPECT_THAT(error_of(dat_file(1, "", 1, {1, 2})), HasSubstr("entry 1 has no name"));
  EXPECT_THAT(error_of(dat_file(1, std::string(65, 'a'), 1, {1})), HasSubstr("has 65 bytes"));
  EXPECT_THAT(error_of(dat_file(1, "a", 0, {1})), HasSubstr("1 values of 0 calls"));
  EXPECT_THAT(error_of(dat_file(1, "a", 1, {1, -2})), HasSubstr("sum 1 of entry 'a' is -2"));
  EXPECT_THAT(error_of(dat_file(1, "a", 1, {std::nanf("")})),
              HasSubstr("sum 0 of entry 'a' is nan"));
  EXPECT_THAT(error_of(dat_file(1, "a", 1, {1}) + "abc"),
              HasSubstr("ends in the number of chunks"));
  std::string twice = dat_file(2, "a", 1, {1});
  twice += dat_file(1, "a", 1, {1}).substr(4);
  EXPECT_THAT(error_of(twice), HasSubstr("entry 'a' comes twice"));
  std::string huge = dat_file(1, "a", 1, {1});
  const std::int32_t values = std::numeric_limits<std::int32_t>::max();
  std::memcpy(huge.data() + huge.size() - 8, &values, sizeof values);
  EXPECT_THAT(error_of(huge), HasSubstr("the file ends in 'a'"));
}

/// A GGUF file of one tensor pair.
std::string gguf_file(const std::string& type, std::vector<std::int64_t> sums_shape,
                      std::vector<float> sums, std::vector<float> counts,
                      DType counts_type = DType::kF32) {
  const auto view = [](const std::string& name, DType dtype, std::vector<std::int64_t> shape,
                       const std::vector<float>& values) {
    TensorView v;
    v.name = name;
    v.dtype = dtype;
    v.shape = std::move(shape);
    v.data = reinterpret_cast<const std::byte*>(values.data());
    v.bytes = row_bytes(dtype, v.elements());
    return v;
  };
  std::vector<TensorView> tensors;
  if (!sums.empty()) tensors.push_back(view("a.in_sum2", DType::kF32, std::move(sums_shape), sums));
  if (!counts.empty())
    tensors.push_back(
        view("a.counts", counts_type, {static_cast<std::int64_t>(counts.size())}, counts));
  const std::string path = test::temporary_path("made.gguf");
  const Status status = write_gguf(path, {{"general.type", GgufValue::of(type)}}, tensors);
  EXPECT_TRUE(status) << status.error().message;
  std::string bytes = read_file(path);
  std::remove(path.c_str());
  return bytes;
}

TEST(ImportanceMatrix, BadGgufFilesAreSentences) {
  EXPECT_TRUE(parse(gguf_file("imatrix", {2}, {1, 2}, {1})));
  EXPECT_THAT(error_of(gguf_file("model", {2}, {1, 2}, {1})),
              HasSubstr("general.type is 'model', expected 'imatrix'"));
  EXPECT_THAT(error_of(gguf_file("imatrix", {2}, {}, {})), HasSubstr("no tensor NAME.in_sum2"));
  EXPECT_THAT(error_of(gguf_file("imatrix", {2}, {1, 2}, {})),
              HasSubstr("entry 'a' has 2 sums and 0 counts"));
  EXPECT_THAT(error_of(gguf_file("imatrix", {2}, {}, {1})),
              HasSubstr("entry 'a' has 0 sums and 1 counts"));
  EXPECT_THAT(error_of(gguf_file("imatrix", {3}, {1, 2, 3}, {1, 1})),
              HasSubstr("entry 'a' has 3 sums and 2 counts"));
  EXPECT_THAT(error_of(gguf_file("imatrix", {2}, {1, -1}, {1})), HasSubstr("sum 1 of entry 'a'"));
  EXPECT_THAT(error_of(gguf_file("imatrix", {1}, {1}, {std::nanf("")})),
              HasSubstr("count 0 of entry 'a' is nan"));
  EXPECT_THAT(error_of(gguf_file("imatrix", {1}, {1}, {1}, DType::kF16)),
              HasSubstr("'a.counts' is F16, expected F32"));
}

/// What was accepted is whole: it can be asked for everything and written.
bool accepts(const std::string& content) {
  const auto m = parse(content);
  if (!m) {
    EXPECT_TRUE(m.error().message.starts_with("x: ")) << m.error().message;
    EXPECT_LT(m.error().message.size(), 600u);
    return false;
  }
  for (const auto& [name, entry] : m->entries())
    for (std::size_t i = 0; i < entry.counts.size(); ++i)
      for (const float mean : entry.mean_squares(static_cast<std::int64_t>(i)))
        EXPECT_GE(mean, 0) << name;
  return true;
}

TEST(ImportanceMatrixCorruption, CutShortAtEveryLength) {
  for (const char* name : {"moe.gguf", "moe.dat"}) {
    const std::string whole = read_file(recorded(name));
    ASSERT_TRUE(accepts(whole));
    std::vector<std::size_t> accepted;
    for (std::size_t length = 0; length < whole.size(); ++length)
      if (accepts(whole.substr(0, length))) accepted.push_back(length);
    // A .dat file may end before the chunks and the dataset's name; GGUF ends in padding.
    if (std::string_view(name).ends_with(".dat"))
      EXPECT_THAT(accepted, ElementsAre(whole.size() - 4 - 4 - std::strlen("c3.txt")));
    else
      EXPECT_THAT(accepted, testing::Each(testing::Ge(whole.size() - 31)));
  }
}

TEST(ImportanceMatrixCorruption, BytesTurned) {
  std::mt19937 random(1);
  for (const char* name : {"moe.gguf", "moe.dat"}) {
    const std::string whole = read_file(recorded(name));
    int refused = 0;
    constexpr int kRounds = 3000;
    for (int round = 0; round < kRounds; ++round) {
      std::string broken = whole;
      for (unsigned turned = 0; turned <= round % 5u; ++turned) {
        // Half of them where the structure is.
        const std::size_t end = random() % 2 == 0 ? 700 : broken.size();
        broken[random() % end] = static_cast<char>(random());
      }
      refused += !accepts(broken);
    }
    EXPECT_GT(refused, kRounds / 10) << name;
    EXPECT_LT(refused, kRounds) << name;
  }
}

}  // namespace
}  // namespace ridgeline::ptq
