// A draft model that is the target itself drafts what the target says: everything that differs is
// an error of the cache, the positions or the draws.

#include "ridgeline/engine/speculation/draft_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "ridgeline/engine/engine.h"
#include "ridgeline/engine/random.h"
#include "ridgeline/format/gguf.h"
#include "tests/support/random_model.h"
#include "tests/support/recipe_model.h"

namespace ridgeline {
namespace {

using testing::HasSubstr;
using Tokens = std::vector<TokenId>;

Tokens words(int count, unsigned seed) {
  std::mt19937 random(seed);
  Tokens tokens{1};
  while (static_cast<int>(tokens.size()) < count)
    tokens.push_back(static_cast<TokenId>(3 + random() % 250));
  return tokens;
}

SamplingParams greedy() {
  SamplingParams p;
  p.temperature = 0;
  p.ignore_eos = true;
  return p;
}

SamplingParams warm(std::uint64_t seed) {
  SamplingParams p = greedy();
  p.temperature = 0.9;
  p.top_k = 0;
  p.seed = seed;
  p.presence_penalty = 0.3;
  p.frequency_penalty = 0.1;
  p.logit_bias = {{77, 2.0F}};
  return p;
}

class DraftModelTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = test::temporary_path("target.gguf");
    draft_path_ = test::temporary_path("draft.gguf");
    test::write_random_model(path_, {.dtype = DType::kQ8_0});
  }
  void TearDown() override {
    std::remove(path_.c_str());
    std::remove(draft_path_.c_str());
  }

  void load_target() {
    EngineOptions options;
    options.backend.threads = 2;
    options.context = 512;
    options.max_sequences = 4;
    auto engine = Engine::load(path_, options);
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = *std::move(engine);
  }
  Result<std::unique_ptr<DraftModel>> try_load(const std::string& path,
                                               DraftModel::Options options) {
    if (!engine_) load_target();
    options.target_path = path_;
    options.least_probability = 0;  // random models are never sure
    return DraftModel::load(path, engine_->backend(), engine_->tokenizer(),
                            engine_->config().vocab_size, options);
  }
  std::unique_ptr<DraftModel> load(const std::string& path, const DraftModel::Options& options) {
    auto draft = try_load(path, options);
    EXPECT_TRUE(draft) << draft.error().message;
    return draft ? *std::move(draft) : nullptr;
  }

  /// What the target says behind the prompt.
  Tokens say(const Tokens& prompt, SamplingParams params, int count,
             std::shared_ptr<const Grammar> grammar = nullptr, int choice = 0) {
    params.max_tokens = count;
    Request request;
    request.prompt = prompt;
    request.params = params;
    request.grammar = std::move(grammar);
    request.choices = choice + 1;
    EXPECT_TRUE(engine_->submit(request));
    Tokens said;
    while (!engine_->idle())
      for (const TokenEvent& e : engine_->step())
        if (e.token && e.choice == choice) said.push_back(*e.token);
    return said;
  }

  /// One sequence that follows a text.
  struct Text {
    std::uint64_t id;
    Tokens prompt, output;
    SamplingParams params;
    std::size_t said = 0;
    std::uint32_t choice = 0;
    bool shared = true;
    const GrammarMatcher* grammar = nullptr;
    Tokens tokens{};
    Draft draft{};

