// Percentiles, summaries and ratios of known figures.

#include "ridgeline/tools/load/load_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace ridgeline::load {
namespace {

TEST(Distribution, PercentilesLieBetweenTheNearestRanks) {
  std::vector<double> values(101);
  std::iota(values.rbegin(), values.rend(), 0);
  const Distribution d = distribution(values);
  EXPECT_EQ(d.count, 101u);
  EXPECT_DOUBLE_EQ(d.mean, 50);
  EXPECT_DOUBLE_EQ(d.p50, 50);
  EXPECT_DOUBLE_EQ(d.p90, 90);
  EXPECT_DOUBLE_EQ(d.p95, 95);
  EXPECT_DOUBLE_EQ(d.p99, 99);
  EXPECT_DOUBLE_EQ(d.max, 100);
  // numpy.percentile([15, 20, 35, 40, 50], [40, 90, 99])
  const std::vector<double> few{15, 20, 35, 40, 50};
  EXPECT_DOUBLE_EQ(percentile(few, 0.4), 29);
  EXPECT_DOUBLE_EQ(percentile(few, 0.9), 46);
  EXPECT_DOUBLE_EQ(percentile(few, 0.99), 49.6);
  EXPECT_DOUBLE_EQ(distribution({3}).p99, 3);
  EXPECT_EQ(distribution({}).count, 0u);
  EXPECT_DOUBLE_EQ(percentile({}, 0.5), 0);
}

/// Due at 0, the first chunk after `ttft`, the others `gap` apart.
RequestRecord request(double ttft, double gap, int chunks, std::int64_t tokens) {
  RequestRecord r;
  for (int i = 0; i < chunks; ++i) r.chunk_times_s.push_back(ttft + gap * i);
  r.end_s = r.chunk_times_s.back();
  r.has_usage = true;
  r.prompt_tokens = 100;
  r.asked_tokens = r.output_tokens = tokens;
  return r;
}

LoadRun run(std::vector<RequestRecord> requests, double duration_s) {
  LoadRun r;
  r.requests = std::move(requests);
  r.duration_s = duration_s;
  return r;
}

double value(const std::vector<Figure>& list, const std::string& key) {
  const auto found = std::ranges::find(list, key, &Figure::key);
  EXPECT_NE(found, list.end()) << key;
  return found == list.end() ? -1 : found->value;
}

TEST(LoadReport, CountsFailuresAndLeavesThemOutOfLatencies) {
  RequestRecord late;
  late.failure = "timeout";
  late.failure_message = "after 9 s";
  late.end_s = 9;
  RequestRecord cut = request(1, 0.1, 5, 9);  // nine tokens in five chunks
  cut.asked_tokens = 10;
  cut.sent_prompt_tokens = 200;
  cut.cached_tokens = 64;
  const std::vector<LoadRun> runs{run({request(0.5, 0.1, 5, 5), late, cut}, 10)};
  const LoadSummary s = summarise(runs, {});
  EXPECT_EQ(s.requests, 3u);
  EXPECT_EQ(s.failed, 1u);
  EXPECT_EQ(s.failures.at("timeout"), 1u);
  EXPECT_EQ(s.failure_examples.at("timeout"), "after 9 s");
  EXPECT_EQ(s.ttft_s.count, 2u);
  EXPECT_DOUBLE_EQ(s.ttft_s.mean, 0.75);
  EXPECT_EQ(s.inter_token_s.count, 8u);
  EXPECT_NEAR(s.inter_token_s.max, 0.1, 1e-12);
  EXPECT_NEAR(s.per_output_token_s.max, 0.1, 1e-12);
  EXPECT_NEAR(s.per_output_token_s.p50, (0.1 + 0.05) / 2, 1e-12);
  EXPECT_NEAR(s.concurrency, (0.9 + 9 + 1.4) / 10, 1e-12);
  EXPECT_DOUBLE_EQ(s.tokens_per_chunk, 1.4);
  EXPECT_EQ(s.of_other_length, 1u);
  EXPECT_EQ(s.cut_prompts, 1u);
  EXPECT_EQ(s.cached_tokens, 64);
  const std::vector<Figure> list = figures(s, {});
  EXPECT_DOUBLE_EQ(value(list, "output_throughput"), 1.4);
  EXPECT_DOUBLE_EQ(value(list, "total_throughput"), 21.4);
  EXPECT_DOUBLE_EQ(value(list, "request_throughput"), 0.2);
  EXPECT_DOUBLE_EQ(value(list, "ttft"), 750);
  EXPECT_DOUBLE_EQ(value(list, "prefix_hits"), 32);
}

TEST(LoadReport, LatenciesCountFromWhenARequestWasDue) {
  RequestRecord r = request(2, 0.5, 2, 2);
  r.due_s = 0.5;
  r.sent_s = 1.25;
  const std::vector<LoadRun> runs{run({r}, 2.5)};
  const LoadSummary s = summarise(runs, {});
  EXPECT_DOUBLE_EQ(s.ttft_s.mean, 1.5);
  EXPECT_DOUBLE_EQ(s.total_s.mean, 2);
  EXPECT_DOUBLE_EQ(s.send_delay_max_s, 0.75);
}

TEST(LoadReport, GoodRequestsKeepEveryLimit) {
  RequestRecord stalled = request(0.1, 0.1, 5, 5);
  stalled.chunk_times_s.back() += 1;
  stalled.end_s += 1;
  RequestRecord failed = request(0.1, 0.1, 5, 5);
  failed.failure = "timeout";
  const std::vector<LoadRun> runs{
      run({request(0.1, 0.1, 5, 5), request(0.9, 0.1, 5, 5), stalled, failed}, 2)};
  const auto good = [&](ServiceLevel level) { return summarise(runs, level).good; };
  EXPECT_EQ(good({}), 3u);
  EXPECT_EQ(good({.ttft_s = 0.5}), 2u);
  EXPECT_EQ(good({.inter_token_s = 0.5}), 2u);
  EXPECT_EQ(good({.ttft_s = 0.5, .inter_token_s = 0.5}), 1u);
  EXPECT_EQ(good({.per_output_token_s = 0.2}), 2u);
  EXPECT_EQ(good({.total_s = 1.4}), 2u);
  const ServiceLevel level{.ttft_s = 0.5, .inter_token_s = 0.5};
  const std::vector<Figure> list = figures(summarise(runs, level), level);
  EXPECT_DOUBLE_EQ(value(list, "goodput"), 0.5);
  EXPECT_DOUBLE_EQ(value(list, "good_share"), 25);
}

TEST(LoadReport, NothingKnownIsNoFigure) {
  RequestRecord failed;
  failed.failure = "connect";
  const std::vector<LoadRun> runs{run({failed}, 1)};
  const std::vector<Figure> list = figures(summarise(runs, {}), {});
  EXPECT_DOUBLE_EQ(value(list, "output_throughput"), 0);
  for (const char* key : {"ttft", "inter_token", "prompt_length", "input_throughput"})
    EXPECT_EQ(std::ranges::find(list, key, &Figure::key), list.end()) << key;
}

TEST(LoadReport, AdvantageIsTheMedianOfRounds) {
  std::vector<LoadRun> ours, theirs;
  for (const double slower : {2.0, 8.0, 4.0}) {
    ours.push_back(run({request(0.1, 0.1, 5, 5)}, 1));
    theirs.push_back(run({request(0.1 * slower, 0.1, 5, 5)}, slower));
  }
  theirs[1].requests[0].failure = "timeout";  // nothing to compare with in that round
  const std::vector<Figure> list = figures(summarise(theirs, {}), {});
  const std::vector<Advantage> better = advantages(ours, theirs, {});
  ASSERT_EQ(better.size(), list.size());
  const auto of = [&](const char* key) {
    return better[static_cast<std::size_t>(std::ranges::find(list, key, &Figure::key) -
                                           list.begin())];
  };
  EXPECT_NEAR(of("output_throughput").value.value(), 3, 1e-9);
  EXPECT_FALSE(of("output_throughput").p50);
  EXPECT_NEAR(of("ttft").p99.value(), 3, 1e-9);
  EXPECT_NEAR(of("inter_token").p50.value(), 1, 1e-9);
  EXPECT_FALSE(of("duration").value);
}

}  // namespace
}  // namespace ridgeline::load
