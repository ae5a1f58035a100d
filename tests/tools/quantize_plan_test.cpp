#include "ridgeline/tools/ptq/quantize_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

namespace ridgeline::ptq {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const json& oracle() {
  static const json parsed =
      json::parse(std::ifstream(RIDGELINE_SOURCE_DIR "/tests/data/oracles/quant/mixtures.json"));
  return parsed;
}

bool is_f16(const std::string& name, std::size_t dimensions) {
  return dimensions > 1 && name.find("gate_inp") == std::string::npos;
}

/// Names, shapes and counts only: no plan looks at a weight.
Checkpoint model_of(const json& m) {
  Checkpoint::Contents contents;
  contents.path = m["name"];
  const auto architecture = std::make_shared<std::string>(m["architecture"]);
  contents.owner = architecture;
  contents.metadata["general.architecture"] = GgufValue::of(std::string_view(*architecture));
  const auto set = [&](const char* key, const char* of) {
    contents.metadata[*architecture + key] = GgufValue::of(m[of].get<std::uint32_t>());
  };
  set(".block_count", "layers");
  set(".attention.head_count", "heads");
  set(".attention.head_count_kv", "kv_heads");
  if (m["experts"] > 0) set(".expert_count", "experts");
  for (const json& tensor : m["tensors"]) {
    TensorView t;
    t.name = tensor[0];
    t.shape = tensor[1].get<std::vector<std::int64_t>>();
    t.dtype = is_f16(t.name, t.shape.size()) ? DType::kF16 : DType::kF32;
    contents.tensors.push_back(std::move(t));
  }
  return Checkpoint(std::move(contents));
}

Checkpoint model_named(const std::string& wanted) {
  for (const json& m : oracle()["models"])
    if (m["name"] == wanted) return model_of(m);
  ADD_FAILURE() << wanted;
  return Checkpoint({});
}

std::map<std::string, std::string> types_of(const QuantizePlan& plan) {
  std::map<std::string, std::string> types;
  for (const PlannedTensor& t : plan.tensors()) types[t.source->name] = name(t.type);
  return types;
}

class Mixtures : public testing::TestWithParam<std::string> {};

TEST_P(Mixtures, GiveEachTensorTheTypeThatLlamaCppGivesIt) {
  int compared = 0;
  for (const json& m : oracle()["models"]) {
    if (m["name"] != GetParam()) continue;
    const Checkpoint model = model_of(m);
    for (const auto& [mixture, plain] : m["plain"].items()) {
      for (const bool importance : {false, true}) {
        const json& weighted = m["weighted_where_it_differs"];
        const std::string letters = importance && weighted.contains(mixture)
                                        ? weighted[mixture].get<std::string>()
                                        : plain.get<std::string>();
        const auto plan = QuantizePlan::make(model, {.type = mixture, .importance = importance});
        ASSERT_TRUE(plan) << plan.error().message;
        const auto types = types_of(*plan);
        for (std::size_t i = 0; i < letters.size(); ++i) {
          const std::string tensor = m["tensors"][i][0];
          EXPECT_EQ(types.at(tensor), oracle()["letters"][letters.substr(i, 1)])
              << mixture << " " << tensor << (importance ? ", weighted" : "");
          ++compared;
        }
      }
    }
  }
  EXPECT_GT(compared, 300);
}

INSTANTIATE_TEST_SUITE_P(Models, Mixtures,
                         testing::Values("untied", "tied", "odd-widths", "eight-experts",
                                         "four-experts", "fused", "seventy"),
                         [](const auto& parameter) {
                           std::string text = parameter.param;
                           std::ranges::replace(text, '-', '_');
                           return text;
                         });

TEST(QuantizePlan, IsInTheOrderOfTheLayersWithEmbeddingAndHeadLast) {
  const Checkpoint model = model_named("untied");
  const auto plan = QuantizePlan::make(model, {.type = "q4_k"});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->type_name(), "Q4_K_M");
  EXPECT_EQ(plan->file_type(), 15);
  int layer = 0;
  std::vector<std::string> outside;
  for (const PlannedTensor& t : plan->tensors()) {
    if (t.layer < 0) {
      outside.push_back(t.source->name);
      continue;
    }
    EXPECT_TRUE(outside.empty()) << t.source->name;
    EXPECT_GE(t.layer, layer);
    layer = t.layer;
  }
  EXPECT_THAT(outside,
              testing::ElementsAre("output_norm.weight", "token_embd.weight", "output.weight"));
  std::size_t bytes = 0;
  for (const PlannedTensor& t : plan->tensors()) bytes += t.bytes();
  EXPECT_EQ(plan->bytes(), bytes);
  EXPECT_NEAR(plan->bits_per_weight(),
              8.0 * static_cast<double>(bytes) / static_cast<double>(plan->elements()), 1e-12);
}

