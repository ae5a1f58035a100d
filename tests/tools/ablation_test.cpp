// The slow baselines of `bench ablation` give what the full engine gives, wherever the contract
// says so, and what was not measured is marked.

#include "ridgeline/tools/ablation/ablation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "ridgeline/tools/ablation/complexity.h"
#include "ridgeline/tools/ablation/no_cache_backend.h"
#include "ridgeline/tools/ablation/scalar_backend.h"
#include "ridgeline/tools/ablation/score_matrix_backend.h"
#include "tests/support/random_model.h"

namespace ridgeline {
namespace {

using testing::HasSubstr;
using Tokens = std::vector<TokenId>;
using Maker = Result<std::unique_ptr<Backend>> (*)(const BackendOptions&);

constexpr std::int64_t kContext = 160;

Result<std::unique_ptr<Backend>> cpu(const BackendOptions& options) {
  return create_backend(options);
}
template <Maker maker>
Result<std::unique_ptr<Backend>> without_cache(const BackendOptions& options) {
  RIDGELINE_TRY(std::unique_ptr<Backend> inner, maker(options));
  return std::make_unique<NoCacheBackend>(std::move(inner));
}

std::vector<TokenId> words(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> ids(count);
  for (TokenId& id : ids) id = static_cast<TokenId>(random() % 259);
  return ids;
}

/// Prompts and outputs of all lengths, also such as end in the middle of a block.
std::vector<StreamRequest> requests() {
  std::vector<StreamRequest> list;
  const std::pair<std::size_t, std::int64_t> lengths[] = {{1, 9},  {40, 3}, {17, 20}, {64, 1},
                                                          {5, 30}, {33, 8}, {90, 12}};
  for (const auto& [prompt, output] : lengths)
    list.push_back({words(prompt, static_cast<unsigned>(list.size())), output});
  return list;
}

class AblationTest : public testing::Test {
 protected:
  void SetUp() override { use({.dtype = DType::kF16}); }
  void TearDown() override { std::remove(path_.c_str()); }
  void use(const test::RandomModel& model) {
    path_ = test::temporary_path("ablation.gguf");
    test::write_random_model(path_, model);
  }

  EngineOptions options(Maker maker, int sequences = 1) const {
    EngineOptions o;
    o.make_backend = maker;
    o.backend.threads = 2;
    o.backend.pin = false;
    o.context = kContext;
    o.max_sequences = sequences;
    o.batch_tokens = 48;  // prompts come in pieces
    return o;
  }
  std::unique_ptr<Engine> load(const EngineOptions& o) const {
    auto engine = Engine::load(path_, o);
    EXPECT_TRUE(engine) << engine.error().message;
    return engine ? std::move(*engine) : nullptr;
  }
  std::unique_ptr<Engine> load_without_cache(Maker maker) const {
    EngineOptions o = options(maker);
    o.batch_tokens = o.context;
    return load(o);
  }

  static Served serve_all(Engine& engine, ServingPolicy policy, KvPolicy kv = KvPolicy::kPaged) {
    auto served = serve(engine, policy, kv, requests(), 1e9);
    EXPECT_TRUE(served) << served.error().message;
    EXPECT_TRUE(engine.kv_pools().unused());
    return served ? *std::move(served) : Served{};
  }
  std::vector<Tokens> expected(Maker maker = cpu) const {
    const auto engine = load(options(maker));
    return serve_all(*engine, ServingPolicy::kOneAtATime).outputs;
  }

  /// Logits of all positions of a text, computed in pieces.
  std::vector<float> logits(const EngineOptions& o) const {
    const auto engine = load(o);
    std::vector<float> all;
    const std::vector<EvalWindow> windows{{words(100, 3), 1}, {words(7, 4), 1}};
    const Status status =
        score_tokens(*engine, windows, {}, [&](TokenId, std::span<const float> row) -> Status {
          all.insert(all.end(), row.begin(), row.end());
          return {};
        });
    EXPECT_TRUE(status) << status.error().message;
    return all;
  }