    DraftRequest request(int most) {
      tokens = prompt;
      tokens.insert(tokens.end(), output.begin(),
                    output.begin() + static_cast<std::ptrdiff_t>(said));
      draft.clear();
      return {.sequence = id,
              .tokens = tokens,
              .prompt_tokens = static_cast<std::int64_t>(prompt.size()),
              .prediction = {},
              .params = &params,
              .choice = choice,
              .grammar = grammar,
              .shared = shared,
              .most = most,
              .draft = &draft};
    }
    Tokens drafted() const {
      Tokens ids;
      for (const DraftToken& t : draft.tokens) ids.push_back(t.token);
      return ids;
    }
    Tokens next(std::size_t count) const {
      const auto begin = output.begin() + static_cast<std::ptrdiff_t>(said);
      return {begin, begin + static_cast<std::ptrdiff_t>(std::min(count, output.size() - said))};
    }
  };
  Text text(std::uint64_t id, int prompt, SamplingParams params, int count = 60) {
    const Tokens first = words(prompt, static_cast<unsigned>(id));
    return {.id = id, .prompt = first, .output = say(first, params, count), .params = params};
  }
  static Tokens draft_one(DraftModel& model, Text& t, int most) {
    const DraftRequest request = t.request(most);
    model.draft(std::span(&request, 1));
    return t.drafted();
  }

  /// Texts that advance by what of their drafts somebody accepts, several in a call.
  void follow(DraftModel& model, std::vector<Text> texts, int turns, int drafts_at_least) {
    std::mt19937 random(4);
    int drafts = 0;
    for (int turn = 0; turn < turns; ++turn) {
      std::vector<DraftRequest> requests;
      std::vector<Text*> asked;
      for (Text& t : texts) {
        if (random() % 3 == 0 || t.said + 8 > t.output.size()) continue;
        requests.push_back(t.request(1 + static_cast<int>(random() % 6)));
        asked.push_back(&t);
      }
      model.draft(requests);
      for (std::size_t i = 0; i < asked.size(); ++i) {
        const Tokens drafted = asked[i]->drafted();
        if (!drafted.empty()) {
          EXPECT_EQ(drafted, asked[i]->next(static_cast<std::size_t>(requests[i].most)));
          ++drafts;
        }
        asked[i]->said += random() % 4;  // of some drafts a part, of others more
      }
    }
    EXPECT_GE(drafts, drafts_at_least);
    for (Text& t : texts) model.finish(t.request(1));
    EXPECT_TRUE(model.kv_pools().unused());
  }

