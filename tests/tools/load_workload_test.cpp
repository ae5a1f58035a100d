// Arrivals, lengths and texts of the load generator's requests.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "ridgeline/tools/load/workload.h"
#include "tests/support/fake_llm.h"
#include "tests/support/random_model.h"

namespace ridgeline::load {
namespace {

using test::FakeLlm;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kTraffic = RIDGELINE_SOURCE_DIR "/tests/data/traffic/";

/// A word of up to four letters is a token, a longer one two.
class WordCounter : public TokenCounter {
 public:
  Result<std::int64_t> count(const std::string& text) override {
    std::int64_t n = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find(' ', at), text.size());
      n += end - at > 4 ? 2 : 1;
      at = end + 1;
    }
    return n;
  }
  std::string name() const override { return "words"; }
};

std::vector<PlannedRequest> plan(const WorkloadOptions& options, std::uint32_t round = 0,
                                 Endpoint endpoint = Endpoint::kCompletions) {
  WordCounter counter;
  Result<Workload> workload = Workload::create(options, endpoint, counter);
  EXPECT_TRUE(workload) << (workload ? "" : workload.error().message);
  auto requests = workload->plan(round, options.requests);
  EXPECT_TRUE(requests);
  return *std::move(requests);
}

TokenLengths lengths(const char* text) { return *TokenLengths::parse(text, "--x"); }

TEST(Trace, AzureInOrderOfArrival) {
  const auto trace = read_trace(kTraffic + "azure.csv", 100);
  ASSERT_TRUE(trace) << trace.error().message;
  ASSERT_EQ(trace->size(), 3u);
  EXPECT_DOUBLE_EQ((*trace)[0].arrival_s, 0);
  EXPECT_NEAR((*trace)[1].arrival_s, 1.25, 1e-6);
  EXPECT_NEAR((*trace)[2].arrival_s, 1.75, 1e-6);
  EXPECT_EQ((*trace)[1].prompt_tokens, 12);
  EXPECT_EQ((*trace)[1].output_tokens, 0);
  EXPECT_EQ((*trace)[2].prompt_tokens, 4808);
  EXPECT_EQ(read_trace(kTraffic + "azure.csv", 1)->size(), 1u);
}

TEST(Trace, MooncakeWithBlocks) {
  const auto trace = read_trace(kTraffic + "mooncake.jsonl", 100);
  ASSERT_TRUE(trace) << trace.error().message;
  ASSERT_EQ(trace->size(), 3u);
  EXPECT_DOUBLE_EQ((*trace)[2].arrival_s, 3.5);
  EXPECT_EQ((*trace)[1].output_tokens, 20);
  EXPECT_THAT((*trace)[1].blocks, ElementsAre(0, 1, 3));
}

TEST(Trace, ErrorsNameTheLine) {
  const auto error = [](const char* text) {
    const auto trace = parse_trace(text, 10);
    return trace ? "" : trace.error().message;
  };
  EXPECT_THAT(error("a,b\n1,2\n"), HasSubstr("line 1: expected the columns TIMESTAMP"));
  const std::string header = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  EXPECT_THAT(error((header + "2023-11-16 18:17:03,1\n").c_str()), HasSubstr("line 2: 2 cells"));
  EXPECT_THAT(error((header + "2023-99-16 18:17:03,1,1\n").c_str()), HasSubstr("TIMESTAMP"));
  EXPECT_THAT(error((header + "2023-11-16 18:17:03,-1,1\n").c_str()), HasSubstr("'-1'"));
  EXPECT_THAT(error(R"({"timestamp": 1, "input_length": 2})"), HasSubstr("output_length"));
  EXPECT_THAT(error("{\"timestamp\": 1, \"input_length\": 600, \"output_length\": 1, "
                    "\"hash_ids\": [1]}"),
              HasSubstr("line 1: 1 hash_ids, expected 2"));
  EXPECT_THAT(error("{nonsense"), HasSubstr("object of JSON"));
  EXPECT_THAT(error(""), HasSubstr("no request"));
}