  std::string path_;
};

TEST_F(AblationTest, RecomputingGivesTheTokensOfTheCacheBitForBit) {
  const auto engine = load_without_cache(without_cache<cpu>);
  EXPECT_EQ(serve_all(*engine, ServingPolicy::kRecompute).outputs, expected());
  // One layer's K and V instead of both.
  EXPECT_EQ(2 * engine->kv_cache().bytes(), load(options(cpu))->kv_cache().bytes());
  EngineOptions whole = options(cpu);
  whole.batch_tokens = kContext;
  EngineOptions none = whole;
  none.make_backend = without_cache<cpu>;
  EXPECT_EQ(logits(none), logits(whole));
}

TEST_F(AblationTest, ScalarKernelsDoNotCareAboutTheCacheEither) {
  EXPECT_EQ(serve_all(*load_without_cache(without_cache<ScalarBackend::create>),
                      ServingPolicy::kRecompute)
                .outputs,
            expected(ScalarBackend::create));
}

TEST_F(AblationTest, EveryWayOfServingGivesTheSameTokens) {
  const std::vector<Tokens> all = expected();
  ASSERT_EQ(all.size(), requests().size());
  for (std::size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(std::ssize(all[i]), requests()[i].output_tokens);

  const auto one = load(options(cpu));
  const auto many = load(options(cpu, 3));
  for (const KvPolicy kv : {KvPolicy::kPreallocated, KvPolicy::kPaged}) {
    EXPECT_EQ(serve_all(*one, ServingPolicy::kOneAtATime, kv).outputs, all);
    EXPECT_EQ(serve_all(*many, ServingPolicy::kStaticBatches, kv).outputs, all);
  }
  EXPECT_EQ(serve_all(*one, ServingPolicy::kContinuous).outputs, all);
  EXPECT_EQ(serve_all(*many, ServingPolicy::kContinuous).outputs, all);
  EngineOptions drafting = options(cpu, 3);
  drafting.speculation.lookup = true;
  drafting.measure_cost = true;
  EXPECT_EQ(serve_all(*load(drafting), ServingPolicy::kContinuous).outputs, all);
}

TEST_F(AblationTest, PreallocationHoldsTheContextAndPagesWhatIsThere) {
  const auto engine = load(options(cpu, 3));
  const std::uint64_t context_bytes = engine->kv_sizes().bytes(kContext);
  const Served whole = serve_all(*engine, ServingPolicy::kStaticBatches, KvPolicy::kPreallocated);
  const Served paged = serve_all(*engine, ServingPolicy::kStaticBatches, KvPolicy::kPaged);
  const Served continuous = serve_all(*engine, ServingPolicy::kContinuous);
  EXPECT_EQ(whole.kv.peak_bytes(), 3 * context_bytes);
  EXPECT_LT(paged.kv.peak_bytes(), whole.kv.peak_bytes());
  // The rest of a sequence's last block is all that is lost.
  EXPECT_LT(whole.kv.utilisation(), 0.4);
  EXPECT_GT(continuous.kv.utilisation(), 0.7);
  EXPECT_LE(continuous.kv.utilisation(), 1.0);
  // Padding and outputs that go on after their end are computed.
  EXPECT_GT(2 * whole.computed_rows, 3 * continuous.computed_rows);
}

double relative_distance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference += std::pow(double{a[i]} - b[i], 2);
    norm += std::pow(double{b[i]}, 2);
  }
  return std::sqrt(difference / norm);
}

// Both are F32 arithmetic over the same F16 weights, K and V. Each product's rounding is some
// 2^-24 sqrt(k) of its size, about 1e-6 with k = 512; K and V, which are rounded to 11 bits, turn
// now and then to the neighbouring number, which is 2^-11 of one of 64 summands. Over two layers
// that stays below 1e-3 of the logits' norm.
constexpr double kTolerance = 1e-3;

TEST_F(AblationTest, AScoreMatrixGivesTheLogitsOfTiles) {
  for (const KernelTable* table : available_kernels()) {
    SCOPED_TRACE(table->name);
    EngineOptions tiles = options(cpu), matrix = options(ScoreMatrixBackend::create);
    tiles.backend.isa = matrix.backend.isa = table->name;
    EXPECT_LT(relative_distance(logits(matrix), logits(tiles)), kTolerance);
  }
}

TEST_F(AblationTest, ScalarKernelsGiveTheLogitsOfTiles) {
  EXPECT_LT(relative_distance(logits(options(ScalarBackend::create)), logits(options(cpu))),
            kTolerance);
  EngineOptions scalar = options(ScalarBackend::create), exact = options(cpu);
  scalar.quantize = exact.quantize = DType::kQ8_0;
  exact.backend.activations = ActivationPrecision::kExact;
  EXPECT_LT(relative_distance(logits(scalar), logits(exact)), kTolerance);
}

TEST_F(AblationTest, HeadsThatFillNoBlockOfInputs) {
  use({.dtype = DType::kF16, .num_heads = 8, .num_kv_heads = 1, .head_dim = 48});
  const std::vector<float> tiles = logits(options(cpu));
  EXPECT_LT(relative_distance(logits(options(ScoreMatrixBackend::create)), tiles), kTolerance);
  EXPECT_LT(relative_distance(logits(options(ScalarBackend::create)), tiles), kTolerance);
}

TEST_F(AblationTest, ScalarKernelsRunMixturesOfExperts) {
  use({.architecture = "qwen3moe", .dtype = DType::kF16, .experts = 8});
  EXPECT_LT(relative_distance(logits(options(ScalarBackend::create)), logits(options(cpu))),
            kTolerance);
}

TEST(GrowthFit, FindsTheCoefficientsOfWhatItWasGiven) {
  std::vector<GrowthPoint> points;
  for (const double n : {8.0, 32.0, 128.0}) points.push_back({n, 0.5 * n + 0.01 * n * n});
  const GrowthFit pass = fit_pass(points);
  EXPECT_NEAR(pass.linear, 0.5, 1e-9);
  EXPECT_NEAR(pass.quadratic, 0.01, 1e-9);
  EXPECT_NEAR(pass.seconds(512), 0.5 * 512 + 0.01 * 512 * 512, 1e-6);
  EXPECT_NEAR(pass.sum(10, 2), pass.seconds(10) + pass.seconds(11), 1e-9);
  points.clear();
  for (const double n : {8.0, 32.0, 128.0}) points.push_back({n, 3 + 0.25 * n});
  const GrowthFit step = fit_step(points);
  EXPECT_NEAR(step.constant, 3, 1e-9);
  EXPECT_NEAR(step.linear, 0.25, 1e-9);
}

TEST(GrowthFit, NoCoefficientIsNegative) {
  const std::vector<GrowthPoint> falling{{8, 10}, {16, 9}, {32, 8}};
  const GrowthFit step = fit_step(falling);
  EXPECT_EQ(step.linear, 0);
  EXPECT_GT(step.constant, 8);
  const GrowthFit pass = fit_pass(falling);
  EXPECT_GE(pass.linear, 0);
  EXPECT_EQ(pass.quadratic, 0);
  EXPECT_EQ(fit_pass(std::vector<GrowthPoint>{{4, 2}}).seconds(8), 4);
  EXPECT_EQ(fit_step(std::vector<GrowthPoint>{{4, 2}}).seconds(8), 2);
}

TEST(GrowthFit, ExponentOfAPower) {
  std::vector<GrowthPoint> points;
  for (const double n : {10.0, 100.0, 300.0}) points.push_back({n, 7 * std::pow(n, 1.75)});
  EXPECT_NEAR(growth_exponent(points), 1.75, 1e-9);
}

AblationOptions quick() {
  AblationOptions o;
  o.engine.backend.threads = 1;
  o.engine.backend.pin = false;
  o.prompt_tokens = 48;
  o.output_tokens = 6;
  o.context = 96;
  o.streams = 3;
  o.seconds_per_row = 30;
  o.eval_context = 32;
  o.eval_windows = 2;
  return o;
}

TEST_F(AblationTest, EveryRowIsMeasured) {
  AblationOptions o = quick();
  for (int i = 0; i < 40; ++i) o.text += "once upon a time ";
  const auto report = run_ablation(path_, o);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->quality_base, "baseline");
  EXPECT_EQ(report->first()->config.id, "baseline");
  EXPECT_EQ(report->last()->config.id, "speculation");
  const AblationRow* before = nullptr;
  for (const AblationRow& row : report->rows) {
    SCOPED_TRACE(row.config.id);
    EXPECT_EQ(row.left_out, "");
    EXPECT_GT(row.one.ttft_seconds.value, 0);
    EXPECT_GT(row.one.tokens_per_second.value, 0);
    EXPECT_GT(row.throughput.value, 0);
    EXPECT_FALSE(row.one.ttft_seconds.extrapolated || row.one.tokens_per_second.extrapolated ||
                 row.throughput.extrapolated);
    EXPECT_EQ(row.requests, 6);
    EXPECT_EQ(row.kv_bytes > 0, row.config.cache);
    ASSERT_TRUE(row.perplexity);
    EXPECT_EQ(row.divergence.has_value(), row.config.id != "baseline");
    if (row.config.role != AblationConfig::Role::kLadder) continue;
    if (before != nullptr) {
      EXPECT_DOUBLE_EQ(*row.one_stream.before,
                       row.one.tokens_per_second.value / before->one.tokens_per_second.value);
      EXPECT_DOUBLE_EQ(*row.many_streams.baseline,
                       row.throughput.value / report->first()->throughput.value);
    }
    before = &row;
  }
  // The weights' types, and the same model bit for bit.
  const AblationRow &base = *report->find("baseline"), &cached = *report->find("kv-cache"),
                    &int8 = *report->find("int8"), &int4 = *report->find("int4");
  EXPECT_EQ(*cached.perplexity, *base.perplexity);
  EXPECT_EQ(cached.divergence->kl_max, 0);
  EXPECT_LT(int8.weight_bytes, cached.weight_bytes);
  EXPECT_LT(int4.weight_bytes, int8.weight_bytes);
  EXPECT_GT(int4.divergence->kl_mean, int8.divergence->kl_mean);
  EXPECT_LT(report->find("paged")->kv_bytes, int4.kv_bytes);
  EXPECT_LT(*int4.kv_utilisation, *report->find("paged")->kv_utilisation);
  // Tiles need no matrix.
  EXPECT_LT(report->find("flash")->workspace_bytes, report->find("simd")->workspace_bytes);

