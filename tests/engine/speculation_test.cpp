// Drafts and the text: the same bits with every weight type and instruction set under the exact
// rule, the same distribution under the rejection rule.

#include "ridgeline/engine/speculation/speculation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "ridgeline/engine/engine.h"
#include "ridgeline/engine/speculation/rejection.h"
#include "ridgeline/kernels/kernel_table.h"
#include "tests/support/planted_drafter.h"
#include "tests/support/random_model.h"

namespace ridgeline {
namespace {

class SpeculationTest : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(path_); }

  std::unique_ptr<Engine> load(EngineOptions options) const {
    options.backend.threads = 2;
    options.backend.pin = false;
    if (options.context == 0) options.context = 128;
    auto engine = Engine::load(path_, options);
    EXPECT_TRUE(engine) << engine.error().message;
    return engine ? std::move(*engine) : nullptr;
  }

  static Request request(std::uint64_t seed, double temperature, int max_tokens) {
    Request r;
    for (TokenId id = 0; id < 21; ++id) r.prompt.push_back(3 + id * 7 % 60);
    r.params.max_tokens = max_tokens;
    r.params.ignore_eos = true;
    r.params.temperature = temperature;
    r.params.seed = seed;
    return r;
  }
  static std::vector<TokenId> text(Engine& engine, const Request& r) {
    std::vector<TokenId> ids;
    EXPECT_TRUE(engine.submit(r));
    while (!engine.idle())
      for (const TokenEvent& e : engine.step())
        if (e.token) ids.push_back(*e.token);
    return ids;
  }

  std::string path_ = test::temporary_path("speculation.gguf");
};

class SpeculationIsa : public SpeculationTest, public testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    if (find_kernels(GetParam()) == nullptr) GTEST_SKIP() << "this CPU lacks " << GetParam();
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    if (GetParam() != available_kernels().front()->name)
      GTEST_SKIP() << "one instruction set is enough under a sanitizer";
#endif
  }

  /// Greedy and sampled text with drafts of which some are right, beside the text without.
  void expect_same_text(EngineOptions options) {
    options.backend.isa = GetParam();
    auto plain = load(options);
    ASSERT_NE(plain, nullptr);
    auto drafter = std::make_shared<test::PlantedDrafter>(0.75);
    options.speculation.more = {drafter};
    options.speculation.fixed_length = 6;
    auto checked = load(options);
    ASSERT_NE(checked, nullptr);
    for (const double temperature : {0.0, 1.0}) {
      Request r = request(7, temperature, 24);
      if (temperature > 0) r.params.repetition_penalty = 1.1;
      const std::vector<TokenId> expected = text(*plain, r);
      EXPECT_EQ(expected.size(), 24u);
      drafter->teach(r.prompt, 7, 0, expected);
      EXPECT_EQ(text(*checked, r), expected) << "temperature " << temperature;
    }
    const SpeculationCounts counts = checked->stats().speculation.all;
    EXPECT_GT(counts.accepted, 8u);
    EXPECT_LT(counts.accepted, counts.drafted);
    EXPECT_EQ(counts.tokens, counts.checks + counts.accepted);
  }
};

TEST_P(SpeculationIsa, EveryWeightType) {
  for (const DTypeInfo& type : all_dtypes()) {
    if (!is_gguf_type(type.dtype)) continue;
    SCOPED_TRACE(type.name);
    test::write_random_model(path_, {.dtype = type.dtype, .layers = 1, .ffn_size = 256});
    expect_same_text({});
  }
}

/// A folder that GPTQModel packed, with a tokenizer of one letter for each token.
void copy_packed4_folder(const std::string& name, const std::string& to) {
  namespace fs = std::filesystem;
  const fs::path from = fs::path(RIDGELINE_SOURCE_DIR "/tests/data/oracles/packed4") / name;
  fs::create_directories(to);
  for (const char* file : {"config.json", "model.safetensors"})
    fs::copy_file(from / file, fs::path(to) / file, fs::copy_options::overwrite_existing);
  nlohmann::json letters;
  for (int id = 0; id < 64; ++id) letters[std::string(1, static_cast<char>('0' + id))] = id;
  const nlohmann::json tokenizer{
      {"model", {{"type", "BPE"}, {"vocab", letters}, {"merges", nlohmann::json::array()}}},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
      {"decoder", {{"type", "ByteLevel"}}}};
  std::ofstream(fs::path(to) / "tokenizer.json") << tokenizer;
}

TEST_P(SpeculationIsa, EveryInt4Type) {
  path_ = test::temporary_path("speculation-int4");
  for (const char* folder : {"gptq-act-order", "gptq-column", "awq-128"}) {  // 32, 64, 128
    SCOPED_TRACE(folder);
    copy_packed4_folder(folder, path_);
    expect_same_text({.context = 64});
  }
}

TEST_P(SpeculationIsa, EveryKvType) {
  for (const DType kv : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    SCOPED_TRACE(name(kv));
    test::write_random_model(path_, {.dtype = DType::kQ4_0, .tied = true});
    expect_same_text({.kv_type = kv});
  }
}