TEST(Trace, PublishedTracesCanBeRead) {
  const std::string folder = RIDGELINE_SHARED_DATA "/traffic/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder;
  for (const char* name : {"AzureLLMInferenceTrace_code.csv", "AzureLLMInferenceTrace_conv.csv",
                           "mooncake-conversation.jsonl"}) {
    const auto trace = read_trace(folder + name, 1'000'000);
    ASSERT_TRUE(trace) << name << trace.error().message;
    EXPECT_GT(trace->size(), 5000u) << name;
    EXPECT_GT(trace->back().arrival_s, 3000) << name;
    EXPECT_LT(trace->back().arrival_s, 4000) << name;
  }
}

TEST(TokenLengths, ConstantNormalAndUniform) {
  SeededRandom random(1, 0);
  EXPECT_EQ(lengths("100").draw(random), 100);
  double sum = 0, squares = 0;
  std::set<std::int64_t> seen;
  constexpr int kDraws = 4000;
  for (int i = 0; i < kDraws; ++i) {
    const auto n = static_cast<double>(lengths("1000,50").draw(random));
    sum += n;
    squares += (n - 1000) * (n - 1000);
    seen.insert(lengths("3-7").draw(random));
    EXPECT_GE(lengths("2,50").draw(random), 1);
  }
  // Five standard errors.
  EXPECT_NEAR(sum / kDraws, 1000, 5 * 50 / std::sqrt(kDraws));
  EXPECT_NEAR(squares / kDraws, 2500, 5 * 2500 * std::sqrt(2.0 / kDraws));
  EXPECT_THAT(seen, ElementsAre(3, 4, 5, 6, 7));
  for (const char* bad : {"", "0", "-5", "10,", "7-3", "1x", "5-6-7", "99999999999"}) {
    const auto parsed = TokenLengths::parse(bad, "--output-tokens");
    ASSERT_FALSE(parsed) << bad;
    EXPECT_THAT(parsed.error().message, HasSubstr("--output-tokens '" + std::string(bad) + "'"));
  }
}

TEST(Workload, PromptsAreAsLongAsAskedForAndDiffer) {
  WorkloadOptions options;
  options.requests = 20;
  options.prompt_tokens = lengths("50-150");
  options.output_tokens = lengths("8");
  std::set<std::string> prompts;
  WordCounter counter;
  for (const PlannedRequest& r : plan(options)) {
    // A word of two tokens may stand where one is missing.
    EXPECT_GE(r.prompt_tokens, 49);
    EXPECT_LE(r.prompt_tokens, 151);
    EXPECT_EQ(r.prompt_tokens, *counter.count(r.prompt));
    EXPECT_EQ(r.max_tokens, 8);
    EXPECT_EQ(r.arrival_s, 0);
    prompts.insert(r.prompt);
  }
  EXPECT_EQ(prompts.size(), 20u);
}

TEST(Workload, TheSameSeedAndRoundGiveTheSameRequests) {
  WorkloadOptions options;
  options.requests = 10;
  options.prompt_tokens = lengths("20,5");
  options.rate = 3;
  const auto prompts = [&](std::uint32_t round) {
    std::string all;
    for (const PlannedRequest& r : plan(options, round)) {
      all += std::to_string(r.arrival_s);
      all += r.prompt;
    }
    return all;
  };
  const std::string first = prompts(0);
  EXPECT_EQ(first, prompts(0));
  EXPECT_NE(first, prompts(1));
  options.seed = 1;
  EXPECT_NE(first, prompts(0));
}

TEST(Workload, PoissonArrivalsHaveTheRateAndItsSpread) {
  WorkloadOptions options;
  options.requests = 4001;
  options.rate = 5;
  options.prompt_tokens = lengths("1");
  const std::vector<PlannedRequest> requests = plan(options);
  EXPECT_EQ(requests.front().arrival_s, 0);
  double squares = 0;
  for (std::size_t i = 1; i < requests.size(); ++i) {
    const double gap = requests[i].arrival_s - requests[i - 1].arrival_s;
    EXPECT_GE(gap, 0);
    squares += gap * gap;
  }
  // Gaps of an exponential distribution: mean 1/5, mean square 2/25; five standard errors.
  EXPECT_NEAR(requests.back().arrival_s / 4000, 0.2, 5 * 0.2 / std::sqrt(4000));
  EXPECT_NEAR(squares / 4000, 0.08, 5 * 0.04 * std::sqrt(20.0 / 4000));
}

