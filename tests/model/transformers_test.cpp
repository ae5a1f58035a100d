// Logits against Hugging Face transformers (tests/data/oracles/transformers).

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/kv/block_table.h"
#include "ridgeline/model/model.h"

namespace ridgeline {
namespace {

// The README of the oracles: rounding explains 2e-5, and everything else is larger.
constexpr float kTolerance = 2e-4F;

struct Oracle {
  nlohmann::json json;
  std::vector<float> logits;  // [positions][vocab]
};

std::string folder() { return RIDGELINE_SOURCE_DIR "/tests/data/oracles/transformers/"; }

Oracle read_oracle(const std::string& name) {
  Oracle oracle;
  oracle.json = nlohmann::json::parse(std::ifstream(folder() + name + ".json"));
  std::ifstream file(folder() + name + ".logits.f32", std::ios::binary);
  oracle.logits.resize(oracle.json["positions"].get<std::size_t>() *
                       oracle.json["vocab"].get<std::size_t>());
  file.read(reinterpret_cast<char*>(oracle.logits.data()),
            static_cast<std::streamsize>(oracle.logits.size() * sizeof(float)));
  EXPECT_TRUE(file.good());
  return oracle;
}

std::vector<std::string> isa_names() {
  std::vector<std::string> names;
  for (std::string_view name : built_isas()) names.emplace_back(name);
  return names;
}

class Transformers : public testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(Transformers, GiveTheSameLogits) {
  const auto& [name, isa] = GetParam();
  if (find_kernels(isa) == nullptr) GTEST_SKIP() << "this CPU lacks " << isa;
  const Oracle oracle = read_oracle(name);
  const auto prompt = oracle.json["prompt_ids"].get<std::vector<std::int32_t>>();
  const auto first = oracle.json["first_position"].get<std::int32_t>();
  const auto positions = oracle.json["positions"].get<std::int32_t>();
  const auto vocab = oracle.json["vocab"].get<std::size_t>();

  auto file = ModelFile::open(folder() + name + ".gguf");
  ASSERT_TRUE(file) << file.error().message;
  auto backend = create_backend({.threads = 2, .isa = isa});
  ASSERT_TRUE(backend) << backend.error().message;
  Model::LoadOptions options;
  options.max_batch_rows = static_cast<std::int64_t>(prompt.size());
  options.max_logit_rows = positions;
  options.max_positions = static_cast<std::int64_t>(prompt.size());
  auto model = Model::load(*file, **backend, options);
  ASSERT_TRUE(model) << model.error().message;
  const ModelConfig& config = (*model)->config();
  BlockPool pool(blocks_for(options.max_positions));
  auto cache = (*backend)->make_kv_cache(config.kv_shape(DType::kF32, pool.capacity()));
  ASSERT_TRUE(cache) << cache.error().message;

  BlockTable blocks(pool);
  ASSERT_TRUE(blocks.reserve(options.max_positions));
  Batch batch;
  batch.tokens = prompt;
  batch.slices = {{0, static_cast<std::int32_t>(prompt.size()), 0, blocks.blocks()}};
  for (std::int32_t i = 0; i < positions; ++i) batch.logit_rows.push_back(first + i);
  (*model)->forward(batch, **cache);
  std::vector<float> logits(oracle.logits.size());
  (*model)->head(0, positions, logits);

  float worst = 0;
  for (std::size_t i = 0; i < logits.size(); ++i)
    worst = std::max(worst, std::abs(logits[i] - oracle.logits[i]));
  EXPECT_LE(worst, kTolerance) << "vocabulary of " << vocab;
  for (float l : logits) ASSERT_TRUE(std::isfinite(l));
}

INSTANTIATE_TEST_SUITE_P(
    Models, Transformers,
    testing::Combine(testing::Values("llama-tied", "llama-gqa-untied", "llama-rope-llama3",
                                     "llama-rope-linear", "mistral-head-dim", "qwen2-tied",
                                     "qwen2-untied", "qwen3-tied", "qwen3-untied"),
                     testing::ValuesIn(isa_names())),
    [](const auto& parameter) {
      std::string text = std::get<0>(parameter.param) + "_" + std::get<1>(parameter.param);
      std::ranges::replace(text, '-', '_');
      return text;
    });

}  // namespace
}  // namespace ridgeline