TEST(QuantizePlan, TheLastPatternThatMatchesWins) {
  const Checkpoint model = model_named("untied");
  const auto types = [&](TypeChoice choice) {
    const auto plan = QuantizePlan::make(model, choice);
    EXPECT_TRUE(plan) << plan.error().message;
    return plan ? types_of(*plan) : std::map<std::string, std::string>();
  };
  const auto some = types(
      {.type = "Q4_0", .overrides = {{"ffn_down", "Q6_K"}, {R"(blk\.(0|17)\..*down)", "bf16"}}});
  EXPECT_EQ(some.at("blk.0.ffn_down.weight"), "BF16");
  EXPECT_EQ(some.at("blk.1.ffn_down.weight"), "Q6_K");
  EXPECT_EQ(some.at("blk.17.ffn_down.weight"), "BF16");
  EXPECT_EQ(some.at("blk.1.ffn_up.weight"), "Q4_0");
  EXPECT_EQ(some.at("blk.1.ffn_norm.weight"), "F32");

  EXPECT_EQ(types({.type = "Q4_0", .keep_output = true}).at("output.weight"), "F16");
  const auto named = types({.type = "Q4_0", .output_type = "Q8_0", .token_embedding_type = "Q5_K"});
  EXPECT_EQ(named.at("output.weight"), "Q8_0");
  EXPECT_EQ(named.at("token_embd.weight"), "Q5_K");
}

TEST(QuantizePlan, ATiedEmbeddingIsTheOutput) {
  const Checkpoint model = model_named("tied");
  const auto type = [&](TypeChoice choice) {
    const auto plan = QuantizePlan::make(model, choice);
    EXPECT_TRUE(plan) << plan.error().message;
    return plan ? types_of(*plan).at("token_embd.weight") : "";
  };
  EXPECT_EQ(type({.type = "Q4_0"}), "Q6_K");
  EXPECT_EQ(type({.type = "Q4_0", .keep_output = true}), "F16");
  EXPECT_EQ(type({.type = "Q4_0", .output_type = "Q8_0"}), "Q8_0");
  EXPECT_EQ(type({.type = "Q4_0", .output_type = "Q8_0", .token_embedding_type = "Q4_1"}), "Q4_1");
}

TEST(QuantizePlan, Refuses) {
  const Checkpoint model = model_named("untied");
  const auto error = [&](TypeChoice choice) {
    const auto plan = QuantizePlan::make(model, choice);
    return plan ? "no error" : plan.error().message;
  };
  EXPECT_THAT(
      error({.type = "Q4_9"}),
      HasSubstr("'Q4_9' is no type that files are quantized to; expected one of: F32, F16"));
  EXPECT_THAT(error({.type = "Q4_0", .overrides = {{"ffn", "IQ2_XS"}}}),
              HasSubstr("--tensor-type ffn=IQ2_XS: 'IQ2_XS' is no type that can be written; "
                        "expected one of: F32, F16"));
  EXPECT_THAT(error({.type = "Q4_0", .overrides = {{"ffn_(", "Q8_0"}}}),
              HasSubstr("--tensor-type ffn_(=Q8_0: 'ffn_(' is no regular expression"));
  EXPECT_THAT(error({.type = "Q4_0", .overrides = {{"ffn_norm", "Q8_0"}}}),
              HasSubstr("the expression matches no tensor that can be rounded"));
  EXPECT_THAT(error({.type = "Q4_0", .output_type = "best"}),
              HasSubstr("--output-type: 'best' is no type that can be written"));
}

TEST(QuantizePlan, RoundsTwiceOnlyIfTold) {
  Checkpoint::Contents contents = model_named("untied").take();
  for (TensorView& t : contents.tensors)
    if (t.name == "blk.3.ffn_up.weight") t.dtype = DType::kQ8_0;
  const Checkpoint model(std::move(contents));
  const auto refused = QuantizePlan::make(model, {.type = "Q4_0"});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message,
              HasSubstr("untied: tensor 'blk.3.ffn_up.weight' is Q8_0 already, expected F32, F16 "
                        "or BF16; --allow-requantize"));
  const auto same =
      QuantizePlan::make(model, {.type = "Q4_0", .overrides = {{R"(blk\.3\.ffn_up)", "Q8_0"}}});
  EXPECT_TRUE(same) << same.error().message;
  const auto again = QuantizePlan::make(model, {.type = "Q4_0"}, true);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(types_of(*again).at("blk.3.ffn_up.weight"), "Q4_0");
}

}  // namespace
}  // namespace ridgeline::ptq
