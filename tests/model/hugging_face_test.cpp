// Folders as transformers saves them, and the logits it computes from them
// (tests/data/oracles/huggingface).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "ridgeline/kv/block_table.h"
#include "ridgeline/model/model.h"
#include "tests/support/random_model.h"

namespace ridgeline {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr float kTolerance = 2e-4F;

std::string folder_of(const std::string& name) {
  return RIDGELINE_SOURCE_DIR "/tests/data/oracles/huggingface/" + name;
}

class HuggingFace : public testing::TestWithParam<const char*> {};

TEST_P(HuggingFace, FolderGivesTheSameLogits) {
  const std::string folder = folder_of(GetParam());
  const auto oracle = nlohmann::json::parse(std::ifstream(folder + "/oracle.json"));
  const auto prompt = oracle["prompt_ids"].get<std::vector<std::int32_t>>();
  const auto positions = oracle["positions"].get<std::int32_t>();
  std::vector<float> expected(static_cast<std::size_t>(positions) *
                              oracle["vocab"].get<std::size_t>());
  std::ifstream(folder + "/logits.f32", std::ios::binary)
      .read(reinterpret_cast<char*>(expected.data()),
            static_cast<std::streamsize>(expected.size() * sizeof(float)));

  auto file = ModelFile::open(folder);
  ASSERT_TRUE(file) << file.error().message;
  BackendOptions exact;
  exact.threads = 2;
  exact.activations = ActivationPrecision::kExact;
  auto backend = create_backend(exact);
  ASSERT_TRUE(backend) << backend.error().message;
  const auto length = static_cast<std::int32_t>(prompt.size());
  Model::LoadOptions options;
  options.max_batch_rows = length;
  options.max_logit_rows = positions;
  options.max_positions = length;
  auto model = Model::load(*file, **backend, options);
  ASSERT_TRUE(model) << model.error().message;
  const ModelConfig& config = (*model)->config();
  BlockPool pool(blocks_for(length));
  auto cache = (*backend)->make_kv_cache(config.kv_shape(DType::kF32, pool.capacity()));
  ASSERT_TRUE(cache) << cache.error().message;
  BlockTable blocks(pool);
  ASSERT_TRUE(blocks.reserve(length));
  Batch batch;
  batch.tokens = prompt;
  batch.slices = {{0, length, 0, blocks.blocks()}};
  for (std::int32_t i = length - positions; i < length; ++i) batch.logit_rows.push_back(i);
  (*model)->forward(batch, **cache);
  std::vector<float> logits(expected.size());
  (*model)->head(0, positions, logits);

  float worst = 0;
  for (std::size_t i = 0; i < logits.size(); ++i)
    worst = std::max(worst, std::abs(logits[i] - expected[i]));
  EXPECT_LE(worst, kTolerance);
  RecordProperty("largest_difference", std::to_string(worst));
}

/// A copy of a good folder, to be spoilt.
class HuggingFaceErrors : public testing::Test {
 protected:
  HuggingFaceErrors() : folder_(test::temporary_path("hf")) {
    fs::remove_all(folder_);
    fs::copy(folder_of("llama-sharded"), folder_);
  }
  ~HuggingFaceErrors() override { fs::remove_all(folder_); }

  nlohmann::json read(const char* name) const {
    return nlohmann::json::parse(std::ifstream(folder_ / name));
  }
  void write(const char* name, const nlohmann::json& value) const {
    std::ofstream(folder_ / name) << value;
  }
  /// With one key of config.json set to another value; null takes it away.
  std::string error_with(const char* key, const nlohmann::json& value) const {
    const nlohmann::json good = read("config.json");
    nlohmann::json bad = good;
    bad[key] = value;
    write("config.json", bad);
    std::string message = error();
    write("config.json", good);
    return message;
  }
  std::string error() const {
    const auto file = ModelFile::open(folder_.string());
    return file ? "no error" : file.error().message;
  }
  fs::path folder_;
};

TEST_F(HuggingFaceErrors, NameTheFileAndWhatWasExpected) {
  EXPECT_EQ(error(), "no error");
  EXPECT_THAT(error_with("model_type", "rwkv"),
              HasSubstr("model_type 'rwkv' is not supported; supported: llama, mistral"));
  EXPECT_THAT(error_with("model_type", nullptr), HasSubstr("has no 'model_type'"));
  EXPECT_THAT(error_with("num_hidden_layers", 0),
              HasSubstr("'num_hidden_layers' is 0, expected 1 to 4096"));
  EXPECT_THAT(error_with("num_hidden_layers", "two"), HasSubstr("is \"two\", expected an integer"));
  EXPECT_THAT(error_with("num_hidden_layers", 1), HasSubstr("belongs to layer 1 of 1"));
  EXPECT_THAT(error_with("hidden_act", "relu"),
              HasSubstr("'hidden_act' is \"relu\", expected 'silu'"));
  EXPECT_THAT(error_with("rope_parameters", {{"rope_type", "dynamic"}}),
              HasSubstr("rope_type 'dynamic' is not supported"));
  EXPECT_THAT(error_with("quantization_config", {{"quant_method", "bitsandbytes"}}),
              HasSubstr("the weights are quantized by 'bitsandbytes'"));
  EXPECT_THAT(error_with("tie_word_embeddings", false),
              HasSubstr("tensor 'lm_head.weight' is missing"));
}

TEST_F(HuggingFaceErrors, MissingShard) {
  fs::remove(folder_ / "model-00002-of-00003.safetensors");
  EXPECT_THAT(error(), HasSubstr("model-00002-of-00003.safetensors: is missing"));
  nlohmann::json index = read("model.safetensors.index.json");
  index["weight_map"]["model.norm.weight"] = "../elsewhere.safetensors";
  write("model.safetensors.index.json", index);
  EXPECT_THAT(error(), HasSubstr("expected the name of a file beside it"));
  fs::remove(folder_ / "model.safetensors.index.json");
  EXPECT_THAT(error(), HasSubstr("has neither model.safetensors nor"));
  fs::remove(folder_ / "config.json");
  EXPECT_THAT(error(), HasSubstr("has no config.json"));
}

TEST_F(HuggingFaceErrors, IndexAndShardsMustAgree) {
  nlohmann::json index = read("model.safetensors.index.json");
  index["weight_map"]["model.absent.weight"] = index["weight_map"]["model.norm.weight"];
  write("model.safetensors.index.json", index);
  EXPECT_THAT(error(), HasSubstr("tensor 'model.absent.weight' is not in model-0000"));
}

INSTANTIATE_TEST_SUITE_P(Models, HuggingFace,
                         testing::Values("llama", "llama-sharded", "mistral", "mixtral", "qwen2",
                                         "qwen3", "qwen2-moe", "qwen3-moe", "granite", "olmo2",
                                         "phi3", "gemma", "gemma2", "gemma3", "gpt-oss",
                                         "gpt-oss-mxfp4", "deepseek-v2", "deepseek-v3", "gpt2",
                                         "starcoder2"),
                         [](const auto& parameter) {
                           std::string text = parameter.param;
                           std::ranges::replace(text, '-', '_');
                           return text;
                         });

}  // namespace
}  // namespace ridgeline
