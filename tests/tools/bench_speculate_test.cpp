// What drafts are worth, measured on models that are too small to be worth it: here the counts and
// the texts are looked at, not the times.

#include "ridgeline/tools/bench_speculate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "ridgeline/engine/speculation/prompt_lookup.h"
#include "ridgeline/tools/check_cost.h"
#include "ridgeline/tools/speculation_plan.h"
#include "ridgeline/tools/speculation_texts.h"
#include "tests/support/random_model.h"

namespace ridgeline {
namespace {

using testing::HasSubstr;

class BenchSpeculate : public testing::Test {
 protected:
  void SetUp() override {
    test::write_random_model(target_, {.context = 512, .seed = 1});
    test::write_random_model(draft_, {.layers = 1, .context = 512, .seed = 2});
  }
  void TearDown() override {
    std::remove(target_.c_str());
    std::remove(draft_.c_str());
  }
  std::unique_ptr<SpeculationBench> load(const SpeculationPlan& plan, bool with_draft = true) {
    EngineOptions options;
    options.backend.threads = 1;
    options.backend.pin = false;
    if (with_draft) options.speculation.draft_model = draft_;
    auto bench = SpeculationBench::load(target_, options, plan.drafters());
    EXPECT_TRUE(bench) << bench.error().message;
    return bench ? std::move(*bench) : nullptr;
  }
  static SpeculationBenchOptions options(double temperature = 0) {
    SpeculationBenchOptions o;
    o.rounds = 2;
    o.params.temperature = temperature;
    o.params.seed = 7;
    return o;
  }

