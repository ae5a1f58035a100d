// What fits, what streams give, and what is advised, from made-up rates; and a small model from
// its file to its predictions.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "ridgeline/model/model_file.h"
#include "ridgeline/tools/doctor/model_diagnosis.h"
#include "ridgeline/tools/doctor/model_rates.h"
#include "tests/support/random_model.h"

namespace ridgeline::doctor {
namespace {

using testing::HasSubstr;
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

/// 2 layers of 1 KV head of 64: 512 bytes of F16 a token, blocks of 8 KiB.
MemoryFit fit_of(std::uint64_t available, std::uint64_t weights) {
  KvCacheShape shape;
  shape.layers = 2;
  shape.kv_heads = 1;
  shape.head_dim = 64;
  MemoryFit fit;
  fit.available_bytes = available;
  fit.weight_bytes = weights;
  fit.workspace_bytes = 4 * kMiB;
  fit.kv = *KvSizes::of(**create_backend({.threads = 1, .isa = "generic"}), shape, 512);
  fit.trained_context = 4096;
  return fit;
}

TEST(MemoryFit, WhatIsLeftBesideTheWeightsIsContexts) {
  // 104 MiB are taken, 1 MiB is left: 2048 tokens.
  const MemoryFit fit = fit_of(201 * kMiB, 100 * kMiB);
  EXPECT_EQ(MemoryFit::kReserveBytes, 96 * kMiB);
  EXPECT_EQ(fit.left_for_kv(), kMiB);
  EXPECT_EQ(fit.longest_context(), 2048);
  EXPECT_EQ(fit.streams(512), 4);
  EXPECT_EQ(fit.streams(4096), 0);
  EXPECT_TRUE(fit.fits());
  EXPECT_EQ(fit.bytes(2048, 1), 201 * kMiB);
  EXPECT_EQ(fit_of(1000 * kMiB, 100 * kMiB).longest_context(), 4096);  // as trained
  EXPECT_FALSE(fit_of(200 * kMiB, 100 * kMiB).fits());
  EXPECT_EQ(fit_of(10 * kMiB, 100 * kMiB).left_for_kv(), 0u);
}

TEST(Scenarios, StreamsUntilTheyGiveNoMore) {
  EXPECT_EQ(enough_streams({{1, 10, true}, {2, 19, true}, {4, 20, true}, {8, 40, false}}), 2);
  EXPECT_EQ(enough_streams({{1, 10, true}}), 1);
  EXPECT_EQ(enough_streams({{1, 10, false}}), 1);
  EXPECT_EQ(round_context(5000), 4096);
  EXPECT_EQ(round_context(250), 240);
  EXPECT_EQ(round_context(3), 3);
}

ProductRate flat_rate(DType type, double seconds_per_weight) {
  ProductRate rate;
  rate.type = type;
  rate.bytes_per_weight = 1;
  rate.knots = {{1, seconds_per_weight}, {512, 100 * seconds_per_weight}};
  return rate;
}

TypeOption option(const char* name, DType type, double bits, std::uint64_t bytes, bool current) {
  TypeOption o;
  o.name = name;
  o.is_current = current;
  o.bits_per_weight = bits;
  o.weight_bytes = bytes;
  o.fits = true;
  o.work.layers = 1;
  o.work.weights = {{.type = type, .count = 1000}};
  return o;
}

class ScenariosOf : public testing::Test {
 protected:
  void SetUp() override {
    rates_.products = {flat_rate(DType::kF16, 4e-5), flat_rate(DType::kQ8_0, 2e-5),
                       flat_rate(DType::kQ2_K, 1e-5)};
    rates_.layer = {.seconds_one = 1e-4, .seconds_per_position = 1e-5};
    fast_ = {.seconds_one = 1e-4, .seconds_per_position = 1e-6};
    types_ = {option("F16", DType::kF16, 16, 200 * kMiB, true),
              option("Q8_0", DType::kQ8_0, 8.5, 100 * kMiB, false),
              option("Q2_K", DType::kQ2_K, 2.6, 30 * kMiB, false)};
    types_[1].on_load = "q8_0";
    fit_ = fit_of(1000 * kMiB, 200 * kMiB);
    describe_speeds(types_, fit_, rates_, 512);
    config_.vocab_size = 1000;
    config_.hidden_size = 64;
    input_ = {"m.gguf", " -t 2", &types_, &rates_, &fast_, &fit_, &fit_, &config_, 512, 2};
  }
  Scenario of(const std::string& name) {
    for (const Scenario& s : scenarios(input_))
      if (s.name == name) return s;
    return {};
  }
  SpeedRates rates_;
  LayerRate fast_;
  std::vector<TypeOption> types_;
  MemoryFit fit_;
  ModelConfig config_;
  ScenarioInput input_;
};

TEST_F(ScenariosOf, TheFastestTypeThatIsNotTooCoarse) {
  EXPECT_THAT(of("chat").command, HasSubstr("ridgeline chat -m m.gguf --quantize q8_0 -t 2 -c "));
  EXPECT_EQ(of("chat").prepare, "");
  input_.has_chat_template = false;
  EXPECT_THAT(of("chat").command, HasSubstr("ridgeline run -m m.gguf --quantize q8_0 -t 2 -c "));
  input_.has_chat_template = true;
  // 1000 weights x 2e-5 = 20 ms at no depth; half of that speed at 2000 positions.
  EXPECT_THAT(of("chat").command, HasSubstr("-c 1024"));
  // A cache in Q8_0 is read ten times as fast here.
  EXPECT_THAT(of("code").command, HasSubstr("-ctk q8_0"));
  EXPECT_THAT(of("code").command, HasSubstr("-c 4096"));
  EXPECT_THAT(of("embedded").command, HasSubstr("--quantize q8_0"));
}

TEST_F(ScenariosOf, SpeedsAreThoseOfTheRates) {
  EXPECT_NEAR(types_[0].decode_tokens_per_second, 1 / (0.04 + 1e-4 + 513e-5), 1e-9);
  EXPECT_NEAR(types_[1].decode_tokens_per_second, 1 / (0.02 + 1e-4 + 513e-5), 1e-9);
  const Scenario batch = of("batch");
  EXPECT_THAT(batch.command, HasSubstr("--max-num-seqs"));
  EXPECT_GT(batch.tokens_per_second, types_[1].decode_tokens_per_second);
}

TEST_F(ScenariosOf, WhatDoesNotFitIsNotAdvised) {
  for (TypeOption& t : types_) t.fits = t.name == "Q2_K";
  EXPECT_TRUE(scenarios(input_).empty());
  types_[1].fits = true;
  types_[1].on_load = "";
  EXPECT_EQ(of("chat").prepare, "ridgeline quantize m.gguf model-Q8_0.gguf --type Q8_0");
}

class DiagnosisOf : public testing::Test {
 protected:
  void SetUp() override {
    path_ = test::temporary_path("doctor.gguf");
    test::write_random_model(path_, {.dtype = DType::kF16, .experts = 4});
  }
  void TearDown() override { std::remove(path_.c_str()); }
  std::string path_;
};

TEST_F(DiagnosisOf, ASmallModelIsPredictedAndMeasured) {
  EngineOptions options;
  options.backend.threads = 1;
  auto diagnosis = diagnose_model(path_, options, {}, "");
  ASSERT_TRUE(diagnosis.has_value()) << diagnosis.error().message;
  EXPECT_EQ(diagnosis->cannot_run, "");
  EXPECT_EQ(diagnosis->types, "F16");
  ASSERT_GE(diagnosis->type_options.size(), 5u);
  EXPECT_TRUE(diagnosis->type_options.front().is_current);
  EXPECT_EQ(diagnosis->scenarios.size(), 4u);
  EXPECT_FALSE(diagnosis->rates->read_memory());
  for (const auto& p : diagnosis->prompts) EXPECT_GT(p.seconds, 0);
  ASSERT_TRUE(check_predictions(*diagnosis, options).has_value());
  ASSERT_EQ(diagnosis->checks.size(), 2u);
  // What is said of memory before loading is what loading takes.
  EXPECT_EQ(diagnosis->fit.weight_bytes, diagnosis->measured_memory.weight_bytes);
  for (const SpeedCheck& c : diagnosis->checks) {
    EXPECT_GT(c.measured_tokens_per_second, 0);
    // A busy machine moves both; a wrong formula is further off than that.
    EXPECT_LT(c.error(), 4);
    EXPECT_GT(c.error(), -0.8);
  }
}

TEST_F(DiagnosisOf, AContextThatNoMemoryHoldsCannotRun) {
  EngineOptions options;
  options.backend.threads = 1;
  options.context = std::int64_t{1} << 30;
  const auto diagnosis = diagnose_model(path_, options, {}, "");
  ASSERT_TRUE(diagnosis.has_value()) << diagnosis.error().message;
  EXPECT_THAT(diagnosis->cannot_run, HasSubstr("KV cache for a context of 1073741824"));
}

TEST_F(DiagnosisOf, PackedSizesAreThoseOfTheTypes) {
  const auto file = ModelFile::open(path_);
  const auto backend = create_backend({.threads = 1, .isa = {}});
  const auto& tensors = file->checkpoint().tensors();
  const std::vector<DType> q8(tensors.size(), DType::kQ8_0);
  const auto f16_bytes = packed_weight_bytes(**backend, tensors);
  const auto q8_bytes = packed_weight_bytes(**backend, tensors, q8);
  EXPECT_LT(*q8_bytes, 0.6 * static_cast<double>(*f16_bytes));
  EXPECT_EQ(types_text(tensors), "F16");
}

}  // namespace
}  // namespace ridgeline::doctor
