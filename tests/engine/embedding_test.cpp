// Engine::embed against transformers, and against itself in other company.

#include "ridgeline/engine/embedding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "ridgeline/engine/engine.h"
#include "tests/support/random_model.h"
#include "tests/support/recipe_model.h"

namespace ridgeline {
namespace {

using Vectors = std::vector<std::vector<float>>;

std::vector<TokenId> random_ids(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> ids(count);
  for (TokenId& id : ids) id = static_cast<TokenId>(random() % 259);
  return ids;
}

/// The engine of a model that is written to a temporary file first.
class Embedding : public testing::Test {
 protected:
  void TearDown() override { std::remove(path_.c_str()); }

  std::unique_ptr<Engine> load(EngineOptions options) {
    options.backend.threads = 2;
    options.embeds = true;
    auto engine = Engine::load(path_, options);
    EXPECT_TRUE(engine) << engine.error().message;
    return engine ? std::move(*engine) : nullptr;
  }
  std::unique_ptr<Engine> encoder(EngineOptions options = {}) {
    test::write_recipe_model(path_, test::read_recipe("bert"));
    return load(options);
  }
  std::unique_ptr<Engine> decoder(EngineOptions options = {}) {
    test::write_random_model(path_, {.dtype = DType::kQ8_0, .vocab_size = 259});
    options.context = 256;
    return load(options);
  }

  std::string path_ = test::temporary_path("embedding.gguf");
};

void expect_near(const std::vector<float>& got, const std::vector<float>& expected, float bound) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], bound) << i;
}

double length(const std::vector<float>& v) {
  double squares = 0;
  for (float x : v) squares += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(squares);
}

TEST_F(Embedding, EncodersPoolAsTransformersDoes) {
  const test::RecipeModel recipe = test::read_recipe("bert");
  const auto engine = encoder({.kv_type = DType::kF32});
  ASSERT_NE(engine, nullptr);
  const std::vector<TokenId> ids = recipe.prompt();
  const auto embed = [&](Pooling pooling) {
    auto v = engine->embed(ids, {.pooling = pooling, .normalize = false});
    EXPECT_TRUE(v) << v.error().message;
    return *v;
  };
  expect_near(embed(Pooling::kMean), recipe.json["mean"], 2e-5F);
  expect_near(embed(Pooling::kCls), recipe.json["first"], 2e-5F);
  const std::vector<float> last(recipe.output.end() - engine->config().hidden_size,
                                recipe.output.end());
  expect_near(embed(Pooling::kLast), last, 2e-5F);

  // The file says mean; a length of 1 is the default.
  const auto normalized = engine->embed(ids);
  ASSERT_TRUE(normalized) << normalized.error().message;
  EXPECT_NEAR(length(*normalized), 1.0, 1e-6);
  std::vector<float> mean = recipe.json["mean"];
  const double scale = length(mean);
  for (float& v : mean) v = static_cast<float>(static_cast<double>(v) / scale);
  expect_near(*normalized, mean, 1e-5F);
}

/// Every text has the same bits alone and among others, whatever fits into a batch.
void expect_invariant(Engine& engine, Engine& other, const EmbedOptions& options) {
  std::vector<std::vector<TokenId>> texts;
  for (std::size_t length : {40, 1, 130, 7, 200, 200, 64, 3, 150, 17, 90, 16})
    texts.push_back(random_ids(length, static_cast<unsigned>(texts.size())));
  const auto together = engine.embed(texts, options);
  ASSERT_TRUE(together) << together.error().message;
  ASSERT_EQ(together->size(), texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto alone = other.embed(texts[i], options);
    ASSERT_TRUE(alone) << alone.error().message;
    ASSERT_EQ(alone->size(), static_cast<std::size_t>(engine.config().hidden_size));
    EXPECT_EQ(0, std::memcmp(alone->data(), (*together)[i].data(), alone->size() * sizeof(float)))
        << "text " << i;
    for (float v : *alone) ASSERT_TRUE(std::isfinite(v));
  }
}

TEST_F(Embedding, CompanyAndChunksChangeNothing) {
  const auto bert = encoder({.max_sequences = 4});
  ASSERT_NE(bert, nullptr);
  for (Pooling pooling : {Pooling::kMean, Pooling::kCls, Pooling::kLast})
    expect_invariant(*bert, *bert, {.pooling = pooling});
  const auto llama = decoder({.batch_tokens = 100, .max_sequences = 4});
  const auto small_steps = decoder({.batch_tokens = 7});
  ASSERT_TRUE(llama && small_steps);
  for (Pooling pooling : {Pooling::kMean, Pooling::kCls, Pooling::kLast})
    expect_invariant(*llama, *small_steps, {.pooling = pooling});
}

TEST_F(Embedding, TextGoesThroughTheTokenizer) {
  const auto llama = decoder();
  ASSERT_NE(llama, nullptr);
  const auto text = llama->embed(std::string_view("hello"));
  const auto ids = llama->embed(llama->tokenizer().encode("hello"));
  ASSERT_TRUE(text && ids);
  EXPECT_EQ(*text, *ids);
  EXPECT_EQ(llama->pooling({}), Pooling::kMean);
}

TEST_F(Embedding, WhatCannotBeEmbeddedIsASentence) {
  const auto bert = encoder();
  ASSERT_NE(bert, nullptr);
  const auto error = [&](const std::vector<TokenId>& ids) {
    const auto v = bert->embed(ids);
    return v ? "" : v.error().message;
  };
  EXPECT_EQ(error({}), "a text of 0 tokens cannot be embedded: expected 1 to 512 (the context)");
  EXPECT_EQ(error(random_ids(513, 1)),
            "a text of 513 tokens cannot be embedded: expected 1 to 512 (the context)");
  EXPECT_EQ(error({5, 259}), "the text holds token id 259, expected 0 to 258");

  const auto submitted = bert->submit({5, 6}, {});
  ASSERT_FALSE(submitted);
  EXPECT_EQ(submitted.error().message, "a 'bert' model writes no text: expected embed()");
  auto text_model = Engine::load(path_, {});
  ASSERT_FALSE(text_model);
  EXPECT_NE(text_model.error().message.find("ridgeline embed"), std::string::npos);
  auto beyond = Engine::load(path_, {.context = 513, .embeds = true});
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().message,
            path_ +
                ": a context of 513 tokens: the model knows 512 positions, which are learned "
                "and not computed");
}

// In chunks beside a text that is being written, and for both what they are alone.
TEST_F(Embedding, RunsBesideGeneration) {
  const auto llama = decoder();
  ASSERT_NE(llama, nullptr);
  const auto alone = llama->embed(random_ids(90, 1));
  ASSERT_TRUE(alone) << alone.error().message;
  SamplingParams params;
  params.ignore_eos = true;
  params.max_tokens = 20;
  std::vector<TokenId> text, beside;
  ASSERT_TRUE(llama->generate(random_ids(20, 2), params,
                              [&](const TokenEvent& e) { text.push_back(*e.token); }));

  const auto id = llama->submit(random_ids(20, 2), params);
  ASSERT_TRUE(id);
  llama->step();
  Request request;
  request.prompt = random_ids(90, 1);
  request.embed.emplace();
  ASSERT_TRUE(llama->submit(request));
  std::vector<float> embedding;
  beside.push_back(text.front());
  while (!llama->idle())
    for (TokenEvent& e : llama->step())
      if (e.request == *id)
        beside.push_back(*e.token);
      else
        embedding = std::move(e.embedding);
  EXPECT_EQ(beside, text);
  EXPECT_EQ(embedding, *alone);
}

}  // namespace
}  // namespace ridgeline
