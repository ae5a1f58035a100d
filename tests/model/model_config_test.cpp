// What a file's metadata says of a model, and what is wrong with it, as sentences.

#include "ridgeline/model/model_config.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ridgeline/model/model_file.h"
#include "tests/support/random_model.h"
#include "tests/support/recipe_model.h"

namespace ridgeline {
namespace {

class ReadModelConfig : public testing::Test {
 protected:
  void TearDown() override { std::remove(path_.c_str()); }

  /// A recipe with some metadata changed; null takes a key away.
  Result<ModelConfig> read(const std::string& recipe_name, const nlohmann::json& changes) {
    test::RecipeModel recipe = test::read_recipe(recipe_name);
    const std::string prefix = recipe.json["architecture"].get<std::string>() + ".";
    for (const auto& [key, value] : changes.items()) {
      if (value.is_null())
        recipe.json["metadata"].erase(prefix + key);
      else
        recipe.json["metadata"][prefix + key] = value;
    }
    test::write_recipe_model(path_, recipe);
    auto file = ModelFile::open(path_);
    EXPECT_TRUE(file) << file.error().message;
    return file->config();
  }
  std::string error(const std::string& recipe, const nlohmann::json& changes) {
    const auto config = read(recipe, changes);
    if (config) return "";
    EXPECT_TRUE(config.error().message.starts_with(path_ + ": ")) << config.error().message;
    return config.error().message.substr(path_.size() + 2);
  }

