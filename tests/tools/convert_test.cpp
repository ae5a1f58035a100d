#include "ridgeline/tools/ptq/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "ridgeline/format/gguf.h"
#include "ridgeline/quant/block_format.h"
#include "ridgeline/tools/ptq/plain_method.h"
#include "ridgeline/tools/ptq/quantize.h"
#include "ridgeline/tools/ptq/weighted_method.h"
#include "tests/support/random_model.h"

namespace ridgeline::ptq {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::vector<float> values_of(const TensorView& t) {
  std::vector<std::byte> scratch;
  std::vector<float> values(static_cast<std::size_t>(t.elements()));
  const auto rows = t.read_rows(0, t.rows(), scratch);
  for (std::int64_t r = 0; r < t.rows(); ++r)
    decode(t.dtype, rows.data() + static_cast<std::size_t>(r) * row_bytes(t.dtype, t.cols()),
           t.cols(), values.data() + r * t.cols());
  return values;
}

/// A folder of its own for each test, gone afterwards.
class Convert : public testing::Test {
 protected:
  Convert() {
    std::string pattern = testing::TempDir() + "convert_XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << pattern;
    folder_ = pattern;
  }
  ~Convert() override { fs::remove_all(folder_); }

  std::string path(const char* name) const { return folder_ / name; }
  std::string random_model(const test::RandomModel& model) const {
    test::write_random_model(path("in.gguf"), model);
    return path("in.gguf");
  }
  QuantizeOptions options(const char* type) const {
    QuantizeOptions o;
    o.source = path("in.gguf");
    o.target = path("out.gguf");
    o.types.type = type;
    o.threads = 2;
    return o;
  }
  static std::string error_of(const QuantizeOptions& options) {
    auto job = QuantizeJob::open(options);
    if (!job) return job.error().message;
    const auto report = job->run({});
    return report ? "no error" : report.error().message;
  }
  std::size_t num_files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), {}));
  }

  fs::path folder_;
};

TEST_F(Convert, EveryRowIsWhatTheEncoderMakesOfIt) {
  random_model({.dtype = DType::kBF16, .layers = 1, .experts = 0});
  auto job = QuantizeJob::open(options("Q4_K_M"));
  ASSERT_TRUE(job) << job.error().message;
  double last = 0;
  const auto report = job->run({[&last](double fraction) {
    EXPECT_GE(fraction, last);
    last = fraction;
  }});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_DOUBLE_EQ(last, 1.0);
  const auto source = open_gguf(path("in.gguf"));
  const auto target = open_gguf(path("out.gguf"));
  ASSERT_TRUE(target) << target.error().message;
  ASSERT_EQ(target->tensors().size(), source->tensors().size());
  std::vector<std::byte> encoded;
  for (std::size_t i = 0; i < target->tensors().size(); ++i) {
    const TensorView& t = target->tensors()[i];
    const PlannedTensor& planned = job->plan().tensors()[i];
    const TensorReport& said = report->tensors[i];
    EXPECT_EQ(t.name, planned.source->name);
    EXPECT_EQ(t.name, said.name);
    EXPECT_EQ(t.dtype, planned.type);
    const std::vector<float> original = values_of(*source->tensor(t.name));
    encoded.resize(t.bytes);
    encode(t.dtype, original.data(), t.elements(), encoded.data());
    EXPECT_EQ(std::memcmp(encoded.data(), t.data, t.bytes), 0) << t.name;
    TensorQuality quality;
    if (planned.changes()) quality.add(original, values_of(t));
    EXPECT_EQ(said.quality.elements, quality.elements) << t.name;
    EXPECT_NEAR(said.quality.noise, quality.noise, 1e-9 * quality.signal) << t.name;
    EXPECT_EQ(said.quality.max_error, quality.max_error) << t.name;
  }
  EXPECT_EQ(target->integer("general.file_type")->value(), 15);
  EXPECT_EQ(target->integer("general.quantization_version")->value(), 2);
  EXPECT_EQ(report->target_bytes, fs::file_size(path("out.gguf")));
  EXPECT_EQ(report->source_bytes, fs::file_size(path("in.gguf")));
}

