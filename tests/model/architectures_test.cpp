// Every architecture's logits against Hugging Face transformers and its greedy tokens against
// llama.cpp, on made-up models (tests/data/oracles/architectures).

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/kv/block_table.h"
#include "ridgeline/model/model.h"
#include "tests/support/random_model.h"
#include "tests/support/recipe_model.h"

namespace ridgeline {
namespace {

// The README of the oracles: rounding explains 3e-5, and everything else is larger.
constexpr float kTolerance = 2e-4F;

/// A recipe's model on one backend, for one sequence.
class Subject {
 public:
  Subject(const test::RecipeModel& recipe, const std::string& isa, std::int64_t positions)
      : path_(test::temporary_path(recipe.name + isa + ".gguf")), pool_(blocks_for(positions)) {
    test::write_recipe_model(path_, recipe);
    auto file = ModelFile::open(path_);
    EXPECT_TRUE(file) << file.error().message;
    auto backend = create_backend({.threads = 2, .isa = isa});
    EXPECT_TRUE(backend) << backend.error().message;
    backend_ = std::move(*backend);
    Model::LoadOptions options;
    options.max_batch_rows = positions;
    options.max_logit_rows = positions;
    options.max_positions = positions;
    auto model = Model::load(*file, *backend_, options);
    if (!model) {
      ADD_FAILURE() << model.error().message;
      return;
    }
    model_ = std::move(*model);
    auto cache = backend_->make_kv_cache(model_->config().kv_shape(DType::kF32, pool_.capacity()));
    EXPECT_TRUE(cache) << cache.error().message;
    cache_ = std::move(*cache);
    EXPECT_TRUE(blocks_.reserve(positions));
  }
  ~Subject() { std::remove(path_.c_str()); }

  bool loaded() const { return model_ != nullptr; }
  Model& model() { return *model_; }

  /// Computes tokens after those of earlier calls; the last `wanted` rows are there for head().
  void forward(std::vector<std::int32_t> tokens, std::int32_t wanted) {
    Batch batch;
    batch.tokens = std::move(tokens);
    const auto rows = static_cast<std::int32_t>(batch.rows());
    batch.slices = {{0, rows, done_, blocks_.blocks()}};
    for (std::int32_t i = rows - wanted; i < rows; ++i) batch.logit_rows.push_back(i);
    model_->forward(batch, *cache_);
    done_ += rows;
  }

 private:
  std::string path_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<KvCache> cache_;
  BlockPool pool_;
  BlockTable blocks_{pool_};
  std::int64_t done_ = 0;
};

class Architectures : public testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  void SetUp() override {
    if (find_kernels(std::get<1>(GetParam())) == nullptr)
      GTEST_SKIP() << "this CPU lacks " << std::get<1>(GetParam());
  }
};

TEST_P(Architectures, GiveTheLogitsOfTransformers) {
  const auto& [name, isa] = GetParam();
  const test::RecipeModel recipe = test::read_recipe(name);
  const std::vector<std::int32_t> prompt = recipe.prompt();
  Subject subject(recipe, isa, static_cast<std::int64_t>(prompt.size()));
  ASSERT_TRUE(subject.loaded());
  const std::int32_t positions = recipe.json["positions"];
  subject.forward(prompt, positions);
  std::vector<float> output(recipe.output.size());
  if (recipe.is_encoder())
    subject.model().hidden(0, positions, output);
  else
    subject.model().head(0, positions, output);

  float worst = 0;
  for (std::size_t i = 0; i < output.size(); ++i) {
    ASSERT_TRUE(std::isfinite(output[i]));
    worst = std::max(worst, std::abs(output[i] - recipe.output[i]));
  }
  EXPECT_LE(worst, kTolerance);
  RecordProperty("largest_difference", std::to_string(worst));
}

TEST_P(Architectures, GiveTheGreedyTokensOfLlamaCpp) {
  const auto& [name, isa] = GetParam();
  const test::RecipeModel recipe = test::read_recipe(name);
  const nlohmann::json& oracle = recipe.json["llamacpp"];
  if (!oracle.contains("greedy_ids")) GTEST_SKIP() << oracle;
  const std::vector<std::int32_t> expected = oracle["greedy_ids"];
  const std::vector<double> gaps = oracle["greedy_gap"];
  // It rounds GELU's argument and result to F16.
  const double tolerance = 1e-3 + 4 * oracle["difference"].get<double>();

  std::vector<std::int32_t> next = recipe.prompt();
  Subject subject(recipe, isa, static_cast<std::int64_t>(next.size() + expected.size()));
  ASSERT_TRUE(subject.loaded());
  std::vector<float> logits(recipe.json["width"].get<std::size_t>());
  for (std::size_t i = 0; i < expected.size() && gaps[i] >= tolerance; ++i) {
    subject.forward(next, 1);
    subject.model().head(0, 1, logits);
    next = {static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin())};
    ASSERT_EQ(next[0], expected[i]) << "step " << i << ", gap " << gaps[i];
  }
}

std::vector<std::string> isa_names() {
  std::vector<std::string> names;
  for (std::string_view name : built_isas()) names.emplace_back(name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Models, Architectures,
                         testing::Combine(testing::ValuesIn(test::recipe_names()),
                                          testing::ValuesIn(isa_names())),
                         [](const auto& parameter) {
                           std::string text =
                               std::get<0>(parameter.param) + "_" + std::get<1>(parameter.param);
                           std::ranges::replace(text, '-', '_');
                           return text;
                         });

}  // namespace
}  // namespace ridgeline