  const auto j = nlohmann::json::parse(to_json(*report).dump());
  ASSERT_EQ(j["rows"].size(), report->rows.size());
  EXPECT_EQ(j["rows"][0]["id"], "baseline");
  EXPECT_TRUE(j["rows"][0]["factors"]["row_before"].is_null());
  EXPECT_EQ(j["rows"][1]["ttft_seconds"]["extrapolated"], false);
}

TEST_F(AblationTest, WhatThereIsNoTimeForIsMarked) {
  AblationOptions o = quick();
  o.rows = {"baseline", "kv-cache"};
  o.seconds_per_row = 1e-6;
  const auto report = run_ablation(path_, o);
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->rows.size(), 2u);
  for (const AblationRow& row : report->rows) {
    EXPECT_TRUE(row.one.ttft_seconds.extrapolated);
    EXPECT_TRUE(row.one.tokens_per_second.extrapolated);
    EXPECT_TRUE(row.throughput.extrapolated);
    EXPECT_EQ(row.requests, 0);
    EXPECT_LT(row.one.prompts.back().length, 48);
    EXPECT_FALSE(row.kv_utilisation);
    // What is said is what was measured.
    EXPECT_DOUBLE_EQ(row.one.ttft_seconds.value, row.one.prompt_fit.seconds(48));
  }
  EXPECT_THAT(report->notes,
              testing::Contains(testing::AllOf(HasSubstr("* baseline"), HasSubstr("extrapolated"),
                                               HasSubstr("one such pass for every token"))));
  EXPECT_FALSE(report->rows[1].one_stream.honest_start);
  EXPECT_TRUE(report->rows[1].one_stream.before);
  const auto j = nlohmann::json::parse(to_json(*report).dump());
  EXPECT_EQ(j["rows"][0]["tokens_per_second"]["extrapolated"], true);
}