TEST_F(Convert, ThreadsChangeNothing) {
  random_model({.dtype = DType::kF16, .layers = 2});
  std::vector<std::string> files;
  std::vector<double> noise;
  for (const int threads : {1, 3}) {
    QuantizeOptions o = options("Q5_K_S");
    o.threads = threads;
    auto job = QuantizeJob::open(o);
    ASSERT_TRUE(job) << job.error().message;
    const auto report = job->run({});
    ASSERT_TRUE(report) << report.error().message;
    std::ifstream file(o.target, std::ios::binary);
    files.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    noise.push_back(report->total().noise);
  }
  EXPECT_TRUE(files[0] == files[1]);
  EXPECT_EQ(noise[0], noise[1]);
}

TEST_F(Convert, BetweenPlainTypesIsExactWhereItCanBe) {
  random_model({.dtype = DType::kF16});
  EXPECT_EQ(error_of(options("F32")), "no error");
  const auto source = open_gguf(path("in.gguf"));
  const auto wide = open_gguf(path("out.gguf"));
  ASSERT_TRUE(wide) << wide.error().message;
  for (const TensorView& t : wide->tensors()) {
    EXPECT_EQ(t.dtype, DType::kF32);
    EXPECT_EQ(values_of(t), values_of(*source->tensor(t.name))) << t.name;
  }
  EXPECT_EQ(wide->integer("general.file_type")->value(), 0);
}

TEST_F(Convert, RefusesWeightsThatAreNoNumbersOrTooLarge) {
  random_model({.dtype = DType::kF32, .planted = std::numeric_limits<float>::quiet_NaN()});
  EXPECT_THAT(error_of(options("Q8_0")),
              HasSubstr("holds weights that are infinite or no numbers at all"));
  random_model({.dtype = DType::kF32, .planted = 1e6F});
  EXPECT_THAT(error_of(options("F16")), HasSubstr("holds weights that are too large for F16; "
                                                  "expected a type of a larger range"));
  EXPECT_EQ(error_of(options("BF16")), "no error");
  EXPECT_EQ(num_files(), 2U);
}

TEST_F(Convert, TheTargetAppearsWholeOrNotAtAll) {
  random_model({.dtype = DType::kF16});
  std::ofstream(path("out.gguf")) << "an older file";
  const std::atomic<bool> stop = true;
  auto job = QuantizeJob::open(options("Q8_0"));
  ASSERT_TRUE(job) << job.error().message;
  const auto stopped = job->run({nullptr, &stop});
  ASSERT_FALSE(stopped);
  EXPECT_THAT(stopped.error().message, HasSubstr("out.gguf: was interrupted"));
  EXPECT_EQ(fs::file_size(path("out.gguf")), 13U);
  EXPECT_EQ(num_files(), 2U);

  // What a killed process left, which nobody has locked.
  std::ofstream(path("out.gguf.0000beef.tmp")) << "half";
  EXPECT_EQ(error_of(options("Q8_0")), "no error");
  EXPECT_EQ(num_files(), 2U);
  EXPECT_TRUE(open_gguf(path("out.gguf")));
}

TEST_F(Convert, RefusesToWriteOverItsSource) {
  random_model({.dtype = DType::kF16});
  QuantizeOptions o = options("Q8_0");
  o.target = path("in.gguf");
  EXPECT_THAT(error_of(o), HasSubstr("in.gguf: is the model that is read"));
  fs::create_symlink(path("in.gguf"), path("link.gguf"));
  o.target = path("link.gguf");
  EXPECT_THAT(error_of(o), HasSubstr("link.gguf: is the model that is read"));
  o.target = folder_.string();
  EXPECT_THAT(error_of(o), HasSubstr("is a folder, expected the name of a GGUF file"));
  o.target = path("absent/out.gguf");
  EXPECT_THAT(error_of(o), HasSubstr("No such file or directory"));
  EXPECT_TRUE(open_gguf(path("in.gguf")));
}

