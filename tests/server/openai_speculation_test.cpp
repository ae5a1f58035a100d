#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sstream>
#include <thread>
#include <vector>

#include "tests/server/service_fixture.h"

// Drafts are no part of the API: answers are what they would be without them, however many tokens
// a step brings.
namespace ridgeline::openai {
namespace {

using testing::Json;

/// Drafts that are mostly wrong at first, and mostly right once a text has been written.
SpeculationOptions all_drafters() {
  return {.lookup = true, .recent = true, .max_draft = 6, .fixed_length = 6};
}

constexpr const char* kTool =
    R"("tools": [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object",
    "properties": {"city": {"enum": ["Rome", "Oslo"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"], "additionalProperties": false}}}], "tool_choice": "required")";
constexpr const char* kPerson =
    R"({"type": "object", "properties": {"name": {"type": "string", "maxLength": 8},
    "age": {"type": "integer", "minimum": 0, "maximum": 99}}, "required": ["name", "age"], "additionalProperties": false})";

struct Question {
  const char* path;
  std::string body;
};

std::vector<Question> questions() {
  const std::string completion = R"({"prompt": "Once upon a time there was", "ignore_eos": true, )";
  const std::string chat =
      R"({"messages": [{"role": "user", "content": "Tell me of the fire, the fire."}], )";
  constexpr const char* kCompletions = "/v1/completions";
  constexpr const char* kChat = "/v1/chat/completions";
  return {
      {kCompletions, completion + R"("temperature": 0, "max_tokens": 60})"},
      {kCompletions, completion + R"("seed": 3, "max_tokens": 60, "repetition_penalty": 1.1})"},
      {kCompletions, completion + R"("seed": 4, "max_tokens": 40, "logprobs": 3, "n": 2})"},
      {kCompletions, completion + R"("seed": 5, "max_tokens": 60, "stop": ["the ", "a", "."],
          "min_tokens": 20, "include_stop_str_in_output": true})"},
      {kCompletions, completion + R"("temperature": 0.3, "seed": 6, "max_tokens": 30, "echo": true,
          "logprobs": 1, "return_token_ids": true})"},
      {kCompletions,
       R"({"prompt": ["The fire", "Once upon a time", "A"], "seed": 7, "max_tokens": 24})"},
      {kCompletions, R"({"prompt": "Who?", "seed": 8, "max_tokens": 300, "guided_json": )" +
                         std::string(kPerson) + "}"},
      {kCompletions,
       R"({"prompt": "Number", "seed": 9, "max_tokens": 40, "guided_regex": "([0-9]{3}-x )*"})"},
      {kChat, chat + R"("seed": 10, "max_tokens": 40, "n": 3, "logprobs": true, "top_logprobs": 2,
          "temperature": 0.7})"},
      {kChat, chat + R"("seed": 11, "max_tokens": 600, )" + kTool + "}"},
      {kChat,
       chat + R"("seed": 12, "max_tokens": 600, "parallel_tool_calls": false, )" + kTool + "}"},
      {kChat, chat + R"("seed": 13, "max_tokens": 30, "top_p": 0.9, "presence_penalty": 0.5})"},
  };
}

/// What a choice says, streamed or not.
void add_choice(const Json& choice, Json& to) {
  Json& said = to[std::to_string(choice["index"].get<int>())];
  if (said.is_null()) said = Json::object();
  const auto append = [&said](const char* name, const Json& more) {
    if (more.is_string())
      said[name] = said.value(name, "") + more.get<std::string>();
    else if (more.is_array())
      for (const Json& item : more) said[name].push_back(item);
  };
  append("text", choice.value("text", Json()));
  append("token_ids", choice.value("token_ids", Json()));
  const Json message = choice.value("message", choice.value("delta", Json::object()));
  append("text", message.value("content", Json()));
  for (const Json& call : message.value("tool_calls", Json::array())) {
    append("calls", call["function"].value("name", Json()));
    append("calls", call["function"]["arguments"]);
  }
  if (const Json logprobs = choice.value("logprobs", Json()); logprobs.is_object())
    for (const char* name : {"content", "tokens", "token_logprobs", "top_logprobs", "text_offset"})
      append(name, logprobs.value(name, Json()));
  for (const char* name : {"finish_reason", "stop_reason"})
    if (choice.contains(name) && !choice[name].is_null()) said[name] = choice[name];
}

class Speculation : public testing::OpenAiService {
 protected:
  struct Said {
    Json choices = Json::object(), usage;
    int chunks = 0;
  };
  Said said(const Question& question, bool stream, bool speculate = true) {
    Json body = Json::parse(question.body);
    if (!speculate) body["speculate"] = false;
    if (stream) {
      body["stream"] = true;
      body["stream_options"] = {{"include_usage", true}};
    }
    const auto answer = ask(question.path, body.dump());
    EXPECT_EQ(answer.status, 200) << answer.body;
    Said said;
    if (!stream) {
      const Json whole = Json::parse(answer.body);
      for (const Json& choice : whole["choices"]) add_choice(choice, said.choices);
      said.usage = whole["usage"];
      return said;
    }
    EXPECT_TRUE(answer.body.ends_with("data: [DONE]\n\n"));
    std::istringstream lines(answer.body);
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with("data: {")) continue;
      const Json chunk = Json::parse(line.substr(6));
      for (const Json& choice : chunk["choices"]) add_choice(choice, said.choices);
      if (!chunk["usage"].is_null()) said.usage = chunk["usage"];
      ++said.chunks;
    }
    return said;
  }
};