  std::string path_, draft_path_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(DraftModelTest, TheSameModelDraftsTheGreedyText) {
  auto draft = load(path_, {});
  Text t = text(1, 20, greedy());
  for (const int step : {0, 1, 5, 3, 4, 2, 0, 9, 16, 1}) {
    t.said += static_cast<std::size_t>(step);
    EXPECT_EQ(draft_one(*draft, t, 4), t.next(4)) << "behind " << t.said << " tokens";
  }
}

// The text goes on otherwise than drafted: the rest is rolled back, within a block and over
// several.
TEST_F(DraftModelTest, GoesOnFromWhatWasSaidInsteadOfTheDraft) {
  auto draft = load(path_, {});
  Text t = text(1, 29, greedy());
  std::mt19937 random(2);
  for (int round = 0; round < 12; ++round) {
    t.output = say(t.prompt, greedy(), 40);
    t.said = 0;
    EXPECT_EQ(draft_one(*draft, t, round % 2 == 0 ? 3 : 40), t.next(round % 2 == 0 ? 3 : 40));
    // Some of the draft, and another token than the next.
    const auto accepted = static_cast<std::ptrdiff_t>(random() % 3);
    t.prompt.insert(t.prompt.end(), t.output.begin(), t.output.begin() + accepted);
    t.prompt.push_back((t.output[static_cast<std::size_t>(accepted)] + 7) % 250 + 3);
  }
}

TEST_F(DraftModelTest, AskedAgainItSaysTheSame) {
  auto draft = load(path_, {});
  for (const int prompt : {1, 2, 16, 17, 33}) {
    Text t = text(static_cast<std::uint64_t>(prompt), prompt, greedy(), 10);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(draft_one(*draft, t, 5), t.next(5));
  }
}

TEST_F(DraftModelTest, DraftsForManyAtOnce) {
  auto draft = load(path_, {.max_sequences = 4});
  std::vector<Text> texts;
  for (std::uint64_t id = 1; id <= 4; ++id)
    texts.push_back(text(id, static_cast<int>(10 * id), id % 2 == 0 ? warm(id) : greedy()));
  follow(*draft, texts, 60, 80);
}

// A pool of 8 blocks for 4 sequences of up to 7.
TEST_F(DraftModelTest, ACacheThatIsTooSmallIsSharedInTurn) {
  auto draft = load(path_, {.max_sequences = 4,
                            .batch_tokens = 64,
                            .context = 128,
                            .kv_memory_bytes = std::uint64_t{8} * 16 * 2 * 2 * 128 * 2});
  ASSERT_EQ(draft->kv_pools().pool(0).capacity(), 8);
  std::vector<Text> texts;
  for (std::uint64_t id = 1; id <= 4; ++id) {
    texts.push_back(text(id, static_cast<int>(10 * id), greedy()));
    texts.back().shared = id % 2 == 0;
  }
  follow(*draft, texts, 80, 40);
}

// Layers with a window give blocks back behind it.
TEST_F(DraftModelTest, WindowsToo) {
  for (const char* name : {"gemma3", "mistral-window"}) {
    SCOPED_TRACE(name);
    test::write_recipe_model(path_, test::read_recipe(name));
    engine_.reset();
    auto draft = load(path_, {.max_sequences = 3, .batch_tokens = 24, .context = 200});
    std::vector<Text> texts;
    for (std::uint64_t id = 1; id <= 3; ++id)
      texts.push_back(text(id, static_cast<int>(20 * id), greedy()));
    follow(*draft, texts, 60, 50);
  }
}

TEST_F(DraftModelTest, ALongPromptIsCaughtUpWithInChunks) {
  auto draft = load(path_, {.max_sequences = 3, .batch_tokens = 32});
  Text lengthy = text(1, 100, greedy()), brief = text(2, 5, greedy());
  for (const std::int64_t missing : {100, 100 - 27, 100 - 27 - 31, 100 - 27 - 2 * 31}) {
    const DraftRequest requests[] = {lengthy.request(3), brief.request(3)};
    EXPECT_EQ(draft->missing(requests[0]), missing);
    EXPECT_GT(draft->seconds(requests), 0);
    draft->draft(requests);
    EXPECT_EQ(brief.drafted(), brief.next(3));  // it does not wait for the other
    if (missing > 31)
      EXPECT_TRUE(lengthy.drafted().empty());
    else
      EXPECT_EQ(lengthy.drafted(), lengthy.next(3));
  }
}

TEST_F(DraftModelTest, WhatOthersComputedIsFound) {
  auto draft = load(path_, {.batch_tokens = 64});
  Text first = text(1, 50, greedy());
  EXPECT_EQ(draft_one(*draft, first, 3), first.next(3));
  draft->finish(first.request(1));
  Text second = first;
  second.id = 2;
  second.said = 20;
  const DraftRequest request = second.request(3);
  draft->draft(std::span(&request, 1));
  EXPECT_EQ(second.drafted(), second.next(3));
  Text third = second;
  third.id = 3;
  third.shared = false;
  EXPECT_TRUE(draft_one(*draft, third, 3).empty());  // 70 tokens, 64 rows
  EXPECT_EQ(draft_one(*draft, third, 3), third.next(3));
}

// The same model, seed, position and choice: the same draw.
TEST_F(DraftModelTest, DrawsWithTheTargetsRandomNumbers) {
  auto draft = load(path_, {});
  for (const std::uint64_t seed : {1, 2, 3}) {
    Text t = text(seed, 12, warm(seed), 30);
    for (int i = 0; i < 4; ++i, t.said += 7) EXPECT_EQ(draft_one(*draft, t, 5), t.next(5));
  }
  Text t = text(9, 12, warm(9), 20);
  const Tokens first = t.output;
  t.output = say(t.prompt, t.params, 20, nullptr, 2);
  t.choice = 2;
  EXPECT_NE(t.output, first);
  EXPECT_EQ(draft_one(*draft, t, 8), t.next(8));
}

// Draws of their own are those of the distributions that come with them.
TEST_F(DraftModelTest, DistributionsForTheRejectionRule) {
  auto draft = load(path_, {.rule = AcceptanceRule::kRejection});
  Text t = text(4, 12, warm(4), 30);
  t.said = 3;
  const Tokens drafted = draft_one(*draft, t, 6);
  ASSERT_EQ(drafted.size(), 6U);
  ASSERT_EQ(t.draft.distributions.size(), 6U);
  EXPECT_NE(drafted, t.next(6));
  for (std::size_t i = 0; i < 6; ++i) {
    const std::vector<TokenProbability>& q = t.draft.distributions[i];
    const double total = std::accumulate(q.begin(), q.end(), 0.0, [](double sum, auto p) {
      return sum + static_cast<double>(p.probability);
    });
    EXPECT_NEAR(total, 1, 1e-4);
    EXPECT_EQ(drafted[i], draw(q, random_uniform(4, 3 + i, 0, RandomUse::kDraft)));
  }
  // Of a greedy request each is one token.
  Text certain = text(5, 12, greedy(), 30);
  EXPECT_EQ(draft_one(*draft, certain, 6), certain.next(6));
  ASSERT_EQ(certain.draft.distributions.size(), 6U);
  EXPECT_EQ(certain.draft.distributions[2].size(), 1U);
}

TEST_F(DraftModelTest, EndsBeforeWhatItDoesNotBelieve) {
  load_target();
  DraftModel::Options options;
  options.least_probability = 1.1F;
  auto never = DraftModel::load(path_, engine_->backend(), engine_->tokenizer(), 300, options);
  ASSERT_TRUE(never);
  Text t = text(1, 12, greedy(), 20);
  EXPECT_TRUE(draft_one(**never, t, 6).empty());
  // Classes rise with the probability: a bias makes sure.
  auto draft = load(path_, {});
  t.params.logit_bias = {{40, 9.0F}};
  t.output = say(t.prompt, t.params, 20);
  EXPECT_EQ(draft_one(*draft, t, 6), t.next(6));
  const int doubtful = t.draft.tokens[0].confidence;
  t.params.logit_bias = {{40, 100.0F}};
  EXPECT_EQ(draft_one(*draft, t, 6), Tokens(6, 40));
  EXPECT_EQ(t.draft.tokens[0].confidence, kConfidenceClasses - 1);
  EXPECT_LT(doubtful, kConfidenceClasses);
}

/// The model at `path` with token order[i] as token i.
void shuffle_tokens(const std::string& path, const std::string& to,
                    const std::vector<std::size_t>& order) {
  const auto file = open_gguf(path);
  ASSERT_TRUE(file);
  std::map<std::string, GgufValue, std::less<>> metadata = file->metadata();
  const auto texts = **file->strings("tokenizer.ggml.tokens");
  const auto types = **file->integers("tokenizer.ggml.token_type");
  std::vector<std::string_view> new_texts;
  std::vector<std::int32_t> new_types;
  for (const std::size_t id : order) {
    new_texts.push_back(texts[id]);
    new_types.push_back(static_cast<std::int32_t>(types[id]));
  }
  metadata["tokenizer.ggml.tokens"] = GgufValue::of(new_texts);
  metadata["tokenizer.ggml.token_type"] = GgufValue::of(new_types);
  for (const char* name : {"bos", "eos", "unknown"}) {
    const std::string key = std::string("tokenizer.ggml.") + name + "_token_id";
    const auto old = static_cast<std::size_t>(**file->integer(key));
    metadata[key] =
        GgufValue::of(static_cast<std::uint32_t>(std::ranges::find(order, old) - order.begin()));
  }
  std::vector<std::vector<std::byte>> storage;
  std::vector<TensorView> tensors(file->tensors().begin(), file->tensors().end());
  for (TensorView& tensor : tensors) {
    if (tensor.name != "token_embd.weight" && tensor.name != "output.weight") continue;
    std::vector<std::byte>& bytes = storage.emplace_back(tensor.bytes);
    const std::size_t row = tensor.bytes / order.size();
    for (std::size_t i = 0; i < order.size(); ++i)
      std::memcpy(bytes.data() + i * row, tensor.data + order[i] * row, row);
    tensor.data = bytes.data();
  }
  ASSERT_TRUE(write_gguf(to, {metadata.begin(), metadata.end()}, tensors));
}

TEST_F(DraftModelTest, AVocabularyUnderOtherIds) {
  std::vector<std::size_t> order(300);
  std::iota(order.begin(), order.end(), 0U);
  std::mt19937 random(8);
  std::ranges::shuffle(order, random);
  shuffle_tokens(path_, draft_path_, order);
  auto draft = load(draft_path_, {.max_sequences = 4});
  EXPECT_FALSE(draft->vocabulary().is_identity());
  std::vector<Text> texts;
  for (std::uint64_t id = 1; id <= 4; ++id)
    texts.push_back(text(id, static_cast<int>(10 * id), id % 2 == 0 ? warm(id) : greedy()));
  follow(*draft, texts, 40, 40);
}

TEST_F(DraftModelTest, TokensThatOnlyTheTargetHas) {
  test::write_random_model(draft_path_, {.dtype = DType::kQ8_0, .vocab_size = 298});
  auto draft = load(draft_path_, {});
  EXPECT_EQ(draft->vocabulary().missing(), 2);
  Text t = text(1, 30, greedy());
  t.prompt[10] = 299;
  t.output = say(t.prompt, greedy(), 20);
  const Tokens drafted = draft_one(*draft, t, 8);
  EXPECT_EQ(drafted.size(), 8U);
  for (const TokenId id : drafted) EXPECT_LT(id, 298);
}

TEST_F(DraftModelTest, RefusesWhatCannotDraft) {
  test::write_random_model(draft_path_, {.vocab_size = 290});
  const auto other = try_load(draft_path_, {});
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr(draft_path_ +
                                               ": its vocabulary of 290 tokens lacks "
                                               "10 of the 297 tokens of " +
                                               path_));
  test::write_recipe_model(draft_path_, test::read_recipe("bert"));
  const auto encoder = try_load(draft_path_, {});
  ASSERT_FALSE(encoder);
  EXPECT_THAT(encoder.error().message, HasSubstr("writes none"));
  const auto missing = try_load("/nonexistent.gguf", {});
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("/nonexistent.gguf"));
  const auto small = try_load(path_, {.kv_memory_bytes = 1000});
  ASSERT_FALSE(small);
  EXPECT_THAT(small.error().message, HasSubstr("hold no sequence"));
}

