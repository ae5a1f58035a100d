// `ridgeline bench serve` as a user runs it, against a server of the test's own.

#include <nlohmann/json.hpp>

#include "tests/cli/program.h"
#include "tests/support/fake_llm.h"

namespace ridgeline {
namespace {

using nlohmann::json;
using test::expect_error;
using test::expect_usage_error;
using test::FakeLlm;
using test::HttpReply;
using test::HttpRequest;
using test::Outcome;
using testing::AllOf;
using testing::HasSubstr;

class BenchServe : public testing::Test {
 protected:
  Outcome bench(std::vector<std::string> more) {
    std::vector<std::string> arguments{
        "bench", "serve",           "--url", "fake=" + server_.url(), "-n", "12", "-u",
        "3",     "--prompt-tokens", "6",     "--output-tokens",       "4"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return test::ridgeline(arguments);
  }

  FakeLlm llm_;
  test::HttpServer server_{[this](const HttpRequest& r) { return llm_(r); }};
};

TEST_F(BenchServe, JsonTableAndCsv) {
  const std::string details = test::temporary_path("details");
  Outcome o = bench({"--json", "--slo-ttft", "60000", "--details", details});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const json j = json::parse(o.out);
  EXPECT_EQ(j["load"], "3 users");
  ASSERT_EQ(j["servers"].size(), 1u);
  const json& server = j["servers"][0];
  EXPECT_EQ(server["server"], "fake");
  EXPECT_EQ(server["model"], "words");
  EXPECT_EQ(server["requests"], 12);
  EXPECT_EQ(server["failed"], 0);
  EXPECT_EQ(server["output_tokens"], 48);
  EXPECT_EQ(server["rounds"].size(), 1u);
  EXPECT_EQ(server["rounds"][0]["ttft"]["count"], 12);
  EXPECT_EQ(server["rounds"][0]["inter_token"]["count"], 36);
  EXPECT_EQ(server["rounds"][0]["good_share"], 100.0);
  EXPECT_EQ(j["results"][0]["figure"], "output_throughput");
  EXPECT_GT(j["results"][0]["value"], 0.0);
  const std::string lines = test::read_file(details);
  EXPECT_EQ(std::ranges::count(lines, '\n'), 12);
  EXPECT_EQ(json::parse(lines.substr(0, lines.find('\n')))["output_tokens"], 4);
  std::remove(details.c_str());

  o = bench({"--compare", "again=" + server_.url(), "-r", "2"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.out, AllOf(HasSubstr("3 users, 12 requests, 2 rounds; prompts measured by fake's"),
                           HasSubstr("| again  | inter_token "), HasSubstr("fake ×")));
  o = bench({"-o", "csv", "--endpoint", "completions"});
  EXPECT_THAT(o.out, AllOf(HasSubstr("server,figure,unit,value,p50,p90,p95,p99,max\n"),
                           HasSubstr("fake,ttft,ms,")));
}

TEST_F(BenchServe, FailuresAreShownAndFailTheRun) {
  std::atomic<int> count = 0;
  llm_.fault = [&](const HttpRequest& r) -> std::optional<HttpReply> {
    if (r.path != "/v1/completions" || ++count % 6 != 0) return std::nullopt;
    return HttpReply{503, {}, R"({"error": {"message": "too many"}})"};
  };
  Outcome o = bench({"--warmup", "0"});
  EXPECT_EQ(o.exit_code, 1);
  EXPECT_THAT(o.out, HasSubstr("fake: 2 of 12 requests failed: http 503: too many"));
  EXPECT_THAT(o.err, HasSubstr("2 of 12 requests failed (2 http 503)"));
  o = bench({"--warmup", "0", "--allow-errors", "--json"});
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_EQ(json::parse(o.out)["servers"][0]["failures"]["http 503"], 2);
}

TEST_F(BenchServe, AnswersThatDependOnCompanyFailTheRun) {
  Outcome o = bench({"--expect-identical", "--json"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_EQ(json::parse(o.out)["servers"][0]["differences"].size(), 0u);
  std::atomic<int> count = 0;
  llm_.fault = [&](const HttpRequest& r) -> std::optional<HttpReply> {
    if (r.path != "/v1/completions" || ++count != 3) return std::nullopt;
    return test::event_stream({{{}, test::text_event("x", "stop")}});
  };
  o = bench({"--expect-identical", "--warmup", "0"});
  EXPECT_EQ(o.exit_code, 1);
  EXPECT_THAT(o.err, HasSubstr("1 requests were answered otherwise in company than alone"));
  EXPECT_THAT(o.out, HasSubstr("in company 'x'"));
}

TEST_F(BenchServe, ReplaysATrace) {
  const Outcome o = test::ridgeline({"bench", "serve", "--url", server_.url(), "--trace",
                                     RIDGELINE_SOURCE_DIR "/tests/data/traffic/mooncake.jsonl",
                                     "--time-scale", "0.01", "--length-scale", "0.05", "--json"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const json j = json::parse(o.out);
  EXPECT_EQ(j["servers"][0]["requests"], 3);
  EXPECT_EQ(j["servers"][0]["output_tokens"], 25 + 1 + 1);
  EXPECT_GE(j["servers"][0]["rounds"][0]["duration"], 0.035);
}

TEST_F(BenchServe, OptionsThatMakeNoSense) {
  expect_error(bench({"--time-scale", "2"}), "--time-scale: scales a --trace");
  expect_error(bench({"--prefix-groups", "2"}), "there is no --shared-prefix");
  expect_error(bench({"--body", "[]"}), "--body '[]': expected a JSON object");
  expect_error(
      test::ridgeline({"bench", "serve", "--url", server_.url(), "--prompt-tokens", "1,x"}),
      "--prompt-tokens '1,x'");
  expect_error(bench({"--compare", "fake=http://b"}), "two servers are called 'fake'");
  expect_error(bench({"--compare", "b"}), "'b' is no address");
  expect_usage_error(bench({"--rate", "5"}), "--rate");
  expect_usage_error(test::ridgeline({"bench", "serve"}), "--url");
}

}  // namespace
}  // namespace ridgeline