  const std::string path_ = test::temporary_path("config.gguf");
};

using Windows = std::vector<std::int64_t>;

TEST_F(ReadModelConfig, WindowsFollowThePatternOfTheArchitecture) {
  const auto windows = [&](const char* recipe, const nlohmann::json& changes) {
    const auto config = read(recipe, changes);
    EXPECT_TRUE(config) << config.error().message;
    return config->layer_windows;
  };
  EXPECT_EQ(windows("gemma2", {}), (Windows{12, 0, 12, 0}));
  EXPECT_EQ(windows("gemma3", {}), (Windows{12, 12, 12, 12, 12, 0}));
  EXPECT_EQ(windows("gemma3", {{"attention.sliding_window_pattern", 3}}),
            (Windows{12, 12, 0, 12, 12, 0}));
  EXPECT_EQ(windows("olmo3", {}), (Windows{10, 10, 10, 0}));
  EXPECT_EQ(windows("mistral-window", {}), (Windows{10, 10}));
  // None, and one that nothing reaches behind.
  EXPECT_EQ(windows("mistral-window", {{"attention.sliding_window", 0}}), Windows{});
  EXPECT_EQ(windows("mistral-window", {{"attention.sliding_window", 128}}), Windows{});
  // Gemma 2's files from before the key was written.
  EXPECT_EQ(windows("gemma2", {{"attention.sliding_window", nullptr}, {"context_length", 8192}}),
            (Windows{4096, 0, 4096, 0}));
  EXPECT_EQ(error("gemma2", {{"attention.sliding_window_pattern", {true, false}}}),
            "metadata 'gemma2.attention.sliding_window_pattern' has 2 entries, expected one for "
            "each of 4 layers");
}

TEST_F(ReadModelConfig, RopeScaling) {
  const auto rope = [&](const char* recipe, const nlohmann::json& changes) {
    const auto config = read(recipe, changes);
    EXPECT_TRUE(config) << config.error().message;
    return config->rope;
  };
  const RopeConfig yarn = rope("qwen2-yarn", {});
  EXPECT_NEAR(yarn.magnitude, 0.1 * std::log(4.0) + 1, 1e-6);
  // The fastest pair turns as ever, the slowest at a quarter.
  const auto frequencies = yarn.inverse_frequencies(128);
  EXPECT_EQ(frequencies.front(), 1.0F);
  EXPECT_NEAR(frequencies.back(), std::pow(10000.0, -10.0 / 12.0) / 4, 1e-9);

  // A factor without a type is linear, as old files mean it.
  EXPECT_EQ(rope("olmo2", {{"rope.scaling.factor", 4.0}}).inverse_frequencies(64)[0], 0.25F);
  EXPECT_EQ(rope("olmo2", {{"rope.scale_linear", 2.0}}).inverse_frequencies(64)[0], 0.5F);
  EXPECT_EQ(rope("olmo2", {{"rope.scaling.factor", 4.0}, {"rope.scaling.type", "none"}})
                .inverse_frequencies(64)[0],
            1.0F);

  // The context chooses the factors.
  const RopeConfig phi = rope("phi3-long", {});
  EXPECT_NEAR(phi.inverse_frequencies(33)[1] / phi.inverse_frequencies(32)[1], 1.05 / 1.7, 1e-6);

  EXPECT_EQ(error("qwen2-yarn", {{"rope.scaling.type", "dynamic"}}),
            "rope scaling 'dynamic' is not supported; supported: none, linear, yarn, longrope, and "
            "Llama 3's factors (tensor rope_freqs.weight)");
  EXPECT_EQ(error("qwen2-yarn", {{"rope.scaling.type", "longrope"}}),
            "tensor 'rope_factors_long.weight' is missing: long-rope scaling needs the long and "
            "the short factors");
  EXPECT_EQ(error("qwen2-yarn", {{"rope.scaling.yarn_ext_factor", 0.5}}),
            "metadata 'qwen2.rope.scaling.yarn_ext_factor' is 0.5, expected 1: other mixtures are "
            "not supported");
  EXPECT_EQ(error("qwen2-yarn", {{"rope.scaling.factor", -1.0}}),
            "metadata 'qwen2.rope.scaling.factor' is -1, expected a positive number");
}

TEST_F(ReadModelConfig, RopeScalingFromTheCommandLineIsThatOfAFile) {
  const nlohmann::json none{{"rope.scaling.type", nullptr},
                            {"rope.scaling.factor", nullptr},
                            {"rope.scaling.original_context_length", nullptr},
                            {"context_length", 32}};
  const auto open = [&](const RopeOverride& rope) {
    auto file = ModelFile::open(path_, {.rope = rope});
    EXPECT_TRUE(file) << file.error().message;
    return *file->config();
  };
  const auto expected = read("qwen2-yarn", {});
  ASSERT_TRUE(expected);
  const auto plain = read("qwen2-yarn", none);
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->rope.magnitude, 1.0F);
  const ModelConfig yarn = open({.scaling = "yarn", .factor = 4});
  EXPECT_EQ(yarn.context_length, 128);
  EXPECT_EQ(yarn.rope.magnitude, expected->rope.magnitude);
  EXPECT_EQ(yarn.rope.inverse_frequencies(128), expected->rope.inverse_frequencies(128));
  EXPECT_EQ(open({.scaling = "yarn", .factor = 2, .original_context = 16}).context_length, 32);
  EXPECT_EQ(open({.factor = 4}).rope.inverse_frequencies(32)[0], 0.25F);
  EXPECT_EQ(open({.base = 500}).rope.base, 500.0F);

  ASSERT_TRUE(read("qwen2-yarn", {}));
  EXPECT_EQ(open({.scaling = "none"}).rope.inverse_frequencies(128),
            plain->rope.inverse_frequencies(128));
  const auto message = [&](const RopeOverride& rope) {
    const auto file = ModelFile::open(path_, {.rope = rope});
    return file ? "" : file.error().message;
  };
  EXPECT_EQ(message({.scaling = "ntk"}), "--rope-scaling ntk: expected none, linear or yarn");
  ASSERT_TRUE(read("gpt2", {}));
  EXPECT_EQ(message({.factor = 2}), path_ +
                                        ": --rope-scaling and the like do nothing here: the "
                                        "positions of a 'gpt2' model are learned");
}

TEST_F(ReadModelConfig, Encoders) {
  const auto config = read("bert", {});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_TRUE(config->is_encoder);
  EXPECT_EQ(config->pooling, Pooling::kMean);
  EXPECT_EQ(error("bert", {{"pooling_type", 4}}),
            "a model that ranks texts (metadata 'bert.pooling_type' is 4) is not supported");
}

}  // namespace
}  // namespace ridgeline