TEST_F(Speculation, AnswersAreThoseWithoutIt) {
  std::vector<Said> whole, streamed;
  start();
  for (const Question& question : questions()) {
    whole.push_back(said(question, false));
    streamed.push_back(said(question, true));
    EXPECT_FALSE(whole.back().usage.contains("speculation"));
  }
  start(ApiKeys::anonymous({}), all_drafters());
  for (std::size_t i = 0; const Question& question : questions()) {
    SCOPED_TRACE(question.body);
    const Said now = said(question, false), stream = said(question, true);
    EXPECT_EQ(now.choices, whole[i].choices);
    EXPECT_EQ(stream.choices, streamed[i].choices);
    // Tokens that a step brings together are told one by one.
    EXPECT_EQ(stream.chunks, streamed[i].chunks);
    for (const char* count : {"prompt_tokens", "completion_tokens", "total_tokens"}) {
      EXPECT_EQ(now.usage[count], whole[i].usage[count]);
      EXPECT_EQ(stream.usage[count], whole[i].usage[count]);
    }
    EXPECT_EQ(said(question, false, /*speculate=*/false).choices, whole[i].choices);
    ++i;
  }
  const SpeculationStats stats = loop_->stats().speculation;
  EXPECT_GT(stats.all.accepted, 300u);
  EXPECT_GT(stats.all.drafted, stats.all.accepted + 300);
  EXPECT_EQ(loop_->stats().kv_blocks_in_use, 0);
}

TEST_F(Speculation, TogetherTooWhileSomeLeaveAndSomeAreLate) {
  start();
  std::map<int, Json> alone;
  const auto question = [](int i) {
    return Question{
        "/v1/completions",
        Json{{"prompt", "Once upon a time " + std::string(1, static_cast<char>('a' + i))},
             {"seed", i},
             {"max_tokens", 60},
             {"ignore_eos", true}}
            .dump()};
  };
  for (int i = 0; i < 4; ++i) alone[i] = said(question(i), true).choices;
  start(ApiKeys::anonymous({}), all_drafters());
  const std::string endless =
      R"({"prompt": "a", "max_tokens": 900, "ignore_eos": true, "stream": true, "n": 2)";
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i)
    clients.emplace_back([&, i] {
      for (int round = 0; round < 3; ++round) EXPECT_EQ(said(question(i), true).choices, alone[i]);
    });
  clients.emplace_back([&] {
    for (int round = 0; round < 5; ++round) {
      test::RawClient client(server_->port());
      client.send(post("/v1/completions", endless + "}"));
      EXPECT_TRUE(client.receive_until("data: "));
    }
  });
  clients.emplace_back([&] {
    for (int round = 0; round < 5; ++round)
      EXPECT_THAT(ask("/v1/completions", endless + R"(, "timeout": 0.05})").body,
                  ::testing::HasSubstr("timeout"));
  });
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(becomes_idle());
  EXPECT_EQ(loop_->stats().kv_blocks_in_use, 0);
  EXPECT_EQ(said(question(0), false).choices["0"]["text"], alone[0]["0"]["text"]);
  EXPECT_GT(loop_->stats().speculation.all.accepted, 50u);
}

TEST_F(Speculation, UsageTellsOfDrafts) {
  start(ApiKeys::anonymous({}), {.lookup = true, .fixed_length = 6});
  Json body{
      {"prompt", "Once upon a time"}, {"temperature", 0}, {"max_tokens", 48}, {"ignore_eos", true}};
  const Said first = said({"/v1/completions", body.dump()}, false);
  body["prediction"] = {{"type", "content"}, {"content", first.choices["0"]["text"]}};
  const Said predicted = said({"/v1/completions", body.dump()}, true);
  EXPECT_EQ(predicted.choices["0"]["text"], first.choices["0"]["text"]);
  const Json& drafts = predicted.usage["speculation"];
  EXPECT_EQ(drafts["tokens"], 47) << "all but the prompt's first";
  EXPECT_LT(drafts["passes"], 12);
  EXPECT_GT(drafts["accepted_tokens"], 36);
  EXPECT_GT(drafts["accepted_tokens"],
            2 * first.usage["speculation"]["accepted_tokens"].get<int>());
  EXPECT_GT(drafts["estimated_speedup"], 0);
  const Json& details = predicted.usage["completion_tokens_details"];
  EXPECT_EQ(details["accepted_prediction_tokens"], drafts["accepted_tokens"]);
  EXPECT_EQ(details["rejected_prediction_tokens"],
            drafts["drafted_tokens"].get<int>() - drafts["accepted_tokens"].get<int>());

  // A request that wants none, and a server that has stood them down.
  const auto without = [&](bool speculate) {
    const Said said = this->said({"/v1/completions", body.dump()}, false, speculate);
    EXPECT_EQ(said.choices["0"]["text"], first.choices["0"]["text"]);
    EXPECT_FALSE(said.usage.contains("speculation"));
    EXPECT_EQ(said.usage["completion_tokens_details"]["accepted_prediction_tokens"], 0);
  };
  without(false);
  loop_->set_speculation(false);
  without(true);
  EXPECT_FALSE(Json::parse(get("/stats").body)["speculation"]["allowed"]);
  loop_->set_speculation(true);

  const auto response =
      ask("/v1/responses", R"({"input": "Tell me.", "max_output_tokens": 20, "temperature": 0})");
  const Json usage = Json::parse(response.body)["usage"];
  EXPECT_GT(usage["speculation"]["passes"], 0) << response.body;
  EXPECT_THAT(get("/metrics").body, ::testing::HasSubstr("drafter_accepted_tokens_total{model_name="
                                                         "\"fireside\",engine=\"0\",drafter="
                                                         "\"lookup\"}"));
}

}  // namespace
}  // namespace ridgeline::openai
