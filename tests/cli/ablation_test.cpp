// `ridgeline bench ablation` and `bench complexity` as a user runs them.

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"

namespace ridgeline {
namespace {

using nlohmann::json;
using test::expect_error;
using test::expect_usage_error;
using test::Outcome;
using test::ridgeline;
using test::write_file;
using testing::AllOf;
using testing::HasSubstr;

class BenchAblation : public testing::Test {
 protected:
  void SetUp() override {
    path_ = test::temporary_path("ablation.gguf");
    test::write_random_model(path_, {.dtype = DType::kF16});
  }
  void TearDown() override { std::remove(path_.c_str()); }

  Outcome bench(const char* what, std::vector<std::string> more) const {
    std::vector<std::string> arguments{"bench", what, "-m", path_, "-t", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return ridgeline(arguments);
  }
  std::string path_;
};

TEST_F(BenchAblation, TablesJsonAndCsv) {
  const std::string csv = test::temporary_path("csv"), out = test::temporary_path("json");
  const Outcome o =
      bench("ablation", {"-p", "32", "-n", "4", "-c", "64", "-b", "2", "--rows",
                         "baseline,kv-cache,int4,static-batches", "--csv", csv, "--json", out});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.out, AllOf(HasSubstr("| baseline: 16 bits, scalar, no KV cache "),
                           HasSubstr("| + INT4 in groups "), HasSubstr("literature (7B, GPU)"),
                           HasSubstr("20 → 250, 12.5x"), HasSubstr("beside: static batches")));
  const json j = json::parse(test::read_file(out));
  ASSERT_EQ(j["rows"].size(), 4u);
  EXPECT_EQ(j["context"], 64);
  EXPECT_EQ(j["rows"][0]["isa"], "scalar");
  EXPECT_GT(j["rows"][2]["factors"]["baseline"], 1.0);
  EXPECT_TRUE(j["rows"][2]["perplexity"].is_null());
  const std::string lines = test::read_file(csv);
  EXPECT_EQ(std::ranges::count(lines, '\n'), 5);
  EXPECT_THAT(lines, testing::StartsWith("id,isa,ttft_seconds,"));
  const std::string header = lines.substr(0, lines.find('\n'));
  EXPECT_EQ(std::ranges::count(lines, ','), 5 * std::ranges::count(header, ','));
  std::filesystem::remove(csv);
  std::filesystem::remove(out);
}

TEST_F(BenchAblation, WhatIsExtrapolatedHasAnAsterisk) {
  const Outcome o = bench("ablation", {"-p", "512", "-n", "8", "-b", "1", "--rows", "baseline",
                                       "--seconds-per-row", "0.01"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.out, AllOf(HasSubstr("* |"), HasSubstr("extrapolated. Measured were prompts of")));
}

TEST_F(BenchAblation, PerplexityOfAText) {
  const std::string text = test::temporary_path("text");
  std::string words;
  for (int i = 0; i < 30; ++i) words += "the quick brown fox ";
  write_file(text, words);
  const Outcome o = bench(
      "ablation", {"-p", "32", "-n", "4", "-c", "64", "-b", "1", "--rows", "honest-start,int4",
                   "--text", text, "--eval-context", "32", "--json", "-"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const json j = json::parse(o.out);
  EXPECT_EQ(j["quality_base"], "honest-start");
  EXPECT_GT(j["rows"][1]["divergence"]["kl"]["mean"], 0.0);
  std::filesystem::remove(text);
}

TEST_F(BenchAblation, NonsenseIsOneSentence) {
  const auto last = [](const Outcome& o) { return o.err.substr(o.err.rfind("ridgeline:")); };
  expect_error(bench("ablation", {"--rows", "magic"}), "--rows magic: there is no such row");
  expect_error(bench("ablation", {"-c", "100"}),
               "a context of 100 tokens does not hold 512 of prompt and output");
  expect_error(bench("ablation", {"--text", "/nonexistent"}), "/nonexistent");
  expect_usage_error(bench("ablation", {"-n", "1"}), "--n-gen");
  expect_usage_error(ridgeline({"bench", "ablation"}), "--model");
  const Outcome o = bench("ablation", {"-p", "16", "-n", "4", "-c", "32", "--eval-context", "16",
                                       "--rows", "kv-cache", "--json", "/nonexistent/x.json"});
  EXPECT_EQ(o.exit_code, 1);
  EXPECT_THAT(last(o), HasSubstr("/nonexistent/x.json"));
}

TEST_F(BenchAblation, Complexity) {
  const Outcome o = bench("complexity", {"-c", "128", "--longest-prompt", "512", "--seconds", "5"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.out, AllOf(HasSubstr("with a KV cache, ms"), HasSubstr("score matrix, MB"),
                           HasSubstr("Bytes of KV cache for a token"),
                           HasSubstr("A sequence of 100 tokens")));
  const Outcome j = bench("complexity", {"-c", "64", "--longest-prompt", "512", "--json", "-"});
  ASSERT_EQ(j.exit_code, 0) << j.err;
  EXPECT_EQ(json::parse(j.out)["decode_with_cache"]["points"].size(), 2u);
}

}  // namespace
}  // namespace ridgeline
