// Numbers worked out by hand from the shapes below.

#include "ridgeline/tools/model_cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridgeline {
namespace {

TensorView tensor(const char* name, DType dtype, std::vector<std::int64_t> shape) {
  TensorView t;
  t.name = name;
  t.dtype = dtype;
  t.shape = std::move(shape);
  return t;
}

/// Two layers of 4 heads of 8, cut down to the kinds of tensors that count differently.
ModelConfig config() {
  ModelConfig c;
  c.layers = 2;
  c.num_heads = 4;
  c.num_kv_heads = 2;
  c.head_dim = 8;
  return c;
}
std::vector<TensorView> tensors() {
  return {tensor("token_embd.weight", DType::kQ8_0, {160, 64}),        // 160 x 68 = 10,880 bytes
          tensor("blk.0.attn_q.weight", DType::kQ4_0, {64, 64}),       // 64 x 36 = 2,304
          tensor("blk.0.ffn_down.weight", DType::kF32, {64, 128}),     // 32,768
          tensor("blk.1.attn_q.weight", DType::kQ4_0, {64, 64}),       // 2,304
          tensor("blk.1.attn_output.weight", DType::kQ4_0, {64, 64}),  // 2,304
          tensor("blk.1.ffn_down.weight", DType::kF32, {64, 128}),     // 32,768
          tensor("output_norm.weight", DType::kF32, {64})};
}
/// K and V, two layers, 2 heads of 8, F16.
constexpr double kKvBytes = 2 * 2 * 2 * 8 * 2;

ModelCost cost(const std::vector<TensorView>& list,
               ActivationPrecision activations = ActivationPrecision::kFast) {
  return model_cost(config(), list, *find_kernels("generic"), activations, kKvBytes);
}

double int8(const Cost& c) { return c.ops[static_cast<std::size_t>(Arithmetic::kInt8)]; }
double f32(const Cost& c) { return c.ops[static_cast<std::size_t>(Arithmetic::kF32)]; }

TEST(ModelCost, WeightsCountOnceAPassAndRowsByTheirArithmetic) {
  const ModelCost c = cost(tensors());
  EXPECT_EQ(int8(c.per_row), 2 * 2 * 64 * 64);
  EXPECT_EQ(f32(c.per_row), 2 * 64 * 128);
  EXPECT_EQ(c.per_pass.bytes, 2304 + 32768 + 2304);
  EXPECT_EQ(int8(c.per_logit_row), 2 * 64 * 64 + 2 * 160 * 64);
  EXPECT_EQ(f32(c.per_logit_row), 2 * 64 * 128);
  EXPECT_EQ(c.per_logit_pass.bytes, 2304 + 32768 + 10880);
  EXPECT_EQ(c.attention_ops, 4 * 2 * 4 * 8);
}

TEST(ModelCost, Int8ReadsAByteForEachWeightButOfTheHead) {
  const std::vector<TensorView> list{tensor("token_embd.weight", DType::kF16, {160, 64}),
                                     tensor("blk.0.attn_q.weight", DType::kF16, {64, 64})};
  for (const auto activations : {ActivationPrecision::kInt8, ActivationPrecision::kLlmInt8}) {
    const ModelCost c = cost(list, activations);
    EXPECT_EQ(int8(c.per_row), 2 * 64 * 64);
    EXPECT_EQ(c.per_pass.bytes, 4 * (64 + 64 * 16));  // four panels, their scales first
    EXPECT_EQ(f32(c.per_logit_row), 2 * 160 * 64);
    EXPECT_EQ(c.per_logit_pass.bytes, 160 * 64 * 2);
  }
}

TEST(ModelCost, OfExpertsWhatRowsChoose) {
  ModelConfig c = config();
  c.experts.count = 8;
  c.experts.routing.chosen = 2;
  const std::vector<TensorView> list{
      tensor("token_embd.weight", DType::kF32, {160, 64}),
      tensor("blk.0.ffn_gate_inp.weight", DType::kF32, {8, 64}),       // 4,096 bytes: a panel
      tensor("blk.0.ffn_down_exps.weight", DType::kF32, {8, 64, 32}),  // 65,536
      tensor("blk.1.ffn_down.0.weight", DType::kF32, {64, 32}),        // 8,192
      tensor("blk.1.ffn_gate_exps.bias", DType::kF32, {8, 32})};
  const ModelCost cost =
      model_cost(c, list, *find_kernels("generic"), ActivationPrecision::kFast, kKvBytes);
  EXPECT_EQ(cost.per_pass.bytes, 4096);  // a panel has 16 rows
  EXPECT_EQ(cost.experts.bytes, 65536);
  EXPECT_EQ(cost.logit_experts.bytes, 8192);
  EXPECT_EQ(f32(cost.experts), 2 * 2 * 64 * 32);

  // Two rows choose a quarter each: 7 of 16 experts on average.
  const Pass pass{{{.rows = 2, .position = 0, .logits = false}}};
  EXPECT_NEAR(cost.of(pass).bytes, 4096 + 65536 * 7.0 / 16 + kKvBytes * 4, 1e-6);
}

TEST(ModelCost, WindowsEndWhatALayerSees) {
  ModelConfig c = config();
  c.layer_windows = {4, 0};
  const ModelCost windowed =
      model_cost(c, tensors(), *find_kernels("generic"), ActivationPrecision::kFast, kKvBytes);
  const ModelCost all = cost(tensors());
  const auto attention = [](const ModelCost& cost, const Pass& pass) {
    Cost without = cost.of(pass);
    ModelCost blind = cost;
    blind.attention_ops = blind.kv_bytes = 0;
    const Cost rest = blind.of(pass);
    return std::pair((f32(without) - f32(rest)) / cost.attention_ops,
                     (without.bytes - rest.bytes) / cost.kv_bytes);
  };
  // Rows 2 to 7: counts 3 4 5 6 7 8 in one layer, 3 4 4 4 4 4 in the other; positions 0 to 7
  // and, from row 2 on with a window of 4, all of them too; 6 written.
  const Pass early{{{.rows = 6, .position = 2, .logits = false}}};
  EXPECT_EQ(attention(all, early), std::pair(33.0, 14.0));
  EXPECT_EQ(attention(windowed, early), std::pair((33.0 + 23.0) / 2, 14.0));
  // One row at position 99 sees 100 and 4.
  const Pass late{{{.rows = 1, .position = 99, .logits = false}}};
  EXPECT_EQ(attention(all, late), std::pair(100.0, 101.0));
  EXPECT_EQ(attention(windowed, late), std::pair(52.0, 53.0));
}

TEST(ModelCost, OfAPrefillInTwoPasses) {
  const Workload work{Workload::Kind::kPrefill, 10, 0, 1};
  const std::vector<Pass> passes = passes_of(work, 6);
  ASSERT_EQ(passes.size(), 2u);
  const ModelCost c = cost(tensors());
  // Rows see 1 + 2 + ... + 6 = 21 positions; 6 are read, 6 written; no logits.
  const Cost first = c.of(passes[0]);
  EXPECT_EQ(int8(first), 6 * 16384);
  EXPECT_EQ(f32(first), 6 * 16384 + 256 * 21);
  EXPECT_EQ(first.bytes, 37376 + 128 * 12);
  // Then 7 + 8 + 9 + 10 = 34; 10 are read, 4 written; the logits of one row.
  const Cost second = c.of(passes[1]);
  EXPECT_EQ(int8(second), 4 * 16384 + 28672);
  EXPECT_EQ(f32(second), 4 * 16384 + 16384 + 256 * 34);
  EXPECT_EQ(second.bytes, 37376 + 45952 + 128 * 14);
  EXPECT_EQ(c.of(passes).total_ops(), first.total_ops() + second.total_ops());
  EXPECT_EQ(c.of(passes).bytes, first.bytes + second.bytes);
}

TEST(ModelCost, OfDecodingThreeStreamsAtADepth) {
  const ModelCost c = cost(tensors());
  const Cost step = c.of(passes_of({Workload::Kind::kDecode, 1, 100, 3}, 512));
  EXPECT_EQ(int8(step), 3 * (16384 + 28672));
  EXPECT_EQ(f32(step), 3 * (16384 + 16384 + 256 * 101));
  EXPECT_EQ(step.bytes, 37376 + 45952 + 128 * 3 * (101 + 1));
}

TEST(ModelCost, AnEmbeddingThatIsNoHeadIsOnlyGathered) {
  auto list = tensors();
  list.push_back(tensor("output.weight", DType::kF32, {160, 64}));
  const ModelCost c = cost(list);
  EXPECT_EQ(int8(c.per_logit_row), 2 * 64 * 64);
  EXPECT_EQ(f32(c.per_logit_row), 2 * 64 * 128 + 2 * 160 * 64);
  EXPECT_EQ(c.per_logit_pass.bytes, 2304 + 32768 + 160 * 64 * 4);
}

TEST(ModelCost, ExactActivationsMultiplyInF32) {
  const ModelCost c = cost(tensors(), ActivationPrecision::kExact);
  EXPECT_EQ(int8(c.per_row), 0);
  EXPECT_EQ(f32(c.per_row), 16384 + 16384);
}

TEST(Workload, PromptsFillPassesDensely) {
  const auto passes = passes_of({Workload::Kind::kPrefill, 5, 20, 3}, 8);
  ASSERT_EQ(passes.size(), 2u);
  EXPECT_EQ(passes[0].rows(), 8);
  EXPECT_EQ(passes[1].rows(), 7);
  ASSERT_EQ(passes[0].parts.size(), 2u);
  EXPECT_TRUE(passes[0].parts[0].logits);
  EXPECT_FALSE(passes[0].parts[1].logits);
  ASSERT_EQ(passes[1].parts.size(), 2u);
  EXPECT_EQ(passes[1].parts[0].stream, 1);
  EXPECT_EQ(passes[1].parts[0].rows, 2);
  EXPECT_EQ(passes[1].parts[0].position, 23);
  EXPECT_TRUE(passes[1].parts[0].logits);
  EXPECT_EQ(passes[1].parts[1].position, 20);
}

TEST(Roofline, TheLongerOfMemoryAndArithmeticIsTheCeiling) {
  Ceilings c;
  c.read_bytes_per_second = 100;
  c.ops_per_second = {1000, 0, 4000};
  Cost work;
  work.bytes = 200;                       // 2 s
  work.ops_of(Arithmetic::kF32) = 500;    // 0.5 s
  work.ops_of(Arithmetic::kInt8) = 4000;  // 1 s
  const RooflinePoint point = place(work, c);
  EXPECT_TRUE(point.memory_bound());
  EXPECT_DOUBLE_EQ(point.seconds(), 2);
  EXPECT_DOUBLE_EQ(point.intensity, 22.5);
  EXPECT_DOUBLE_EQ(point.ridge, 30);  // 4500 operations in 1.5 s are 3000 / s
  EXPECT_LT(point.intensity, point.ridge);
  work.bytes = 100;
  EXPECT_FALSE(place(work, c).memory_bound());
  EXPECT_DOUBLE_EQ(place(work, c).seconds(), 1.5);
  EXPECT_GT(place(work, c).intensity, place(work, c).ridge);
}

TEST(Roofline, CostsAndCeilingsCombine) {
  Ceilings a, b;
  a.read_bytes_per_second = 10;
  b.read_bytes_per_second = 30;
  a.ops_per_second = {1, 2, 3};
  b.ops_per_second = {3, 2, 5};
  EXPECT_EQ(mean(a, b).read_bytes_per_second, 20);
  EXPECT_THAT(mean(a, b).ops_per_second, testing::ElementsAre(2, 2, 4));
}

}  // namespace
}  // namespace ridgeline
