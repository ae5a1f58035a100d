// Load on a server of the test's own, that is slow, fails and hangs up as it is told.

#include "ridgeline/tools/load/load_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "ridgeline/tools/load/bench_serve.h"
#include "tests/support/fake_llm.h"

namespace ridgeline::load {
namespace {

using namespace std::chrono_literals;
using test::event_stream;
using test::FakeLlm;
using test::HttpReply;
using test::HttpRequest;
using test::text_event;
using testing::AllOf;
using testing::HasSubstr;

/// Of a busy machine, not of ours.
constexpr double kPatience = 20;

class LoadRunTest : public testing::Test {
 protected:
  Target target() const {
    Target t = *parse_target("fake=" + server_.url());
    t.model = "words";
    return t;
  }
  static std::vector<PlannedRequest> plan(std::size_t requests, std::int64_t tokens = 3) {
    std::vector<PlannedRequest> list(requests);
    for (std::size_t i = 0; i < requests; ++i) {
      list[i].prompt = "say word" + std::to_string(i);
      list[i].max_tokens = tokens;
    }
    return list;
  }
  LoadRun run(const std::vector<PlannedRequest>& requests, LoadOptions options) {
    options.timeout_s = options.timeout_s == 600 ? kPatience : options.timeout_s;
    auto result = run_load(target(), requests, options);
    EXPECT_TRUE(result);
    return *std::move(result);
  }
  /// The one answer that `reply` is taken for.
  RequestRecord ask(HttpReply reply, double timeout_s = kPatience) {
    llm_.fault = [&](const HttpRequest&) { return reply; };
    LoadOptions options;
    options.users = 1;
    options.timeout_s = timeout_s;
    return run(plan(1), options).requests[0];
  }