TEST(Workload, GroupsShareTheirPrefix) {
  WorkloadOptions options;
  options.requests = 40;
  options.prompt_tokens = lengths("5");
  options.shared_prefix = 30;
  options.prefix_groups = 3;
  std::map<std::string, int> prefixes;
  WordCounter counter;
  for (const PlannedRequest& r : plan(options)) {
    EXPECT_NEAR(static_cast<double>(r.prompt_tokens), 35, 2);
    EXPECT_EQ(r.prompt_tokens, *counter.count(r.prompt));
    ++prefixes[r.prompt.substr(0, 80)];
  }
  EXPECT_EQ(prefixes.size(), 3u);
}

TEST(Workload, MooncakesBlocksAreEqualTextWhereTheirNamesAre) {
  WorkloadOptions options;
  options.trace_file = kTraffic + "mooncake.jsonl";
  options.time_scale = 2;
  options.length_scale = 0.1;
  options.output_max = 30;
  const std::vector<PlannedRequest> requests = plan(options);
  ASSERT_EQ(requests.size(), 3u);
  const std::string &a = requests[0].prompt, &b = requests[1].prompt, &c = requests[2].prompt;
  const auto common = static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
  // Two blocks of 51.2 tokens, and no word of the third.
  WordCounter counter;
  EXPECT_NEAR(static_cast<double>(*counter.count(a.substr(0, a.rfind(' ', common)))), 102, 2);
  EXPECT_NEAR(static_cast<double>(*counter.count(a)), 110, 2);
  EXPECT_NEAR(static_cast<double>(*counter.count(b)), 103, 2);
  EXPECT_EQ(requests[0].prompt_tokens, *counter.count(a));
  EXPECT_NE(a.substr(0, 20), c.substr(0, 20));
  EXPECT_DOUBLE_EQ(requests[2].arrival_s, 7);
  EXPECT_EQ(requests[0].max_tokens, 30);  // cut
  EXPECT_EQ(requests[1].max_tokens, 2);
  EXPECT_EQ(requests[2].max_tokens, 1);
}

TEST(Workload, PromptsFromFiles) {
  const std::string text = test::temporary_path("words.txt"),
                    lines = test::temporary_path("prompts.jsonl");
  std::ofstream(text) << "one two  three\nfour\tfive";
  std::ofstream(lines) << "{\"prompt\": \"first\"}\n\n{\"turns\": [\"second\", \"more\"]}\n";
  WorkloadOptions options;
  options.requests = 3;
  options.prompt_tokens = lengths("7");
  options.prompts_file = text;
  for (const PlannedRequest& r : plan(options)) {
    EXPECT_THAT("one two three four five one two three four five one two three four five",
                HasSubstr(r.prompt));
    EXPECT_GE(FakeLlm::words(r.prompt), 5);
  }
  options.prompts_file = lines;
  std::vector<std::string> prompts;
  for (std::uint32_t round : {0u, 1u})
    for (const PlannedRequest& r : plan(options, round)) prompts.push_back(r.prompt);
  EXPECT_THAT(prompts, ElementsAre("first", "second", "first", "second", "first", "second"));

  std::ofstream(lines) << "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}\n";
  EXPECT_EQ(plan(options, 0, Endpoint::kChat)[0].messages, R"([{"content":"hi","role":"user"}])");
  WordCounter counter;
  const auto refused = Workload::create(options, Endpoint::kCompletions, counter);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("line 1: messages go to --endpoint chat"));
  std::ofstream(lines) << "{}\n";
  EXPECT_FALSE(Workload::create(options, Endpoint::kChat, counter));
  for (const std::string& path : {text, lines}) std::filesystem::remove(path);
}

}  // namespace
}  // namespace ridgeline::load