TEST_F(DraftModelTest, DraftsWhatTheGrammarAllows) {
  auto draft = load(path_, {});
  const auto grammar = Grammar::from_regex("[ab]{3}[0-9]{4,6}(x|y)");
  ASSERT_TRUE(grammar);
  const auto vocabulary = std::make_shared<const GrammarVocabulary>(engine_->tokenizer());
  for (const bool sampled : {false, true}) {
    SamplingParams params = sampled ? warm(3) : greedy();
    params.ignore_eos = false;
    const Tokens prompt = words(12, 3);
    Text t{.id = sampled ? 2U : 1U,
           .prompt = prompt,
           .output = say(prompt, params, 20, *grammar),
           .params = params};
    ASSERT_GE(t.output.size(), 8U);
    GrammarMatcher matcher(*grammar, vocabulary);
    t.grammar = &matcher;
    EXPECT_EQ(draft_one(*draft, t, 20), t.output);  // and ends where the text must
    ASSERT_TRUE(matcher.accept(t.output[0]) && matcher.accept(t.output[1]));
    t.said = 2;
    EXPECT_EQ(draft_one(*draft, t, 3), t.next(3));
    for (std::size_t i = 2; i < t.output.size(); ++i) ASSERT_TRUE(matcher.accept(t.output[i]));
    t.said = t.output.size();
    EXPECT_TRUE(draft_one(*draft, t, 3).empty());
  }
}