/// An importance matrix with an entry for each matrix, all inputs alike but one.
ImportanceMatrix importance_of(const Checkpoint& model, float first_input) {
  ImportanceMatrix importance;
  for (const TensorView& t : model.tensors()) {
    if (t.shape.size() < 2 || t.name == "token_embd.weight") continue;
    const auto matrices = t.shape.size() == 3 ? static_cast<std::size_t>(t.shape[0]) : 1;
    ImportanceMatrix::Entry& entry = importance.entries()[t.name];
    entry.counts.assign(matrices, 4);
    entry.sums.assign(matrices * static_cast<std::size_t>(t.cols()), 4);
    entry.sums[0] = 4.0 * static_cast<double>(first_input);
  }
  return importance;
}

TEST_F(Convert, WeightsGuideTheScales) {
  random_model({.architecture = "qwen3moe", .dtype = DType::kF16, .layers = 1, .experts = 4});
  const auto model = open_gguf(path("in.gguf"));
  ASSERT_TRUE(model) << model.error().message;
  const auto plan = QuantizePlan::make(*model, {.type = "Q4_0", .importance = true});
  ASSERT_TRUE(plan) << plan.error().message;
  ThreadPool threads(2, false);
  WeightedMethod method(*model, threads, importance_of(*model, 1e4F), "x.imatrix");
  PlainMethod plain(*model, threads);
  const auto weighted = convert(*model, *plan, {}, path("weighted.gguf"), method, threads, {});
  ASSERT_TRUE(weighted) << weighted.error().message;
  ASSERT_TRUE(convert(*model, *plan, {}, path("plain.gguf"), plain, threads, {}));
  EXPECT_THAT(method.notes(),
              testing::ElementsAre(HasSubstr(
                  "token_embd.weight was rounded with all errors alike: x.imatrix has no")));
  const auto a = open_gguf(path("weighted.gguf"));
  const auto b = open_gguf(path("plain.gguf"));
  // The first input, which matters ten thousand times more, comes out better, and only in the
  // first expert, as only there it does.
  const auto error = [&](const Checkpoint& file, const char* name, std::size_t expert) {
    const TensorView& t = *file.tensor(name);
    const std::vector<float> wanted = values_of(*model->tensor(name)), got = values_of(t);
    const auto cols = static_cast<std::size_t>(t.cols());
    const std::size_t rows = static_cast<std::size_t>(t.shape[t.shape.size() - 2]);
    double sum = 0;
    for (std::size_t r = expert * rows; r < (expert + 1) * rows; ++r)
      sum += std::pow(static_cast<double>(wanted[r * cols] - got[r * cols]), 2);
    return sum;
  };
  for (const char* name : {"blk.0.attn_q.weight", "blk.0.ffn_up_exps.weight"})
    EXPECT_LT(error(*a, name, 0), 0.2 * error(*b, name, 0)) << name;
  EXPECT_GT(error(*a, "blk.0.ffn_up_exps.weight", 1),
            0.5 * error(*b, "blk.0.ffn_up_exps.weight", 1));
}

TEST_F(Convert, AnImportanceMatrixMustFitTheModel) {
  random_model({.dtype = DType::kF16, .layers = 1});
  const auto model = open_gguf(path("in.gguf"));
  ASSERT_TRUE(model) << model.error().message;
  const auto plan = QuantizePlan::make(*model, {.type = "Q4_0", .importance = true});
  ASSERT_TRUE(plan) << plan.error().message;
  ThreadPool threads(2, false);
  const auto error = [&](ImportanceMatrix importance) {
    WeightedMethod method(*model, threads, std::move(importance), "x.imatrix");
    const auto done = convert(*model, *plan, {}, path("out.gguf"), method, threads, {});
    return done ? "no error" : done.error().message;
  };
  ImportanceMatrix importance = importance_of(*model, 1);
  importance.entries().erase("blk.0.attn_k.weight");
  EXPECT_THAT(error(importance), HasSubstr("x.imatrix: has no entry for tensor "
                                           "'blk.0.attn_k.weight'"));
  importance = importance_of(*model, 1);
  importance.entries()["blk.0.attn_q.weight"].sums.resize(128);
  EXPECT_THAT(error(importance), HasSubstr("the entry of tensor 'blk.0.attn_q.weight' is of 1 x "
                                           "128 inputs, expected 1 x 256"));
  EXPECT_EQ(num_files(), 1U);
}

}  // namespace
}  // namespace ridgeline::ptq