TEST_F(AblationTest, NonsenseIsOneSentence) {
  AblationOptions o = quick();
  o.rows = {"baseline", "magic"};
  EXPECT_THAT(run_ablation(path_, o).error().message, HasSubstr("--rows magic: there is no such"));
  o = quick();
  o.context = 50;
  EXPECT_THAT(run_ablation(path_, o).error().message, HasSubstr("a context of 50 tokens"));
  o = quick();
  o.prompt_tokens = 3;
  EXPECT_THAT(run_ablation(path_, o).error().message, HasSubstr("a prompt of 3 tokens"));
  use({.dtype = DType::kQ4_0});
  EXPECT_THAT(run_ablation(path_, quick()).error().message,
              HasSubstr("expects a model of F32, F16 or BF16"));
}

TEST_F(AblationTest, ComplexityIsMeasuredAndTheFormulaHolds) {
  ComplexityOptions o;
  o.engine.backend.threads = 1;
  o.engine.backend.pin = false;
  o.longest = 256;
  o.longest_attention = 512;
  const auto report = measure_complexity(path_, o);
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->cached.size(), 4u);  // 32, 64, 128, 256
  ASSERT_EQ(report->recomputed.size(), 4u);
  EXPECT_EQ(report->recomputed.back().length, 256);
  EXPECT_GT(*report->recomputed_exponent, *report->cached_exponent);
  // 256 times as long, minus what weights cost once: a pass over all is far from one step.
  EXPECT_GT(report->recomputed.back().seconds, 5 * report->cached.back().seconds);
  ASSERT_EQ(report->attention.size(), 1u);
  EXPECT_GE(*report->attention[0].matrix_bytes, 512.0 * 512 * 4);
  EXPECT_LT(*report->attention[0].tile_bytes, 512.0 * 512);
  for (const auto& k : report->kv) EXPECT_DOUBLE_EQ(k.pool, k.formula) << name(k.dtype);
  // 2 layers of 2 KV heads of 64, K and V.
  EXPECT_EQ(report->kv[1].formula, 2 * 2 * 2 * 64 * 2);
  EXPECT_EQ(static_cast<double>(report->kv_pool_bytes),
            report->kv[1].formula * static_cast<double>(report->kv_pool_tokens));
  EXPECT_EQ(static_cast<double>(report->held_bytes), report->kv[1].formula * 112);
  EXPECT_EQ(nlohmann::json::parse(to_json(*report).dump())["decode_with_cache"]["points"].size(),
            4u);
}

}  // namespace
}  // namespace ridgeline