TEST_P(SpeculationIsa, Int8AndExperts) {
  test::write_random_model(path_, {.dtype = DType::kF16, .outliers = 20});
  EngineOptions options;
  options.backend.activations = ActivationPrecision::kLlmInt8;
  expect_same_text(options);
  test::write_random_model(
      path_, {.architecture = "qwen3moe", .dtype = DType::kQ8_0, .ffn_size = 256, .experts = 9});
  expect_same_text({});
}

std::vector<std::string> isa_names() {
  std::vector<std::string> names;
  for (std::string_view name : built_isas()) names.emplace_back(name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(Isa, SpeculationIsa, testing::ValuesIn(isa_names()),
                         [](const auto& parameter) { return parameter.param; });

// What a request says of its drafts, and that a request may do without.
TEST_F(SpeculationTest, RequestsAreCounted) {
  test::write_random_model(path_, {.dtype = DType::kQ8_0});
  auto plain = load({});
  auto drafter = std::make_shared<test::PlantedDrafter>(1.0);
  EngineOptions drafts;
  drafts.speculation.fixed_length = 5;
  drafts.speculation.more = {drafter};
  auto engine = load(drafts);
  Request r = request(1, 0, 24);
  drafter->teach(r.prompt, 1, 0, text(*plain, r));
  const auto counts = [&] {
    SpeculationCounts of;
    EXPECT_TRUE(engine->submit(r));
    while (!engine->idle())
      for (const TokenEvent& e : engine->step())
        if (e.summary) of = e.summary->speculation;
    return of;
  };
  const SpeculationCounts with = counts();
  // The first token comes with the prompt; then five drafts and one more each time, to the end.
  EXPECT_EQ(with.checks, 4u);
  EXPECT_EQ(with.tokens, 23u);
  EXPECT_EQ(with.accepted, 19u);
  EXPECT_EQ(with.drafted, 19u);
  EXPECT_DOUBLE_EQ(with.tokens_per_check(), 23.0 / 4);
  EXPECT_EQ(drafter->finished, 1);
  EXPECT_EQ(engine->stats().speculation.accepted_at[0], 4u);
  EXPECT_EQ(engine->stats().speculation.accepted_at[5], 0u);
  r.speculate = false;
  EXPECT_EQ(counts().checks, 0u);
  r.speculate = true;
  engine->set_speculation(false);
  EXPECT_EQ(counts().drafted, 0u);
  EXPECT_FALSE(engine->stats().speculation.allowed);
}

// --- the rejection rule ---------------------------------------------------------------

/// Chi-squared of counts against probabilities, cells of fewer than five expected put together,
/// and the value that it exceeds once in about a million times (Wilson and Hilferty 1931).
void expect_distribution(const std::vector<double>& counts, const std::vector<double>& expected) {
  double chi_squared = 0, few = 0, few_expected = 0;
  int cells = 0;
  const auto add = [&](double count, double mean) {
    chi_squared += (count - mean) * (count - mean) / mean;
    ++cells;
  };
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (expected[i] >= 5) {
      add(counts[i], expected[i]);
    } else {
      few += counts[i];
      few_expected += expected[i];
    }
  }
  if (few_expected >= 5) add(few, few_expected);
  ASSERT_GT(cells, 1);
  const double freedom = cells - 1, part = 2 / (9 * freedom);
  const double limit = freedom * std::pow(1 - part + 4.75 * std::sqrt(part), 3);
  EXPECT_LT(chi_squared, limit) << cells << " cells";
}

TEST(SpeculativeDraw, HasTheModelsDistribution) {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> uniform;
  constexpr int kTokens = 7, kDraws = 40'000;
  for (int round = 0; round < 12; ++round) {
    SCOPED_TRACE(round);
    // The draft's is certain, nearly the model's, anything, or without tokens that the model has.
    std::vector<TokenProbability> model, draft;
    double model_sum = 0, draft_sum = 0;
    for (TokenId t = 0; t < kTokens; ++t) {
      const double p = std::exp(3 * uniform(random));
      const double q = round % 4 == 1 ? p * (0.8 + 0.4 * uniform(random)) : uniform(random);
      if (round % 4 != 3 || t % 2 == 0) model.push_back({t, static_cast<float>(p)}), model_sum += p;
      if (round % 4 != 2 || t % 3 > 0) draft.push_back({t, static_cast<float>(q)}), draft_sum += q;
    }
    for (TokenProbability& t : model) t.probability /= static_cast<float>(model_sum);
    for (TokenProbability& t : draft) t.probability /= static_cast<float>(draft_sum);
    double overlap = 0;
    std::vector<double> counts(kTokens), expected(kTokens);
    int accepted = 0;
    for (int i = 0; i < kDraws; ++i) {
      TokenId drafted = draft.back().token;
      double rest = uniform(random);
      for (const TokenProbability& t : draft)
        if ((rest -= static_cast<double>(t.probability)) < 0) {
          drafted = t.token;
          break;
        }
      const bool certain = round % 4 == 0;
      const TokenId token =
          speculative_draw(model, drafted, certain ? std::span<TokenProbability>() : draft,
                           uniform(random), uniform(random));
      ++counts[static_cast<std::size_t>(token)];
      accepted += token == drafted;
    }
    for (const TokenProbability& t : model) {
      expected[static_cast<std::size_t>(t.token)] = kDraws * static_cast<double>(t.probability);
      for (const TokenProbability& u : draft)
        if (u.token == t.token)
          overlap += static_cast<double>(std::min(t.probability, u.probability));
    }
    expect_distribution(counts, expected);
    // Section 3.2: the sum of the lesser probabilities.
    if (round % 4 != 0) {
      EXPECT_NEAR(accepted / double{kDraws}, overlap, 0.02);
    }
  }
}

/// Draws from its own idea of what comes next, among a few tokens.
class VagueDrafter : public Drafter {
 public:
  std::string_view name() const override { return "vague"; }
  void draft(std::span<const DraftRequest> requests) override {
    for (const DraftRequest& r : requests)
      for (int i = 0; i < std::min(r.most, 3); ++i) {
        std::vector<TokenProbability> from;
        for (const TokenId t : allowed)
          from.push_back({t, 1.0F / static_cast<float>(allowed.size())});
        r.draft->tokens.push_back({from[random_() % from.size()].token, 0});
        r.draft->distributions.push_back(std::move(from));
      }
  }
  void finish(const DraftRequest&) override {}
  std::size_t bytes() const override { return 0; }

  std::vector<TokenId> allowed;  ///< ascending

 private:
  std::mt19937 random_{5};
};

// Texts of three tokens out of four each, by the rejection rule and without drafts: two samples
// of one distribution.
TEST_F(SpeculationTest, RejectionKeepsTheDistributionOfTexts) {
  test::write_random_model(path_, {.dtype = DType::kQ8_0, .layers = 1, .ffn_size = 256});
  const std::vector<TokenId> allowed{60, 80, 100, 120};
  const auto sample = [&](EngineOptions options) {
    options.max_sequences = 16;
    auto engine = load(options);
    std::map<RequestId, std::size_t> cell;
    std::vector<double> counts(64);
    constexpr int kTexts = 4000;
    for (int i = 0; i < kTexts; ++i) {
      Request r = request(static_cast<std::uint64_t>(i), 0.7, 3);
      r.prompt.resize(3);
      for (TokenId t : allowed) r.params.logit_bias.push_back({t, 30});
      EXPECT_TRUE(engine->submit(r));
    }
    std::map<RequestId, std::size_t> so_far;
    while (!engine->idle())
      for (const TokenEvent& e : engine->step()) {
        const auto which = std::ranges::find(allowed, *e.token) - allowed.begin();
        so_far[e.request] = so_far[e.request] * 4 + static_cast<std::size_t>(which);
        if (e.finished) ++counts[so_far[e.request]];
      }
    EXPECT_EQ(engine->stats().speculation.all.drafted > 1000, options.speculation.any());
    return counts;
  };
  auto drafter = std::make_shared<VagueDrafter>();
  drafter->allowed = allowed;
  const std::vector<double> plain = sample({});
  EngineOptions drafts;
  drafts.speculation.rule = AcceptanceRule::kRejection;
  drafts.speculation.fixed_length = 3;
  drafts.speculation.more = {drafter};
  const std::vector<double> checked = sample(drafts);
  // Of two samples: each against the mean of both, at half of the deviation.
  std::vector<double> mean(64);
  for (std::size_t i = 0; i < 64; ++i) mean[i] = (plain[i] + checked[i]) / 2;
  std::vector<double> far(64);
  for (std::size_t i = 0; i < 64; ++i)
    far[i] = mean[i] + (checked[i] - plain[i]) / 2 * std::sqrt(2.0);
  expect_distribution(far, mean);
}

TEST_F(SpeculationTest, AScriptIsFollowed) {
  test::write_random_model(path_, {.dtype = DType::kQ8_0});
  auto engine = load({});
  Request r = request(1, 0, 6);
  const std::vector<TokenId> alone = text(*engine, r);
  r.script = {70, 71, 72};
  const std::vector<TokenId> ids = text(*engine, r);
  EXPECT_EQ(std::vector(ids.begin(), ids.begin() + 3), r.script);
  EXPECT_EQ(ids.size(), 6u);
  // As if the script had been prompt.
  Request behind = r;
  behind.script.clear();
  behind.prompt.insert(behind.prompt.end(), r.script.begin(), r.script.end());
  behind.params.max_tokens = 3;
  EXPECT_EQ(std::vector(ids.begin() + 3, ids.end()), text(*engine, behind));
  r.script = {100000};
  EXPECT_THAT(engine->submit(r).error().message, testing::HasSubstr("the script"));
}

}  // namespace
}  // namespace ridgeline
