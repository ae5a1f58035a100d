#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "tests/server/service_fixture.h"

// The endpoints over HTTP, on the model that comes with the project.
namespace ridgeline::openai {
namespace {

using ::testing::HasSubstr;
using testing::Json;
using testing::OpenAiService;

TEST_F(OpenAiService, StreamsInCompanySayWhatTheySayAlone) {
  start();
  const auto body = [](int i, bool stream) {
    return Json{{"prompt", "Once upon a time " + std::string(static_cast<std::size_t>(i), 'x')},
                {"seed", i},
                {"max_tokens", 20 + i},
                {"ignore_eos", true},
                {"stream", stream}}
        .dump();
  };
  std::vector<std::string> alone(8), together(8);
  for (int i = 0; i < 8; ++i)
    alone[static_cast<std::size_t>(i)] =
        Json::parse(ask("/v1/completions", body(i, false)).body)["choices"][0]["text"];
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&, i] {
      std::istringstream lines(ask("/v1/completions", body(i, true)).body);
      std::string text;
      for (std::string line; std::getline(lines, line);)
        if (line.starts_with("data: {"))
          text += Json::parse(line.substr(6))["choices"][0]["text"].get<std::string>();
      together[static_cast<std::size_t>(i)] = text;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(together, alone);
}

TEST_F(OpenAiService, AClientThatGoesAwayIsNotWorkedFor) {
  start();
  {
    test::RawClient client(server_->port());
    client.send(
        post("/v1/completions",
             R"({"prompt": "a", "max_tokens": 400, "ignore_eos": true, "stream": true, "n": 4})"));
    ASSERT_TRUE(client.receive_until("data: "));
  }
  {
    test::RawClient waiting(server_->port());
    waiting.send(post("/v1/completions",
                      R"({"prompt": "a", "max_tokens": 400, "ignore_eos": true, "n": 4})"));
  }
  EXPECT_TRUE(becomes_idle());
}

TEST_F(OpenAiService, ForcedCallsAreCallsAlsoWhenStreamed) {
  start();
  Json body = Json::parse(
      R"({"messages": [{"role": "user", "content": "Weather?"}], "max_tokens": 700, "seed": 4,
    "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object",
      "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"], "additionalProperties": false}}}],
    "tool_choice": "required"})");
  const auto answer = ask("/v1/chat/completions", body.dump());
  ASSERT_EQ(answer.status, 200) << answer.body;
  const Json whole = Json::parse(answer.body)["choices"][0];
  EXPECT_EQ(whole["finish_reason"], "tool_calls");
  const auto arguments =
      whole["message"]["tool_calls"][0]["function"]["arguments"].get<std::string>();
  EXPECT_THAT(Json::parse(arguments)["city"], ::testing::AnyOf("Rome", "Oslo"));
  body["stream"] = true;
  std::istringstream lines(ask("/v1/chat/completions", body.dump()).body);
  std::string streamed;
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("data: {"))
      for (const Json& call :
           Json::parse(line.substr(6))["choices"][0]["delta"].value("tool_calls", Json::array()))
        streamed += call["function"]["arguments"].get<std::string>();
  EXPECT_EQ(streamed, arguments);
}

TEST_F(OpenAiService, ManyInputsDoNotFillTheQueue) {
  start();
  Json inputs = Json::array();
  for (int i = 0; i < 300; ++i) inputs.push_back({i % 50 + 100, 7});
  const auto answer = ask("/v1/embeddings", Json{{"input", inputs}, {"dimensions", 4}}.dump());
  ASSERT_EQ(answer.status, 200) << answer.body;
  const Json data = Json::parse(answer.body)["data"];
  ASSERT_EQ(data.size(), 300U);
  EXPECT_EQ(data[3]["embedding"], data[53]["embedding"]);
  EXPECT_NE(data[3]["embedding"], data[4]["embedding"]);
  EXPECT_TRUE(becomes_idle());
}

TEST_F(OpenAiService, TimeoutsAndLimitsHaveTheirAnswers) {
  start();
  const auto late =
      ask("/v1/completions",
          R"({"prompt": "a", "max_tokens": 500, "ignore_eos": true, "timeout": 0.001})");
  EXPECT_EQ(late.status, 408);
  EXPECT_EQ(Json::parse(late.body)["error"]["code"], "timeout");
  EXPECT_EQ(ask("/v1/completions", R"({"prompt": "a", "max_tokens": 5000})").status, 400);
  const auto unknown = ask("/v1/completions", R"({"prompt": "a", "model": "gpt"})");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(Json::parse(unknown.body)["error"]["code"], "model_not_found");
  loop_->drain();
  const auto draining = ask("/v1/completions", R"({"prompt": "a"})");
  EXPECT_EQ(draining.status, 503);
  EXPECT_NE(draining.header("retry-after"), "");
  EXPECT_EQ(get("/ready").status, 503);
  EXPECT_EQ(get("/health").status, 200);
  EXPECT_THAT(get("/metrics").body, HasSubstr("ridgeline:num_requests_running"));
}

TEST_F(OpenAiService, KeysAndTheirLimits) {
  const std::string path = ::testing::TempDir() + "/ridgeline_service_keys";
  std::ofstream(path) << "alice sk-alice-0123456789 rpm=1\n";
  auto keys = ApiKeys::load(path);
  std::remove(path.c_str());
  ASSERT_TRUE(keys) << keys.error().message;
  start(*std::move(keys));
  const std::string body = R"({"prompt": "a", "max_tokens": 1})";
  EXPECT_EQ(ask("/v1/completions", body).status, 401);
  EXPECT_EQ(ask("/v1/completions", body, "Authorization: Bearer sk-bob\r\n").status, 401);
  EXPECT_EQ(get("/v1/models").status, 401);
  EXPECT_EQ(get("/health").status, 200);
  const std::string alice = "Authorization: Bearer sk-alice-0123456789\r\n";
  const auto first = ask("/v1/completions", body, alice);
  EXPECT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(first.header("x-ratelimit-limit-requests"), "1");
  const auto second = ask("/v1/completions", body, alice);
  EXPECT_EQ(second.status, 429);
  EXPECT_NE(second.header("retry-after"), "");
}

}  // namespace
}  // namespace ridgeline::openai
