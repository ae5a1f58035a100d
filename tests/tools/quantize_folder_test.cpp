// Hugging Face folders (tests/data/oracles/huggingface) as GGUF files: the same tokens and the
// same logits.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "ridgeline/format/gguf.h"
#include "ridgeline/format/hugging_face.h"
#include "ridgeline/format/stack_experts.h"
#include "ridgeline/tools/eval.h"
#include "ridgeline/tools/ptq/quantize.h"
#include "tests/support/random_model.h"
#include "tests/support/recipe_model.h"

namespace ridgeline::ptq {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

constexpr int kVocabulary = 64;

/// A tokenizer of as few tokens as the models have: letters and what begins with them.
json letters_tokenizer() {
  json vocab = {{"[PAD]", 0}, {"[CLS]", 1}, {"[SEP]", 2}, {"[UNK]", 3}};
  for (char c = 'a'; c <= 'z'; ++c) {
    vocab[std::string(1, c)] = vocab.size();
    vocab["##" + std::string(1, c)] = vocab.size();
  }
  json added = json::array();
  for (const char* token : {"[PAD]", "[CLS]", "[SEP]", "[UNK]"})
    added.push_back({{"id", vocab[token]}, {"content", token}, {"special", true}});
  return {{"added_tokens", added},
          {"normalizer", {{"type", "BertNormalizer"}, {"lowercase", true}}},
          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
          {"post_processor",
           {{"type", "BertProcessing"}, {"cls", {"[CLS]", 1}}, {"sep", {"[SEP]", 2}}}},
          {"model", {{"type", "WordPiece"}, {"unk_token", "[UNK]"}, {"vocab", vocab}}}};
}

class QuantizeFolder : public testing::Test {
 protected:
  QuantizeFolder()
      : folder_(test::temporary_path("folder")), out_(test::temporary_path("out.gguf")) {
    fs::remove_all(folder_);
  }
  ~QuantizeFolder() override {
    fs::remove_all(folder_);
    fs::remove(out_);
  }

  void copy(const std::string& name) {
    fs::copy(RIDGELINE_SOURCE_DIR "/tests/data/oracles/huggingface/" + name, folder_);
    write("tokenizer.json", letters_tokenizer());
  }
  void write(const char* name, const json& value) const { std::ofstream(folder_ / name) << value; }
  std::string quantize(const char* type) const {
    QuantizeOptions options;
    options.source = folder_.string();
    options.target = out_;
    options.types.type = type;
    options.threads = 2;
    auto job = QuantizeJob::open(options);
    if (!job) return job.error().message;
    const auto report = job->run({});
    return report ? "no error" : report.error().message;
  }

  fs::path folder_;
  std::string out_;
};

std::unique_ptr<Engine> load(const std::string& path) {
  EngineOptions options;
  options.backend.threads = 2;
  options.backend.activations = ActivationPrecision::kExact;
  options.context = 64;
  options.kv_type = DType::kF32;
  auto engine = Engine::load(path, options);
  EXPECT_TRUE(engine) << engine.error().message;
  return engine ? std::move(*engine) : nullptr;
}

class QuantizeFolders : public QuantizeFolder, public testing::WithParamInterface<const char*> {};

TEST_P(QuantizeFolders, GiveTheSameLogitsAndTokens) {
  copy(GetParam());
  const auto base_tokenizer = ModelFile::open(folder_.string())->tokenizer();
  ASSERT_TRUE(base_tokenizer) << base_tokenizer.error().message;
  EvalWindow window;
  for (int i = 0; i < 40; ++i) window.tokens.push_back((i * 37 + i * i) % kVocabulary);
  for (const char* type : {"BF16", "F32"}) {
    ASSERT_EQ(quantize(type), "no error");
    const auto base = load(folder_.string()), copied = load(out_);
    ASSERT_NE(base, nullptr);
    ASSERT_NE(copied, nullptr);
    const auto compared = evaluate_against(*base, *copied, {window}, nullptr);
    ASSERT_TRUE(compared) << compared.error().message;
    EXPECT_LE(compared->divergence.kl_max, 1e-9) << type;
    EXPECT_EQ(compared->divergence.top1, 1.0) << type;
    // The folders' weights are BF16, so nothing is computed otherwise.
    if (type[0] == 'B') {
      EXPECT_EQ(compared->base.nll, compared->model.nll);
    }
  }
  const auto file = ModelFile::open(out_);
  ASSERT_TRUE(file) << file.error().message;
  for (const TensorView& t : file->checkpoint().tensors()) {
    EXPECT_FALSE(t.shape.size() == 1 && t.dtype != DType::kF32) << t.name;
    EXPECT_THAT(t.name, testing::Not(testing::ContainsRegex("ffn_[a-z]+\\.[0-9]+\\.weight")));
  }
  const auto tokenizer = file->tokenizer();
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->vocab_size(), kVocabulary);
  for (const char* text : {"a cab", "Zebra 7 quick foxes!", ""})
    EXPECT_EQ((*tokenizer)->encode(text), (*base_tokenizer)->encode(text)) << text;
}

