// Predictions from made-up rates, worked out by hand.

#include "ridgeline/tools/predict_speed.h"

#include <gtest/gtest.h>

namespace ridgeline {
namespace {

/// Half a byte a weight, read at 100 bytes per second: 5 ms a weight; with many rows 1 ms each.
ProductRate rate_of_q4() {
  ProductRate rate;
  rate.type = DType::kQ4_0;
  rate.arithmetic = Arithmetic::kInt8;
  rate.bytes_per_weight = 0.5;
  rate.read_bytes_per_second = 100;
  rate.peak_ops_per_second = 1000;
  rate.knots = {{1, 0.005}, {4, 0.008}, {16, 0.016}};
  return rate;
}

SpeedRates rates_of_q4() {
  SpeedRates rates;
  rates.products = {rate_of_q4()};
  rates.layer = {.seconds_one = 3,
                 .seconds_per_position = 0.01,
                 .seconds_per_row = 0.5,
                 .seconds_per_pair = 0.002};
  rates.head_seconds = 0.25;
  return rates;
}

ModelWork two_layers() {
  ModelWork work;
  work.layers = 2;
  work.weights = {{.type = DType::kQ4_0, .count = 1000},
                  {.type = DType::kQ4_0, .count = 200, .for_logits = true}};
  return work;
}

TEST(ProductRate, BetweenKnotsAndBehindThem) {
  const ProductRate rate = rate_of_q4();
  EXPECT_DOUBLE_EQ(rate.seconds_per_weight(1, 0), 0.005);
  EXPECT_DOUBLE_EQ(rate.seconds_per_weight(0.5, 0), 0.005);
  EXPECT_DOUBLE_EQ(rate.seconds_per_weight(2, 0), 0.006);
  EXPECT_DOUBLE_EQ(rate.seconds_per_weight(10, 0), 0.012);
  EXPECT_DOUBLE_EQ(rate.seconds_per_weight(160, 0), 0.16);
  EXPECT_DOUBLE_EQ(rate.share_of_memory(), 1);
  EXPECT_DOUBLE_EQ(rate.ops_per_second(), 2 * 16 / 0.016);
}

TEST(ProductRate, FollowsTheMemoryAsFarAsItIsTheLimit) {
  ProductRate rate = rate_of_q4();
  // All of a single row's time is reading: twice the bandwidth is half the time.
  EXPECT_DOUBLE_EQ(rate.seconds_per_weight(1, 200), 0.0025);
  EXPECT_DOUBLE_EQ(rate.seconds_per_weight(1, 50), 0.01);
  // Four rows take 1.6 times as long as reading: 0.4 of the change.
  EXPECT_DOUBLE_EQ(rate.seconds_per_weight(4, 200), 0.008 - 0.4 * 0.0025);
  // Arithmetic hides it.
  EXPECT_DOUBLE_EQ(rate.seconds_per_weight(16, 200), 0.016);
  // Weights in a cache do not care.
  rate.read_bytes_per_second = 0;
  EXPECT_DOUBLE_EQ(rate.seconds_per_weight(1, 200), 0.005);
  EXPECT_EQ(rate.share_of_memory(), 0);
}

TEST(PredictSpeed, OfADecodedToken) {
  const Pass pass{{{.rows = 1, .position = 99, .logits = true}}};
  const PassTime time = predict(two_layers(), rates_of_q4(), pass);
  EXPECT_DOUBLE_EQ(time.products, 1200 * 0.005);
  EXPECT_DOUBLE_EQ(time.attention, 2 * 100 * 0.01);
  EXPECT_DOUBLE_EQ(time.rest, 2 * 3 + 0.25);
  EXPECT_DOUBLE_EQ(time.seconds(), 6 + 2 + 6.25);
  const Workload token{Workload::Kind::kDecode, 1, 99, 1};
  EXPECT_DOUBLE_EQ(predicted_tokens_per_second(two_layers(), rates_of_q4(), token, 512), 1 / 14.25);
}

TEST(PredictSpeed, OfAPromptInTwoPasses) {
  // 16 rows without logits, then 4 of which the last has them.
  const Workload prompt{Workload::Kind::kPrefill, 20, 0, 1};
  const std::vector<Pass> passes = passes_of(prompt, 16);
  const PassTime time = predict(two_layers(), rates_of_q4(), passes);
  EXPECT_DOUBLE_EQ(time.products, 1000 * 0.016 + 1000 * 0.008 + 200 * 0.005);
  // 136 pairs take 0.272, the reading of 16 positions 0.16; then 74 pairs 0.148, 20 positions 0.2.
  EXPECT_DOUBLE_EQ(time.attention, 2 * 0.272 + 2 * 0.2);
  EXPECT_DOUBLE_EQ(time.rest, 2 * (3 + 15 * 0.5) + 2 * (3 + 3 * 0.5) + 0.25);
  EXPECT_DOUBLE_EQ(predicted_seconds(two_layers(), rates_of_q4(), prompt, 16), time.seconds());
}

TEST(PredictSpeed, StreamsShareTheWeights) {
  const Workload four{Workload::Kind::kDecode, 1, 9, 4};
  const PassTime time = predict(two_layers(), rates_of_q4(), passes_of(four, 512));
  EXPECT_DOUBLE_EQ(time.products, 1200 * 0.008);
  EXPECT_DOUBLE_EQ(time.attention, 4 * 2 * 10 * 0.01);
  EXPECT_DOUBLE_EQ(time.rest, 2 * (3 + 3 * 0.5) + 0.25);
}

TEST(PredictSpeed, RowsOfExpertsAreThoseThatChoseThem) {
  ModelWork work = two_layers();
  work.weights = {{.type = DType::kQ4_0, .count = 1000, .of_experts = true}};
  work.chosen_share = 0.25;
  EXPECT_DOUBLE_EQ(products_seconds(work, rates_of_q4(), 1, 0), 250 * 0.005);
  // Two rows touch 7 of 16 experts, with 0.5 / 0.4375 rows each.
  EXPECT_DOUBLE_EQ(products_seconds(work, rates_of_q4(), 2, 0),
                   437.5 * (0.005 + (0.5 / 0.4375 - 1) * 0.001));
}

TEST(PredictSpeed, WindowsBoundWhatIsAttendedTo) {
  ModelWork work = two_layers();
  work.sights = {{.window = 0, .share = 0.5}, {.window = 10, .share = 0.5}};
  const Pass pass{{{.rows = 1, .position = 99, .logits = false}}};
  EXPECT_DOUBLE_EQ(predict(work, rates_of_q4(), pass).attention, (100 + 10) * 0.01);
}

TEST(PredictSpeed, SlowMemoryHoldsUpReadingTheCache) {
  ModelWork work = two_layers();
  work.kv_bytes = 4;
  const Pass pass{{{.rows = 1, .position = 99, .logits = false}}};
  EXPECT_DOUBLE_EQ(predict(work, rates_of_q4(), pass, 100).attention, 2 * 100 * 4 / 100.0);
  EXPECT_DOUBLE_EQ(predict(work, rates_of_q4(), pass, 800).attention, 2 * 100 * 0.01);
}

TEST(ModelWork, CountsWeightsByTypeAndUse) {
  const auto tensor = [](const char* name, DType dtype, std::vector<std::int64_t> shape) {
    TensorView t;
    t.name = name;
    t.dtype = dtype;
    t.shape = std::move(shape);
    return t;
  };
  const std::vector<TensorView> tensors{
      tensor("token_embd.weight", DType::kQ8_0, {100, 64}),
      tensor("output.weight", DType::kQ6_K, {100, 256}),
      tensor("blk.0.attn_q.weight", DType::kQ4_0, {64, 64}),
      tensor("blk.0.ffn_down_exps.weight", DType::kQ4_0, {8, 64, 32}),
      tensor("blk.1.attn_q.weight", DType::kQ4_0, {64, 64}),
      tensor("blk.1.ffn_down.weight", DType::kQ4_0, {64, 128}),
      tensor("blk.1.attn_norm.weight", DType::kF32, {64})};
  ModelConfig config;
  config.layers = 2;
  config.experts.count = 8;
  config.experts.routing.chosen = 2;
  const auto fast = ActivationPrecision::kFast;
  const ModelWork work = model_work(config, tensors, fast, 64);
  EXPECT_DOUBLE_EQ(work.chosen_share, 0.25);
  EXPECT_DOUBLE_EQ(work.kv_bytes, 32);
  const auto count = [&](const ModelWork& w, DType type, bool experts, bool logits) {
    double sum = 0;
    for (const auto& part : w.weights)
      if (part.type.dtype == type && part.of_experts == experts && part.for_logits == logits)
        sum += part.count;
    return sum;
  };
  EXPECT_EQ(work.weights.size(), 4u);
  EXPECT_EQ(count(work, DType::kQ4_0, false, false), 2 * 64 * 64);
  EXPECT_EQ(count(work, DType::kQ4_0, true, false), 8 * 64 * 32);
  EXPECT_EQ(count(work, DType::kQ4_0, false, true), 64 * 128);
  EXPECT_EQ(count(work, DType::kQ6_K, false, true), 100 * 256);

  const std::vector<DType> all_q8(tensors.size(), DType::kQ8_0);
  const ModelWork other = model_work(config, tensors, fast, 64, all_q8);
  EXPECT_EQ(count(other, DType::kQ8_0, false, true), 64 * 128 + 100 * 256);
}

}  // namespace
}  // namespace ridgeline