TEST_F(DraftModelTest, AnEndOfTheTextEndsTheDraft) {
  auto draft = load(path_, {});
  Text t = text(1, 12, greedy(), 20);
  t.params.stop_token_ids = {t.output[2]};
  EXPECT_EQ(draft_one(*draft, t, 10), t.next(3));
  t.params.stop_token_ids.clear();
  t.params.ignore_eos = false;
  t.params.logit_bias = {{2, std::numeric_limits<float>::infinity()}};
  EXPECT_EQ(draft_one(*draft, t, 10), Tokens{2});
}

TEST_F(DraftModelTest, NothingBehindItsContext) {
  test::write_random_model(draft_path_, {.dtype = DType::kQ8_0, .context = 64});
  auto draft = load(draft_path_, {});
  EXPECT_EQ(draft->context(), 64);
  Text t = text(1, 60, greedy());
  EXPECT_EQ(draft_one(*draft, t, 10), t.next(5));
  t.said = 4;
  EXPECT_EQ(draft_one(*draft, t, 10), t.next(1));
  t.said = 5;
  EXPECT_TRUE(draft_one(*draft, t, 10).empty());
  t.said = 30;
  EXPECT_TRUE(draft_one(*draft, t, 10).empty());
}

TEST_F(DraftModelTest, NanLogitsEndTheDraft) {
  test::write_random_model(
      draft_path_, {.dtype = DType::kF32, .planted = std::numeric_limits<float>::quiet_NaN()});
  auto draft = load(draft_path_, {});
  Text t = text(1, 12, greedy(), 20), sampled = text(2, 12, warm(1), 20);
  EXPECT_TRUE(draft_one(*draft, t, 4).empty());
  EXPECT_TRUE(draft_one(*draft, sampled, 4).empty());
}

