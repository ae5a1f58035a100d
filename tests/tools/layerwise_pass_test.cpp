#include "ridgeline/tools/ptq/layerwise_pass.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "ridgeline/model/pack_plan.h"
#include "ridgeline/quant/block_format.h"
#include "ridgeline/tools/ptq/importance_observer.h"
#include "ridgeline/tools/ptq/type_mixture.h"
#include "tests/support/random_model.h"
#include "tests/support/recipe_model.h"

namespace ridgeline::ptq {
namespace {

std::vector<std::vector<TokenId>> some_windows(int vocab_size) {
  std::vector<std::vector<TokenId>> windows;
  TokenId next = 3;
  for (const std::size_t length : {37U, 5U, 64U, 1U}) {
    auto& window = windows.emplace_back(length);
    for (TokenId& id : window) id = (next = (next * 31 + 7) % vocab_size);
  }
  return windows;
}

std::int64_t count_tokens(const std::vector<std::vector<TokenId>>& windows) {
  std::int64_t tokens = 0;
  for (const auto& window : windows) tokens += static_cast<std::int64_t>(window.size());
  return tokens;
}

struct Opened {
  ModelFile file;
  ModelConfig config;
};
Opened open_model(const std::string& path) {
  auto file = ModelFile::open(path);
  EXPECT_TRUE(file) << file.error().message;
  auto config = file->config();
  EXPECT_TRUE(config) << config.error().message;
  return {std::move(*file), std::move(*config)};
}

std::unique_ptr<LayerwisePass> start(const Opened& model,
                                     std::vector<std::vector<TokenId>> windows) {
  LayerwisePass::Options options;
  options.backend.threads = 2;
  options.batch_rows = 48;  // windows share batches, and one is longer
  auto pass = LayerwisePass::start(model.file.checkpoint(), model.config, std::move(windows),
                                   std::move(options));
  EXPECT_TRUE(pass) << pass.error().message;
  return std::move(*pass);
}

/// Final hidden states of the whole model, window by window.
std::vector<float> whole_model(const Opened& model,
                               const std::vector<std::vector<TokenId>>& windows) {
  BackendOptions options;
  options.threads = 1;
  auto backend = create_backend(options);
  Model::LoadOptions load;
  load.max_batch_rows = load.max_positions = 64;
  auto loaded = Model::load(model.file, **backend, load);
  EXPECT_TRUE(loaded) << loaded.error().message;
  auto cache = (*backend)->make_kv_cache(model.config.kv_shape(DType::kF16, 4));
  const std::vector<std::int32_t> blocks{0, 1, 2, 3};
  std::vector<float> out;
  for (const auto& window : windows) {
    Batch batch;
    batch.tokens = window;
    const auto rows = static_cast<std::int32_t>(window.size());
    batch.slices = {{0, rows, 0, KvBlockTables(blocks)}};
    batch.logit_rows.resize(window.size());
    std::iota(batch.logit_rows.begin(), batch.logit_rows.end(), 0);
    (*loaded)->forward(batch, **cache);
    const std::size_t before = out.size();
    out.resize(before + window.size() * static_cast<std::size_t>(model.config.hidden_size));
    (*loaded)->hidden(0, rows, std::span(out).subspan(before));
  }
  return out;
}

void expect_same_as_whole(const std::string& path) {
  const Opened model = open_model(path);
  const auto windows = some_windows(model.config.vocab_size);
  const auto pass = start(model, windows);
  for (int layer = 0; layer < model.config.layers; ++layer) {
    // Running a layer to look at it changes nothing.
    ASSERT_TRUE(pass->run(layer, {}, nullptr, LayerwisePass::Output::kDrop));
    ASSERT_TRUE(pass->run(layer, {}, nullptr, LayerwisePass::Output::kKeep));
  }
  std::vector<float> out;
  ASSERT_TRUE(pass->finish([&](Matrix rows) -> Status {
    out.insert(out.end(), rows.data, rows.data + rows.rows * rows.cols);
    return {};
  }));
  EXPECT_EQ(out, whole_model(model, windows));
}

TEST(LayerwisePass, GivesTheBitsOfTheWholeModel) {
  for (const std::string& name : test::recipe_names()) {
    const test::RecipeModel recipe = test::read_recipe(name);
    if (recipe.is_encoder()) continue;
    SCOPED_TRACE(name);
    const std::string path = test::temporary_path("layerwise-" + name + ".gguf");
    test::write_recipe_model(path, recipe);
    expect_same_as_whole(path);
  }
}

TEST(LayerwisePass, ReplacesTensors) {
  const std::string path = test::temporary_path("layerwise.gguf");
  test::write_random_model(path, {});
  const Opened model = open_model(path);
  const auto pass = start(model, some_windows(model.config.vocab_size));
  // With the last product of both branches at zero, a layer passes on what it gets.
  LayerwisePass::Replacements replacements;
  std::vector<std::vector<std::byte>> zeros;
  for (const char* name : {"blk.0.attn_output.weight", "blk.0.ffn_down.weight"}) {
    TensorView view = *model.file.checkpoint().tensor(name);
    zeros.emplace_back(view.bytes);
    view.data = zeros.back().data();
    replacements[name] = view;
  }
  const auto final_rows = [&] {
    std::vector<float> out;
    EXPECT_TRUE(pass->finish([&](Matrix rows) -> Status {
      out.insert(out.end(), rows.data, rows.data + rows.rows * rows.cols);
      return {};
    }));
    return out;
  };
  const std::vector<float> before = final_rows();
  ASSERT_TRUE(pass->run(0, replacements, nullptr, LayerwisePass::Output::kKeep));
  EXPECT_EQ(final_rows(), before);
  ASSERT_TRUE(pass->run(0, {}, nullptr, LayerwisePass::Output::kKeep));
  EXPECT_NE(final_rows(), before);
}

TEST(LayerwisePass, RefusesAnEmptyWindow) {
  const std::string path = test::temporary_path("layerwise.gguf");
  test::write_random_model(path, {});
  const Opened model = open_model(path);
  const auto pass = LayerwisePass::start(model.file.checkpoint(), model.config, {{1, 2}, {}}, {});
  ASSERT_FALSE(pass);
  EXPECT_EQ(pass.error().message, "a window of calibration text is empty");
}

/// All matrices of the layers, as the observer counts them.
ImportanceMatrix importance_of(const Opened& model, LayerwisePass& pass) {
  ImportanceMatrix matrix;
  ImportanceObserver observer(matrix);
  for (const TensorView& t : model.file.checkpoint().tensors())
    if (layer_of(t.name) >= 0 && matrices_in(t) > 0)
      observer.expect(t.name, t.shape.size() > 2 ? t.shape.front() : 1, t.cols());
  for (int layer = 0; layer < model.config.layers; ++layer)
    EXPECT_TRUE(pass.run(layer, {}, &observer, LayerwisePass::Output::kKeep));
  return matrix;
}

TEST(ImportanceObserver, SeesEveryMatrixOnce) {
  for (const char* architecture : {"llama", "qwen3moe"}) {
    SCOPED_TRACE(architecture);
    test::RandomModel random;
    random.architecture = architecture;
    if (random.architecture == "qwen3moe") random.experts = 5;
    const std::string path = test::temporary_path("observed.gguf");
    test::write_random_model(path, random);
    const Opened model = open_model(path);
    const auto windows = some_windows(model.config.vocab_size);
    const auto pass = start(model, windows);
    const ImportanceMatrix matrix = importance_of(model, *pass);
    ASSERT_GE(matrix.entries().size(), 14U);
    for (const auto& [name, entry] : matrix.entries()) {
      const double rows = std::accumulate(entry.counts.begin(), entry.counts.end(), 0.0);
      const bool of_experts = entry.counts.size() > 1;
      EXPECT_EQ(rows, static_cast<double>(count_tokens(windows) *
                                          (of_experts ? random.experts_per_row : 1)))
          << name;
    }
  }
}

TEST(ImportanceObserver, AddsUpTheSquaresOfTheInputs) {
  const std::string path = test::temporary_path("observed.gguf");
  test::write_random_model(path, {});
  const Opened model = open_model(path);
  const auto windows = some_windows(model.config.vocab_size);
  const auto pass = start(model, windows);
  const ImportanceMatrix matrix = importance_of(model, *pass);

  // The first layer's projections read the embeddings, normalised.
  const Checkpoint& file = model.file.checkpoint();
  const auto hidden = static_cast<std::size_t>(model.config.hidden_size);
  const auto* embedding = reinterpret_cast<const float*>(file.tensor("token_embd.weight")->data);
  const auto* norm = reinterpret_cast<const float*>(file.tensor("blk.0.attn_norm.weight")->data);
  std::vector<double> expected(hidden);
  for (const auto& window : windows)
    for (const TokenId id : window) {
      const float* row = embedding + static_cast<std::size_t>(id) * hidden;
      double squares = 0;
      for (std::size_t i = 0; i < hidden; ++i) squares += double{row[i]} * row[i];
      const double mean = squares / static_cast<double>(hidden) + model.config.rms_norm_eps;
      for (std::size_t i = 0; i < hidden; ++i)
        expected[i] += std::pow(double{row[i]} * norm[i], 2) / mean;
    }
  for (const char* name : {"blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight"}) {
    const ImportanceMatrix::Entry& entry = matrix.entries().at(name);
    ASSERT_EQ(entry.sums.size(), hidden);
    for (std::size_t i = 0; i < hidden; ++i)
      EXPECT_NEAR(entry.sums[i], expected[i], 1e-5 * expected[i] + 1e-12) << name << " " << i;
  }
}

}  // namespace
}  // namespace ridgeline::ptq