INSTANTIATE_TEST_SUITE_P(Models, QuantizeFolders,
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

TEST_F(QuantizeFolder, WritesTheTypesThatLlamaCppReads) {
  copy("qwen3-moe");
  std::ofstream(folder_ / "chat_template.jinja") << "{{ messages }}";
  ASSERT_EQ(quantize("F16"), "no error");
  const auto file = open_gguf(out_);
  ASSERT_TRUE(file) << file.error().message;
  for (const auto& [key, value] : file->metadata()) {
    EXPECT_NE(value.type, GgufType::kInt64) << key;
    EXPECT_NE(value.type, GgufType::kFloat64) << key;
  }
  EXPECT_EQ(file->string("general.type")->value(), "model");
  EXPECT_EQ(file->string("tokenizer.ggml.model")->value(), "bert");
  EXPECT_EQ(file->string("tokenizer.chat_template")->value(), "{{ messages }}");
  EXPECT_EQ(file->integer("tokenizer.ggml.bos_token_id")->value(), 1);
  EXPECT_EQ(file->strings("tokenizer.ggml.tokens")->value().back(), "[PAD63]");
  const TensorView* experts = file->tensor("blk.1.ffn_down_exps.weight");
  ASSERT_NE(experts, nullptr);
  EXPECT_EQ(experts->dtype, DType::kF16);
  EXPECT_EQ(experts->shape.size(), 3U);
}

TEST_F(QuantizeFolder, SaysWhatIsMissing) {
  copy("llama");
  fs::remove(folder_ / "tokenizer.json");
  EXPECT_THAT(quantize("F16"), HasSubstr("has no tokenizer that can be read, expected"));
  json tokenizer = letters_tokenizer();
  tokenizer["added_tokens"].push_back({{"id", 64}, {"content", "one more"}, {"special", false}});
  write("tokenizer.json", tokenizer);
  EXPECT_THAT(quantize("F16"), HasSubstr("has a token \"one more\" of id 64, but the model's "
                                         "embedding has 64 rows"));
  tokenizer = letters_tokenizer();
  tokenizer["model"]["type"] = "WordLevel";
  write("tokenizer.json", tokenizer);
  EXPECT_THAT(quantize("F16"), HasSubstr("tokenizer.json: the tokenizer's model is neither"));
  EXPECT_FALSE(fs::exists(out_));
}

/// Older GGUF files have experts apart, too.
TEST(StackExperts, GivesTheSameLogits) {
  const std::string apart = test::temporary_path("apart.gguf"),
                    out = test::temporary_path("x.gguf");
  const test::RecipeModel recipe = test::read_recipe("mixtral-apart");
  test::write_recipe_model(apart, recipe);
  QuantizeOptions options;
  options.source = apart;
  options.target = out;
  options.types.type = "F32";
  auto job = QuantizeJob::open(options);
  ASSERT_TRUE(job) << job.error().message;
  const auto report = job->run({});
  ASSERT_TRUE(report) << report.error().message;
  const auto base = load(apart), stacked = load(out);
  ASSERT_NE(stacked, nullptr);
  EvalWindow window;
  window.tokens = recipe.prompt();
  const auto compared = evaluate_against(*base, *stacked, {window}, nullptr);
  ASSERT_TRUE(compared) << compared.error().message;
  EXPECT_EQ(compared->base.nll, compared->model.nll);
  fs::remove(apart);
  fs::remove(out);
}

TEST(StackExperts, RefusesWhatDoesNotBelongTogether) {
  const auto error_with = [](auto change) -> std::string {
    Checkpoint::Contents contents;
    contents.path = "model";
    for (const char* name : {"blk.0.ffn_up.0.weight", "blk.0.ffn_up.1.weight"}) {
      TensorView t;
      t.name = name;
      t.shape = {2, 4};
      contents.tensors.push_back(t);
    }
    change(contents.tensors);
    const auto stacked = stack_experts(Checkpoint(std::move(contents)));
    return stacked ? "no error" : stacked.error().message;
  };
  using Tensors = std::vector<TensorView>;
  EXPECT_EQ(error_with([](Tensors&) {}), "no error");
  EXPECT_THAT(error_with([](Tensors& t) { t[0].name = "blk.0.ffn_up.2.weight"; }),
              HasSubstr("model: tensor 'blk.0.ffn_up.0.weight' is missing: there is one of"));
  EXPECT_THAT(error_with([](Tensors& t) {
                t[1].shape = {3, 4};
              }),
              HasSubstr("'blk.0.ffn_up.0.weight' and 'blk.0.ffn_up.1.weight' differ in shape"));
  EXPECT_THAT(error_with([](Tensors& t) { t[1].name = "blk.0.ffn_up_exps.weight"; }),
              HasSubstr("has tensor 'blk.0.ffn_up_exps.weight' and also its experts apart"));
}

}  // namespace
}  // namespace ridgeline::ptq