  const std::string target_ = test::temporary_path("target.gguf"),
                    draft_ = test::temporary_path("draft.gguf");
};

/// Every check gives one token more than it accepts, but the last of a text, which may be cut.
void expect_counts(const SpeculationLine& line, std::size_t tokens) {
  // The first token of a text comes from its prompt.
  EXPECT_EQ(line.counts.tokens, tokens);
  EXPECT_EQ(line.counts.tokens, line.counts.checks + line.counts.accepted);
  EXPECT_LE(line.counts.accepted, line.counts.drafted);
  std::uint64_t drafted = 0, accepted = 0;
  for (std::size_t i = 0; i < line.drafted_at.size(); ++i) {
    drafted += line.drafted_at[i];
    accepted += line.accepted_at[i];
    EXPECT_LE(line.accepted_at[i], line.drafted_at[i]);
  }
  EXPECT_EQ(drafted, line.counts.drafted);
  EXPECT_EQ(accepted, line.counts.accepted);
}

TEST_F(BenchSpeculate, TextsAreThoseOfPlainDecodingWithEveryDrafter) {
  SpeculationPlan plan;
  const auto variants = plan.add_drafters({"lookup", "recent", "model", "all"}, true);
  ASSERT_EQ(plan.drafters().size(), 3u + 3u);
  const auto bench = load(plan);
  ASSERT_TRUE(bench);
  int left_out = -1;
  const auto texts = prompt_texts(
      {{"a", "one two one two one"}, {"b", "abcabcabc"}, {"a", "x y"}}, bench->engine().tokenizer(),
      nullptr, {.category = "", .max_tokens = 24, .context = bench->engine().context()}, left_out);
  ASSERT_TRUE(texts) << texts.error().message;
  EXPECT_EQ(left_out, 0);
  for (const double temperature : {0.0, 0.8}) {
    SpeculationBenchOptions o = options(temperature);
    o.params.ignore_eos = true;
    const auto lines = bench->run(*texts, variants, o);
    ASSERT_TRUE(lines) << lines.error().message;
    ASSERT_EQ(lines->size(), 3u * variants.size());  // a, b, all
    for (std::size_t i = 0; i < lines->size(); ++i) {
      const SpeculationLine& line = (*lines)[i];
      EXPECT_EQ(line.variant, i % variants.size());
      EXPECT_EQ(line.different, 0) << variants[line.variant].name;
      EXPECT_FALSE(line.forced);
      EXPECT_EQ(line.texts, line.category == "all" ? 3 : line.category == "a" ? 2 : 1);
      EXPECT_EQ(line.rates.size(), 2u);
      EXPECT_EQ(line.speedups.size(), 2u);
      expect_counts(line, static_cast<std::size_t>(line.texts) * 2 * 23);
    }
    EXPECT_EQ((*lines)[8].category, "all");
  }
}

TEST_F(BenchSpeculate, PlantedAgreementIsWhatIsMeasured) {
  for (const bool with_draft : {false, true}) {
    SpeculationPlan plan;
    const auto variants = plan.add_planted({0, 0.5, 1}, {1, 4});
    const auto bench = load(plan, with_draft);
    ASSERT_TRUE(bench);
    EXPECT_EQ(bench->draft_seconds_per_token() > 0, with_draft);
    const auto lines =
        bench->run({planted_text(bench->engine().tokenizer(), 241)}, variants, options());
    ASSERT_TRUE(lines) << lines.error().message;
    ASSERT_EQ(lines->size(), 9u);
    for (const SpeculationLine& line : *lines) {
      EXPECT_TRUE(line.forced);
      EXPECT_EQ(line.different, 0);
      expect_counts(line, 2 * 240);
    }
    const auto tokens_per_pass = [&](std::size_t i) {
      return (*lines)[i].counts.tokens_per_check();
    };
    EXPECT_EQ(tokens_per_pass(0), 1.0);
    EXPECT_EQ(tokens_per_pass(1), 1.0);
    EXPECT_NEAR(tokens_per_pass(3), 1.5, 0.12);
    EXPECT_NEAR(tokens_per_pass(4), 1 + 0.5 + 0.25 + 0.125 + 0.0625, 0.25);
    EXPECT_EQ(tokens_per_pass(6), 2.0);
    EXPECT_EQ(tokens_per_pass(7), 5.0);
  }
}

TEST_F(BenchSpeculate, RulesAreComparedOnOneEngine) {
  SpeculationPlan plan;
  const auto variants = plan.add_rules();
  const auto bench = load(plan);
  ASSERT_TRUE(bench);
  SpeculationText text{"a", {1, 70, 71, 72, 70, 71, 72}, {}, 40};
  SpeculationBenchOptions o = options(0.8);
  o.params.ignore_eos = true;
  const auto lines = bench->run({text}, variants, o);
  ASSERT_TRUE(lines) << lines.error().message;
  ASSERT_EQ(lines->size(), 4u);
  EXPECT_EQ((*lines)[0].different, 0);
  EXPECT_EQ((*lines)[2].different, 0);
  for (const SpeculationLine& line : *lines) expect_counts(line, 2 * 39);
}

TEST_F(BenchSpeculate, QuotesAreFoundAndAdversarialTextsAreNot) {
  SpeculationPlan plan;
  std::vector<SpeculationVariant> variants = plan.add_drafters({"lookup"}, false);
  variants[0].fixed_length = 8;  // whatever it costs
  const auto bench = load(plan, false);
  ASSERT_TRUE(bench);
  const std::string text = "the cat sat on the mat\na dog ran off with a red hat\nthe end of it\n";
  const auto quotes =
      bench->run(quoting_texts(bench->engine().tokenizer(), text, 3, 80), variants, options());
  ASSERT_TRUE(quotes) << quotes.error().message;
  EXPECT_EQ(quotes->size(), 3u);  // edit, summary, all
  EXPECT_GT((*quotes)[0].counts.tokens_per_check(), 3.0);
  const auto texts = adversarial_texts(bench->engine().tokenizer(), 120);
  ASSERT_TRUE(texts) << texts.error().message;
  const auto adversarial = bench->run(*texts, variants, options());
  ASSERT_TRUE(adversarial) << adversarial.error().message;
  EXPECT_EQ((*adversarial)[0].category, "misleading");
  EXPECT_GT((*adversarial)[0].counts.drafted, 500u);
  EXPECT_EQ((*adversarial)[0].counts.accepted, 0u);
  EXPECT_EQ((*adversarial)[1].category, "luring");
  EXPECT_GT((*adversarial)[1].counts.accepted, 0u);
}

TEST_F(BenchSpeculate, WhatIsMissingIsOneSentence) {
  SpeculationPlan plan;
  plan.add_rules();
  EngineOptions options;
  options.backend.threads = 1;
  auto bench = SpeculationBench::load(target_, options, plan.drafters());
  ASSERT_FALSE(bench);
  EXPECT_THAT(bench.error().message, HasSubstr("draft model"));
  options.speculation.draft_model = "/nonexistent.gguf";
  bench = SpeculationBench::load(target_, options, plan.drafters());
  ASSERT_FALSE(bench);
  EXPECT_THAT(bench.error().message, HasSubstr("/nonexistent.gguf"));
}

TEST_F(BenchSpeculate, CheckCostsOfEachNumberOfRows) {
  SpeculationPlan plan;
  plan.add_drafters({"lookup"}, false);
  const auto bench = load(plan, false);
  ASSERT_TRUE(bench);
  const auto costs = measure_check_costs(bench->engine(), 40, 5, 2);
  ASSERT_TRUE(costs) << costs.error().message;
  ASSERT_EQ(costs->size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ((*costs)[i].rows, static_cast<std::int64_t>(i) + 1);
    EXPECT_GT((*costs)[i].seconds, 0.0);
    EXPECT_GT((*costs)[i].predicted, 0.0);
  }
  const auto too_deep = measure_check_costs(bench->engine(), 510, 5, 2);
  ASSERT_FALSE(too_deep);
  EXPECT_THAT(too_deep.error().message, HasSubstr("the context holds 512"));
}

const std::vector<TokenId> kTokens{3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377};

TEST(SpeculationTexts, WhatFollowedIsNeverWhatFollowsNext) {
  const std::vector<TokenId> text = misleading_tokens(kTokens, 2000, 1);
  ASSERT_EQ(text.size(), 2000u);
  EXPECT_EQ(text, misleading_tokens(kTokens, 2000, 1));
  EXPECT_NE(text, misleading_tokens(kTokens, 2000, 2));
  std::map<std::vector<TokenId>, TokenId> followed;
  std::size_t recurring = 0;
  for (std::size_t i = 0; i < text.size(); ++i)
    for (std::size_t n = 1; n <= std::min<std::size_t>(8, i); ++n) {
      const auto at = text.begin() + static_cast<std::ptrdiff_t>(i);
      const auto [entry, fresh] =
          followed.try_emplace({at - static_cast<std::ptrdiff_t>(n), at}, text[i]);
      if (fresh) continue;
      EXPECT_NE(entry->second, text[i]) << i << " " << n;
      entry->second = text[i];
      recurring += n == 2;
    }
  EXPECT_GT(recurring, 1500u);  // pairs are nearly always known
}

TEST(SpeculationTexts, LookupIsAlwaysMisled) {
  const std::vector<TokenId> text = misleading_tokens(kTokens, 1000, 3);
  PromptLookup lookup;
  SamplingParams params;
  int drafted = 0;
  for (std::size_t i = 1; i < text.size(); ++i) {
    Draft draft;
    DraftRequest request;
    request.sequence = 1;
    request.tokens = std::span(text).first(i);
    request.prompt_tokens = 1;
    request.params = &params;
    request.most = 4;
    request.draft = &draft;
    lookup.draft(std::span(&request, 1));
    if (draft.tokens.empty()) continue;
    ++drafted;
    EXPECT_NE(draft.tokens[0].token, text[i]) << i;
  }
  EXPECT_GT(drafted, 900);
}

TEST(SpeculationTexts, LuresAreQuotes) {
  const std::vector<TokenId> text = luring_tokens(kTokens, 500, 50, 10, 1);
  ASSERT_EQ(text.size(), 500u);
  for (std::size_t end = 50; end <= 500; end += 50) {
    const auto quote = std::span(text).subspan(end - 10, 10);
    const auto before = std::span(text).first(end - 10);
    EXPECT_FALSE(std::ranges::search(before, quote).empty()) << end;
  }
}

TEST(SpeculationTexts, EditsAndSummariesKeepWhatTheyQuote) {
  const std::string text = "one two three\nfour five six\n\nseven eight nine\nten eleven twelve\n";
  const std::string changed = edited(text, 2);
  EXPECT_NE(changed, text);
  EXPECT_THAT(changed, HasSubstr("one two three\nfour "));
  EXPECT_THAT(changed, HasSubstr("seven eight nine\nten "));
  EXPECT_EQ(std::ranges::count(changed, '\n'), 5);
  EXPECT_EQ(edited("", 2), "");
  EXPECT_EQ(edited("word\nword\n", 1), "word\nword\n");
  EXPECT_THAT(quoting_summary("First one. Second! Third? Fourth it is. Fifth."),
              testing::AllOf(HasSubstr("\"First one.\""), HasSubstr("\"Fourth it is.\""),
                             testing::Not(HasSubstr("Second"))));
}

TEST(SpeculationTexts, LinesOfPrompts) {
  const std::string path = test::temporary_path("prompts.jsonl");
  const auto read = [&](const std::string& text) {
    std::ofstream(path) << text;
    auto lines = read_prompt_lines(path);
    std::remove(path.c_str());
    return lines;
  };
  const auto lines = read(
      "{\"question_id\": 1, \"category\": \"qa\", \"turns\": [\"Who?\", \"I\"]}\n\n"
      "{\"prompt\": \"Say\"}\n");
  ASSERT_TRUE(lines) << lines.error().message;
  ASSERT_EQ(lines->size(), 2u);
  EXPECT_EQ((*lines)[0].category, "qa");
  EXPECT_EQ((*lines)[0].text, "Who?");
  EXPECT_EQ((*lines)[1].text, "Say");
  const auto error = [&](const std::string& text) {
    const auto bad = read(text);
    EXPECT_FALSE(bad) << text;
    return bad ? std::string() : bad.error().message;
  };
  EXPECT_THAT(error("{\"prompt\": \"a\"}\n{\"turns\": 3}\n"), HasSubstr(":2: 'turns'"));
  EXPECT_THAT(error("{\"turns\": []}"), HasSubstr(":1: 'turns'"));
  EXPECT_THAT(error("[1]"), HasSubstr(":1: expected a JSON object"));
  EXPECT_THAT(error("once upon"), HasSubstr(":1: expected a JSON object"));
  EXPECT_THAT(error("{\"category\": 1, \"prompt\": \"a\"}"), HasSubstr("'category'"));
  EXPECT_THAT(error("{\"prompt\": \"\"}"), HasSubstr("empty"));
  EXPECT_THAT(error("\n"), HasSubstr("no prompt"));
  const auto none = read_prompt_lines("/nonexistent.jsonl");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("/nonexistent.jsonl"));
}

}  // namespace
}  // namespace ridgeline
