// Greedy tokens against llama.cpp on the same models (tests/data/oracles/llamacpp).

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "ridgeline/engine/engine.h"
#include "ridgeline/format/gguf_writer.h"
#include "ridgeline/quant/block_format.h"
#include "tests/support/random_model.h"

namespace ridgeline {
namespace {

using nlohmann::json;

const std::string kShared = RIDGELINE_SHARED_DATA;

/// How far two engines' roundings may move the gap of the two best logits; from that
/// folder's README.
double tolerance_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 0.001;
    case DType::kF16:
      return 0.005;
    case DType::kBF16:
      return 0.03;
    case DType::kQ8_0:
    case DType::kQ4_0:
    case DType::kQ5_0:
      return 0.15;
    default:
      return 0.25;
  }
}

/// The F16 model with its matrices encoded as `types` says ("*": the default).
void quantize(const std::string& from, const std::string& to, const json& types) {
  auto file = open_gguf(from);
  ASSERT_TRUE(file) << file.error().message;
  std::deque<std::vector<std::byte>> storage;
  std::vector<TensorView> tensors;
  for (TensorView tensor : file->tensors()) {
    if (tensor.shape.size() > 1) {
      const std::string type = types.contains(tensor.name) ? types[tensor.name] : types["*"];
      std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
      decode(tensor.dtype, tensor.data, tensor.elements(), values.data());
      tensor.dtype = *dtype_from_name(type);
      tensor.bytes = row_bytes(tensor.dtype, tensor.elements());
      std::vector<std::byte>& bytes = storage.emplace_back(tensor.bytes);
      encode(tensor.dtype, values.data(), tensor.elements(), bytes.data());
      tensor.data = bytes.data();
    }
    tensors.push_back(tensor);
  }
  const GgufMetadata metadata(file->metadata().begin(), file->metadata().end());
  const Status status = write_gguf(to, metadata, tensors);
  ASSERT_TRUE(status) << status.error().message;
}

/// The model of an oracle's first record, made in the temporary folder where it is not
/// among the shared ones. "" (and why) if it cannot be had here.
std::string model_path(const std::string& name, const json& record, std::string& why) {
  const std::string shared = kShared + "/models/" + name + ".gguf";
  if (std::filesystem::exists(shared)) return shared;
  const std::string made = test::temporary_path(name + ".gguf");
  if (record.contains("made_from")) {
    const std::string from = kShared + "/models/" + record["made_from"].get<std::string>();
    if (!std::filesystem::exists(from)) {
      why = from + " is not there";
      return "";
    }
    quantize(from, made, record["types"]);
    return made;
  }
  const std::string script = kShared + "/../tools/make_synthetic_gguf.py";
  const std::string shape = name.substr(0, name.rfind("-f32"));
  const std::string command = "python3 " + script + " --shape " + shape +
                              " --type f32 --seed 0 --out " + made + " > /dev/null 2>&1";
  if (std::filesystem::exists(script) && std::system(command.c_str()) == 0) return made;
  why = script + " (with Python and NumPy) is not there";
  return "";
}

/// 64 tokens, each the most likely one, an end of text like any other.
std::vector<TokenId> greedy(Engine& engine, std::vector<TokenId> tokens, std::size_t count) {
  const std::size_t prompt = tokens.size();
  SequenceBlocks blocks(engine.kv_pools());
  std::vector<float> logits(static_cast<std::size_t>(engine.config().vocab_size));
  std::size_t done = 0;
  while (tokens.size() < prompt + count) {
    Batch batch;
    batch.tokens.assign(tokens.begin() + static_cast<std::ptrdiff_t>(done), tokens.end());
    EXPECT_TRUE(
        blocks.advance(static_cast<std::int64_t>(done), static_cast<std::int64_t>(tokens.size())));
    batch.slices = {{0, static_cast<std::int32_t>(batch.rows()), static_cast<std::int64_t>(done),
                     blocks.tables()}};
    batch.logit_rows = {static_cast<std::int32_t>(batch.rows() - 1)};
    done = tokens.size();
    engine.model().forward(batch, engine.kv_cache());
    engine.model().head(0, 1, logits);
    tokens.push_back(static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin()));
  }
  return {tokens.begin() + static_cast<std::ptrdiff_t>(prompt), tokens.end()};
}

class LlamaCpp : public testing::TestWithParam<std::string> {};

TEST_P(LlamaCpp, GivesTheSameGreedyTokens) {
  const std::string& name = GetParam();
  const json records = json::parse(
      std::ifstream(RIDGELINE_SOURCE_DIR "/tests/data/oracles/llamacpp/" + name + ".json"));
  std::string why;
  const std::string path = model_path(name, records[0], why);
  if (path.empty()) GTEST_SKIP() << why;

  EngineOptions options;
  options.backend.threads = 2;
  options.kv_type = DType::kF32;
  auto engine = Engine::load(path, options);
  ASSERT_TRUE(engine) << engine.error().message;
  const auto file = open_gguf(path);
  const double tolerance = tolerance_of(file->tensor("blk.0.ffn_down.weight")->dtype);
  for (const json& record : records) {
    const auto expected = record["ids"].get<std::vector<TokenId>>();
    const auto gaps = record["gap"].get<std::vector<double>>();
    const auto ids =
        greedy(**engine, record["prompt_ids"].get<std::vector<TokenId>>(), expected.size());
    std::size_t compared = 0;
    for (; compared < ids.size() && gaps[compared] >= tolerance; ++compared)
      ASSERT_EQ(ids[compared], expected[compared])
          << "step " << compared << ", gap " << gaps[compared] << ", prompt "
          << record["prompt_ids"];
    RecordProperty("compared_" + std::to_string(&record - &records[0]), static_cast<int>(compared));
  }
  if (path.find(kShared) != 0) std::remove(path.c_str());
}

INSTANTIATE_TEST_SUITE_P(Models, LlamaCpp,
                         testing::Values("stories260k", "babyllama", "tiny-f32", "mini-llama-f32",
                                         "mini-qwen2-f32", "mini-qwen3-f32", "fireside-f16",
                                         "fireside-bf16", "fireside-q8_0", "fireside-q4_0",
                                         "fireside-q5_0", "fireside-q6_k", "fireside-q4_k"),
                         [](const auto& parameter) {
                           std::string text = parameter.param;
                           std::ranges::replace(text, '-', '_');
                           return text;
                         });

}  // namespace
}  // namespace ridgeline