// Two models take turns on one backend, whose workspace then fits both.
TEST_F(DraftModelTest, TheTargetSaysWhatItSaidWithoutIt) {
  load_target();
  const Tokens prompt = words(40, 1);
  const Tokens alone = say(prompt, greedy(), 20);
  test::write_random_model(draft_path_, {.architecture = "qwen3moe",
                                         .dtype = DType::kQ4_0,
                                         .hidden_size = 512,
                                         .num_heads = 8,
                                         .num_kv_heads = 1,
                                         .head_dim = 128,
                                         .experts = 4,
                                         .vocab_size = 300});
  auto draft = load(draft_path_, {});
  Text t{.id = 1, .prompt = prompt, .output = alone, .params = greedy()};
  EXPECT_EQ(draft_one(*draft, t, 4).size(), 4U);
  EXPECT_EQ(say(prompt, greedy(), 20), alone);
  EXPECT_EQ(draft_one(*draft, t, 4).size(), 4U);
  EXPECT_GT(draft->bytes(), draft->config().layers * 100000U);
}

TEST_F(DraftModelTest, SaysWhatItWillTake) {
  auto draft = load(path_, {.max_sequences = 2});
  EXPECT_TRUE(draft->cost().known());
  Text a = text(1, 12, greedy(), 20), b = text(2, 12, greedy(), 20);
  const DraftRequest one[] = {a.request(2)}, more[] = {a.request(8)};
  EXPECT_GT(draft->seconds(one), 0);
  EXPECT_GT(draft->seconds(more), draft->seconds(one));
  EXPECT_GT(draft->seconds_per_token(1), 0);
  EXPECT_GT(draft->seconds_per_token(2), 0);
  EXPECT_EQ(draft->seconds({}), 0);
}

}  // namespace
}  // namespace ridgeline
