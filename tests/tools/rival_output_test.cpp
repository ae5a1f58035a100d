// Reports as the programs print them, recorded on a small model: tests/data/rivals.

#include "ridgeline/tools/rival_output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace ridgeline {
namespace {

using Kind = Workload::Kind;

std::string recorded(const std::string& name) {
  std::ifstream file(RIDGELINE_SOURCE_DIR "/tests/data/rivals/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

testing::Matcher<const ReportedRate&> is_rate(Kind kind, std::int64_t tokens, std::int64_t depth,
                                              int streams, double rate) {
  return testing::Truly([=](const ReportedRate& r) {
    return r.work.kind == kind && r.work.tokens == tokens && r.work.depth == depth &&
           r.work.streams == streams && std::abs(r.tokens_per_second - rate) < 0.01;
  });
}

TEST(RivalOutput, LlamaBenchWithDepths) {
  const auto rates = parse_llama_bench(recorded("llama-bench.json"));
  ASSERT_TRUE(rates) << rates.error().message;
  EXPECT_THAT(*rates, testing::ElementsAre(is_rate(Kind::kPrefill, 16, 0, 1, 12469.255),
                                           is_rate(Kind::kDecode, 4, 0, 1, 4550.134),
                                           is_rate(Kind::kPrefill, 16, 32, 1, 2093.251),
                                           is_rate(Kind::kDecode, 4, 32, 1, 3240.984)));
}

TEST(RivalOutput, IkLlamaBenchGenerationAfterAPrompt) {
  const std::string report = recorded("ik-llama-bench.json");
  const auto rates = parse_llama_bench("warning: asserts enabled [debug]\n" + report + "\nbye\n");
  ASSERT_TRUE(rates) << rates.error().message;
  EXPECT_THAT(*rates, testing::ElementsAre(is_rate(Kind::kPrefill, 16, 0, 1, 9851.719),
                                           is_rate(Kind::kDecode, 4, 0, 1, 4909.060),
                                           is_rate(Kind::kDecode, 4, 32, 1, 3378.784)));
}

TEST(RivalOutput, BatchedBench) {
  const auto rates = parse_batched_bench(recorded("ik-llama-batched-bench.txt"));
  ASSERT_TRUE(rates) << rates.error().message;
  EXPECT_THAT(*rates, testing::ElementsAre(is_rate(Kind::kPrefill, 16, 0, 1, 9864.37),
                                           is_rate(Kind::kDecode, 4, 16, 1, 436.25),
                                           is_rate(Kind::kPrefill, 16, 0, 4, 7851.80),
                                           is_rate(Kind::kDecode, 4, 16, 4, 6272.05)));
  const auto theirs = parse_batched_bench(recorded("llama-batched-bench.txt"));
  ASSERT_TRUE(theirs) << theirs.error().message;
  EXPECT_THAT(*theirs, testing::ElementsAre(is_rate(Kind::kPrefill, 16, 0, 4, 10873.26),
                                            is_rate(Kind::kDecode, 4, 16, 4, 9096.08)));
}

TEST(RivalOutput, SweepBench) {
  const auto rates = parse_sweep_bench(recorded("ik-llama-sweep-bench.txt"));
  ASSERT_TRUE(rates) << rates.error().message;
  EXPECT_THAT(*rates, testing::ElementsAre(is_rate(Kind::kPrefill, 128, 0, 1, 4683.67),
                                           is_rate(Kind::kDecode, 16, 0, 1, 4990.64),
                                           is_rate(Kind::kPrefill, 128, 128, 1, 1798.03),
                                           is_rate(Kind::kDecode, 16, 128, 1, 385.35)));
}

TEST(RivalOutput, OurOwn) {
  const auto rates = parse_bench_model(
      R"({"results": [{"test": "prefill", "tokens": 8, "depth": 4, "streams": 2,
          "tokens_per_second": 5.5}, {"test": "other", "tokens_per_second": 1}]})");
  ASSERT_TRUE(rates) << rates.error().message;
  EXPECT_THAT(*rates, testing::ElementsAre(is_rate(Kind::kPrefill, 8, 4, 2, 5.5)));
}

TEST(RivalOutput, AnythingElseIsNamedAndQuoted) {
  for (const auto parse :
       {parse_bench_model, parse_llama_bench, parse_batched_bench, parse_sweep_bench})
    for (const std::string& output :
         {std::string(), std::string("error: no such file\n"), std::string("[\n]"),
          std::string("[\n  1, [2], {\"avg_ts\": \"x\", \"test\": 3}\n]"), std::string("{}"),
          std::string("{\"results\": [1, {\"test\": 2}]}"), std::string("\xff\xfe|"),
          std::string("| PP | S_TG t/s |\n| nan | x |\n|"), std::string("]\n[\n")}) {
      const auto rates = parse(output);
      ASSERT_FALSE(rates) << output;
      EXPECT_THAT(rates.error().message, testing::HasSubstr("it printed"));
    }
  // A table of one program is not one of the other.
  EXPECT_FALSE(parse_sweep_bench(recorded("ik-llama-batched-bench.txt")));
  EXPECT_FALSE(parse_batched_bench(recorded("ik-llama-sweep-bench.txt")));
}

}  // namespace
}  // namespace ridgeline
