// Drafts and the text: the same bits with every weight type and instruction set under the exact
// rule, the same distribution under the rejection rule.

#include "ridgeline/engine/speculation/speculation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "ridgeline/engine/engine.h"
#include "ridgeline/kernels/kernel_table.h"
#include "tests/support/planted_drafter.h"
#include "tests/support/random_model.h"

namespace ridgeline {
namespace {

class SpeculationTest : public testing::Test {
 protected:
  void TearDown() override { std::remove(path_.c_str()); }

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
    for (TokenId id = 0; id < 21; ++id) r.prompt.push_back(40 + id * 5);
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

TEST_P(SpeculationIsa, EveryKvType) {
  for (const DType kv : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    SCOPED_TRACE(name(kv));
    test::write_random_model(path_, {.dtype = DType::kQ4_0, .tied = true});
    expect_same_text({.kv_type = kv});
  }
}

TEST_P(SpeculationIsa, Int8AndExperts) {
  test::write_random_model(path_, {.dtype = DType::kF16, .outliers = 20});
  expect_same_text({.backend = {.activations = ActivationPrecision::kLlmInt8}});
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
  auto engine = load({.speculation = {.fixed_length = 5, .more = {drafter}}});
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