  FakeLlm llm_;
  test::HttpServer server_{[this](const HttpRequest& r) { return llm_(r); }};
};

TEST_F(LoadRunTest, ClosedLoopKeepsItsUsersBusyAndItsConnectionsOpen) {
  llm_.first_delay = 5ms;
  LoadOptions options;
  options.users = 4;
  std::size_t last = 0;
  options.on_progress = [&](std::size_t answered, std::size_t all) {
    EXPECT_EQ(answered, ++last);
    EXPECT_EQ(all, 24u);
  };
  const LoadRun r = run(plan(24), options);
  EXPECT_EQ(r.in_flight_max, 4u);
  EXPECT_LE(llm_.side_by_side_max(), 4);
  EXPECT_GE(llm_.side_by_side_max(), 2);
  for (std::size_t i = 0; i < r.requests.size(); ++i) {
    const RequestRecord& record = r.requests[i];
    ASSERT_EQ(record.failure, "") << record.failure_message;
    std::string word = "word" + std::to_string(i) + " ";
    EXPECT_EQ(record.text, word + word + word);
    EXPECT_EQ(record.chunk_times_s.size(), 3u);
    EXPECT_EQ(record.prompt_tokens, 2);
    EXPECT_EQ(record.output_tokens, 3);
    EXPECT_GE(record.ttft_s(), 5e-3);
  }
  EXPECT_GE(r.duration_s, 24.0 / 4 * 5e-3);
  EXPECT_EQ(server_.requests().size(), 24u);
}

TEST_F(LoadRunTest, GapsAreThoseOfTheServer) {
  llm_.first_delay = 30ms;
  llm_.delay = 20ms;
  LoadOptions options;
  options.users = 2;
  for (const RequestRecord& r : run(plan(2, 4), options).requests) {
    ASSERT_EQ(r.chunk_times_s.size(), 4u);
    EXPECT_GE(r.ttft_s(), 0.030);
    // Never early; late by what a busy machine takes.
    EXPECT_GE(r.chunk_times_s[3] - r.chunk_times_s[0], 0.055);
    EXPECT_GE(*r.time_per_output_token_s(), 0.018);
    EXPECT_LT(r.total_s(), 5);
  }
}

TEST_F(LoadRunTest, OpenLoopSendsWhatIsDueWhateverIsUnanswered) {
  llm_.first_delay = 150ms;
  std::vector<PlannedRequest> requests = plan(6);
  for (std::size_t i = 0; i < requests.size(); ++i)
    requests[i].arrival_s = 0.01 * static_cast<double>(i);
  const LoadRun r = run(requests, {});
  EXPECT_EQ(r.in_flight_max, 6u);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_DOUBLE_EQ(r.requests[i].due_s, requests[i].arrival_s);
    EXPECT_GE(r.requests[i].sent_s, requests[i].arrival_s);
    EXPECT_GE(r.requests[i].ttft_s(), 0.150);
  }
}

TEST_F(LoadRunTest, AsksForExactlyWhatIsMeasured) {
  LoadOptions options;
  options.users = 1;
  options.seed = 5;
  options.extra_fields = R"({"top_k": 1, "cache_prompt": null})";
  Target t = target();
  t.api_key = "secret";
  ASSERT_TRUE(run_load(t, plan(1, 7), options));
  const HttpRequest sent = server_.requests().back();
  EXPECT_EQ(sent.path, "/v1/completions");
  EXPECT_EQ(sent.header("authorization"), "Bearer secret");
  const auto body = nlohmann::json::parse(sent.body);
  EXPECT_EQ(body, nlohmann::json::parse(
                      R"({"model": "words", "prompt": "say word0", "max_tokens": 7, "seed": 5,
      "temperature": 0, "ignore_eos": true, "stream": true, "top_k": 1,
      "stream_options": {"include_usage": true}})"));
  t.endpoint = Endpoint::kChat;
  const auto chat = nlohmann::json::parse(request_body(t, plan(1)[0], 0, ""));
  EXPECT_EQ(chat["messages"],
            nlohmann::json::parse(R"([{"role": "user", "content": "say word0"}])"));
  EXPECT_EQ(chat["cache_prompt"], true);
}

TEST_F(LoadRunTest, FailuresAreToldApart) {
  const std::string one = text_event("one");
  EXPECT_EQ(ask({503, {}, R"({"error": {"message": "full"}})"}).failure, "http 503");
  EXPECT_EQ(ask({200, {{"Content-Type", "application/json"}}, "{}"}).failure, "bad answer");
  HttpReply silent;
  silent.is_silent = true;
  EXPECT_EQ(ask(silent).failure, "disconnected");
  HttpReply broken = event_stream({{0us, one}, {0us, one.substr(0, 9)}});
  broken.breaks_off = true;
  EXPECT_EQ(ask(broken).failure, "disconnected");
  EXPECT_EQ(ask(event_stream({{0us, one}})).failure, "disconnected");  // HTTP's end is in order
  EXPECT_EQ(ask(event_stream({{0us, one}, {0us, "data: {\"error\": \"bad luck\"}\n\n"}})).failure,
            "server error");
  const RequestRecord late = ask(event_stream({{0us, one}, {400ms, one}}), 0.1);
  EXPECT_EQ(late.failure, "timeout");
  EXPECT_GE(late.end_s, 0.1);
}

TEST_F(LoadRunTest, NobodyThere) {
  Target t = target();
  t.url = "http://127.0.0.1:1";
  LoadOptions options;
  options.users = 2;
  const auto r = run_load(t, plan(3), options);
  ASSERT_TRUE(r);
  for (const RequestRecord& record : r->requests) EXPECT_EQ(record.failure, "connect");
}

TEST_F(LoadRunTest, SomeFailAndTheOthersGoOn) {
  std::atomic<int> count = 0;
  llm_.fault = [&](const HttpRequest&) -> std::optional<HttpReply> {
    if (++count % 4 != 0) return std::nullopt;
    return HttpReply{500, {}, "no"};
  };
  LoadOptions options;
  options.users = 3;
  int failed = 0;
  for (const RequestRecord& r : run(plan(20), options).requests) failed += r.failed() ? 1 : 0;
  EXPECT_EQ(failed, 5);
}

TEST_F(LoadRunTest, EveryByteInAPacketOfItsOwn) {
  const std::string all = text_event("ein") + ": ping\n\n" + text_event("\xC3\xB6") +
                          text_event("", "stop") + test::usage_event(9, 2) + "data: [DONE]\n\n";
  std::vector<test::HttpPiece> pieces;
  for (const char c : all) pieces.push_back({0us, std::string(1, c)});
  const RequestRecord r = ask(event_stream(pieces));
  EXPECT_EQ(r.failure, "");
  EXPECT_EQ(r.text, "ein\xC3\xB6");
  EXPECT_EQ(r.prompt_tokens, 9);
  EXPECT_EQ(r.chunk_times_s.size(), 2u);
}

class BenchServersTest : public LoadRunTest {
 protected:
  ServeBenchOptions options() const {
    ServeBenchOptions o;
    o.targets = {target()};
    o.targets[0].model = "";
    o.workload.requests = 8;
    o.workload.prompt_tokens = *TokenLengths::parse("5-9", "");
    o.workload.output_tokens = *TokenLengths::parse("4", "");
    o.load.users = 4;
    o.load.timeout_s = kPatience;
    return o;
  }
};

TEST_F(BenchServersTest, AsksForTheModelMeasuresPromptsAndRunsRoundsInTurn) {
  FakeLlm other;
  test::HttpServer other_server([&](const HttpRequest& r) { return other(r); });
  ServeBenchOptions o = options();
  o.rounds = 2;
  Target second = *parse_target("other=" + other_server.url());
  second.model = "given";
  o.targets.push_back(second);
  std::vector<std::string> progress;
  o.on_progress = [&](const std::string& text) {
    progress.push_back(text.substr(0, text.find(' ')));
  };
  const auto bench = bench_servers(o);
  ASSERT_TRUE(bench) << bench.error().message;
  EXPECT_EQ(bench->token_counter, "fake's /tokenize");
  EXPECT_THAT(progress,
              testing::ElementsAre("fake:", "other:", "fake:", "other:", "fake:", "other:"));
  ASSERT_EQ(bench->servers.size(), 2u);
  EXPECT_EQ(bench->servers[0].target.model, "words");
  EXPECT_EQ(bench->servers[1].target.model, "given");
  for (const ServerRuns& server : bench->servers) {
    ASSERT_EQ(server.rounds.size(), 2u);
    const LoadSummary s = summarise(server.rounds, {});
    EXPECT_EQ(s.failed, 0u);
    EXPECT_EQ(s.requests, 16u);
    EXPECT_EQ(s.of_other_length, 0u);
    EXPECT_EQ(s.cut_prompts, 0u);
    EXPECT_GE(s.prompt_lengths.mean, 5);
    EXPECT_LE(s.prompt_lengths.max, 9);
  }
  EXPECT_EQ(llm_.served(), 16 + 2);  // two to warm up
  // The same work for both.
  EXPECT_EQ(bench->servers[0].rounds[1].requests[3].text,
            bench->servers[1].rounds[1].requests[3].text);
}

TEST_F(BenchServersTest, WithoutTokenizerLengthsAreEstimated) {
  llm_.fault = [](const HttpRequest& r) -> std::optional<HttpReply> {
    if (r.path == "/tokenize") return HttpReply{404, {}, "{}"};
    return std::nullopt;
  };
  const auto bench = bench_servers(options());
  ASSERT_TRUE(bench) << bench.error().message;
  EXPECT_THAT(bench->token_counter, HasSubstr("estimate"));
  EXPECT_EQ(summarise(bench->servers[0].rounds, {}).cut_prompts, 0u);
}

TEST_F(BenchServersTest, FindsAnswersThatDependOnCompany) {
  ServeBenchOptions o = options();
  o.expect_identical = true;
  auto bench = bench_servers(o);
  ASSERT_TRUE(bench) << bench.error().message;
  EXPECT_EQ(bench->servers[0].alone[0].requests.size(), 8u);
  EXPECT_EQ(bench->servers[0].alone[0].in_flight_max, 1u);
  EXPECT_TRUE(bench->servers[0].differences.empty());
  // The ninth answer of all is the first alone, without a warm-up.
  std::atomic<int> count = 0;
  llm_.fault = [&](const HttpRequest& r) -> std::optional<HttpReply> {
    if (r.path != "/v1/completions" || ++count != 9) return std::nullopt;
    return event_stream({{0us, text_event("other")}, {0us, text_event("", "length")}});
  };
  o.warm_up = 0;
  bench = bench_servers(o);
  ASSERT_TRUE(bench) << bench.error().message;
  ASSERT_EQ(bench->servers[0].differences.size(), 1u);
  EXPECT_EQ(bench->servers[0].differences[0].request, 0u);
  EXPECT_EQ(bench->servers[0].differences[0].alone, "other");
}

TEST_F(BenchServersTest, ErrorsBeforeAnythingIsMeasured) {
  const auto error = [&](const ServeBenchOptions& o) {
    const auto bench = bench_servers(o);
    return bench ? "" : bench.error().message;
  };
  ServeBenchOptions o = options();
  o.targets[0].url = "http://127.0.0.1:1";
  EXPECT_THAT(error(o), AllOf(HasSubstr("127.0.0.1:1/health"), HasSubstr("connect")));
  llm_.fault = [](const HttpRequest& r) -> std::optional<HttpReply> {
    if (r.path == "/v1/models") return HttpReply{200, {}, "[]"};
    return std::nullopt;
  };
  EXPECT_THAT(error(options()), HasSubstr("--model"));
  llm_.fault = [](const HttpRequest& r) -> std::optional<HttpReply> {
    if (r.path == "/v1/completions") return HttpReply{429, {}, R"({"message": "slowly"})"};
    return std::nullopt;
  };
  EXPECT_THAT(error(options()), HasSubstr("warm up failed: http 429: slowly"));
}

TEST_F(BenchServersTest, WaitsForAServerThatLoads) {
  std::atomic<int> asked = 0;
  llm_.fault = [&](const HttpRequest& r) -> std::optional<HttpReply> {
    if (r.path == "/health" && ++asked < 3) return HttpReply{503, {}, "{}"};
    return std::nullopt;
  };
  ServeBenchOptions o = options();
  EXPECT_FALSE(bench_servers(o));
  o.patience_s = kPatience;
  EXPECT_TRUE(bench_servers(o));
  EXPECT_EQ(asked, 3);
}

TEST(Target, ReadsAddresses) {
  const auto t = parse_target("https://host:81/v1/");
  ASSERT_TRUE(t);
  EXPECT_EQ(t->label, "host:81");
  EXPECT_EQ(t->endpoint_url(), "https://host:81/v1/completions");
  EXPECT_EQ(parse_target("a=http://b")->label, "a");
  EXPECT_EQ(parse_target("http://b/x=y")->url, "http://b/x=y");
  for (const char* bad : {"", "host:80", "ftp://host", "http://", "a=b"})
    EXPECT_FALSE(parse_target(bad)) << bad;
}

}  // namespace
}  // namespace ridgeline::load
