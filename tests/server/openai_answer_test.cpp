#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ridgeline/server/openai/chat_answer.h"
#include "ridgeline/server/openai/completion_answer.h"
#include "ridgeline/server/openai/embedding_endpoint.h"
#include "ridgeline/server/openai/responses_answer.h"
#include "tests/server/openai_fixture.h"

namespace ridgeline::openai {
namespace {

using ::testing::ElementsAre;
using testing::Fixture;
using testing::sse;

constexpr const char* kTools =
    R"("tools": [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}])";

/// All that an answer writes for these events of its first request.
std::string run(Answer& answer, std::vector<std::vector<TokenEvent>> per_choice) {
  std::string out;
  for (std::vector<TokenEvent>& events : per_choice)
    for (TokenEvent& event : events) answer.on_event(0, std::move(event), out);
  EXPECT_TRUE(answer.complete());
  answer.finish(out);
  return out;
}

std::unique_ptr<Answer> chat(const Fixture& f, const std::string& more, GrammarCache& grammars) {
  Json body = Json::parse(R"({"messages": [{"role": "user", "content": "Hi"}])" +
                          (more.empty() ? "" : ", " + more) + "}");
  ChatRequest request = *read_chat_request(body, f.served);
  ChatPlan plan = *plan_chat(request, f.served, grammars);
  return std::make_unique<ChatAnswer>(std::move(request), std::move(plan), f.served);
}

TEST(OpenAiChatAnswer, Whole) {
  const Fixture f;
  GrammarCache grammars(4);
  const Json answer = Json::parse(
      run(*chat(f, R"("logprobs": true, "top_logprobs": 2)", grammars), {f.events("Hey")}));
  EXPECT_EQ(answer["object"], "chat.completion");
  EXPECT_EQ(answer["model"], "test-model");
  const Json& choice = answer["choices"][0];
  EXPECT_EQ(choice["message"]["content"], "Hey");
  EXPECT_EQ(choice["message"]["role"], "assistant");
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["logprobs"]["content"].size(), f.tokenizer->encode("Hey").size());
  EXPECT_EQ(choice["logprobs"]["content"][0]["top_logprobs"].size(), 2U);
  EXPECT_EQ(choice["logprobs"]["content"][0]["bytes"][0], 'H');
  EXPECT_EQ(answer["usage"]["completion_tokens"], f.tokenizer->encode("Hey").size() + 1);
  EXPECT_EQ(answer["usage"]["total_tokens"], answer["usage"]["prompt_tokens"].get<int>() +
                                                 answer["usage"]["completion_tokens"].get<int>());
}

TEST(OpenAiChatAnswer, StreamedChoicesSayTheSameAsWholeOnes) {
  const Fixture f;
  GrammarCache grammars(4);
  const std::string text =
      "Let me.<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": [1, 2]}}</tool_call>"
      "<tool_call>{\"name\": \"g\", \"arguments\": {}}</tool_call>";
  const auto events = [&] {
    return std::vector{f.events(text, 0), f.events("No.", 1, FinishReason::kLength)};
  };
  const std::string more = std::string(kTools) + R"(, "n": 2, "logprobs": true)";
  const Json whole = Json::parse(run(*chat(f, more, grammars), events()));
  const std::string stream = run(
      *chat(f, more + R"(, "stream": true, "stream_options": {"include_usage": true})", grammars),
      events());
  EXPECT_TRUE(stream.ends_with("data: [DONE]\n\n"));

  Json merged = Json::array({{{"content", ""}}, {{"content", ""}}});
  std::size_t logprobs[2] = {0, 0};
  for (const Json& chunk : sse(stream)) {
    EXPECT_EQ(chunk["object"], "chat.completion.chunk");
    for (const Json& choice : chunk["choices"]) {
      EXPECT_TRUE(chunk["usage"].is_null());
      Json& to = merged[choice["index"].get<std::size_t>()];
      const Json& delta = choice["delta"];
      if (delta.contains("content"))
        to["content"] = to["content"].get<std::string>() + delta["content"].get<std::string>();
      for (const Json& call : delta.value("tool_calls", Json::array())) {
        const auto index = call["index"].get<std::size_t>();
        if (call.contains("id")) {
          EXPECT_EQ(to["calls"].size(), index);
          to["calls"].push_back({{"name", call["function"]["name"]}, {"arguments", ""}});
        }
        Json& arguments = to["calls"][index]["arguments"];
        arguments = arguments.get<std::string>() + call["function"]["arguments"].get<std::string>();
      }
      if (!choice["logprobs"].is_null())
        logprobs[choice["index"].get<std::size_t>()] += choice["logprobs"]["content"].size();
      if (!choice["finish_reason"].is_null()) to["finish_reason"] = choice["finish_reason"];
    }
    if (chunk["choices"].empty()) {
      EXPECT_EQ(chunk["usage"], whole["usage"]);
    }
  }
  EXPECT_EQ(merged[0]["content"], "Let me.");
  EXPECT_EQ(merged[0]["finish_reason"], "tool_calls");
  EXPECT_EQ(merged[1]["content"], "No.");
  EXPECT_EQ(merged[1]["finish_reason"], "length");
  for (std::size_t i = 0; i < 2; ++i) {
    const Json& message = whole["choices"][i]["message"];
    EXPECT_EQ(message["content"], merged[i]["content"]);
    EXPECT_EQ(whole["choices"][i]["finish_reason"], merged[i]["finish_reason"]);
    EXPECT_EQ(whole["choices"][i]["logprobs"]["content"].size(), logprobs[i]);
  }
  const Json& calls = whole["choices"][0]["message"]["tool_calls"];
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0]["function"]["arguments"], R"({"a": [1, 2]})");
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(calls[i]["function"]["name"], merged[0]["calls"][i]["name"]);
    EXPECT_EQ(calls[i]["function"]["arguments"], merged[0]["calls"][i]["arguments"]);
  }
}

TEST(OpenAiChatAnswer, OneCallWhereTheyMayNotBeParallel) {
  const Fixture f;
  GrammarCache grammars(4);
  const Json answer = Json::parse(
      run(*chat(f, std::string(kTools) + R"(, "parallel_tool_calls": false)", grammars),
          {f.events("<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>"
                    "<tool_call>{\"name\": \"g\", \"arguments\": {}}</tool_call> and more")}));
  EXPECT_EQ(answer["choices"][0]["message"]["tool_calls"].size(), 1U);
  EXPECT_EQ(answer["choices"][0]["message"]["content"], nullptr);
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "tool_calls");
}

TEST(OpenAiChatAnswer, DraftsAreInTheUsageOnceTheRequestHasEnded) {
  const Fixture f;
  GrammarCache grammars(4);
  auto events = f.events("Hey");
  events.back().summary.emplace().speculation = {
      .checks = 2, .tokens = 3, .drafted = 5, .accepted = 1, .seconds = 0.5, .plain_seconds = 0.75};
  const auto chunks = sse(run(
      *chat(
          f,
          R"("stream": true, "stream_options": {"include_usage": true, "continuous_usage_stats": true})",
          grammars),
      {events}));
  EXPECT_FALSE(chunks[1]["usage"].contains("speculation"));
  EXPECT_FALSE(
      chunks[1]["usage"]["completion_tokens_details"].contains("accepted_prediction_tokens"));
  const Json& usage = chunks.back()["usage"];
  EXPECT_EQ(usage["speculation"],
            Json::parse(R"({"passes": 2, "tokens": 3, "drafted_tokens": 5, "accepted_tokens": 1,
                            "estimated_speedup": 1.5})"));
  EXPECT_EQ(usage["completion_tokens_details"]["accepted_prediction_tokens"], 1);
  EXPECT_EQ(usage["completion_tokens_details"]["rejected_prediction_tokens"], 4);
}

TEST(OpenAiChatAnswer, ReasoningHasAFieldOfItsOwn) {
  const Fixture f;
  GrammarCache grammars(4);
  const Json answer =
      Json::parse(run(*chat(f, R"("chat_template_kwargs": {"think": true})", grammars),
                      {f.events("hm hm</think>\nYes.")}));
  EXPECT_EQ(answer["choices"][0]["message"]["reasoning_content"], "hm hm");
  EXPECT_EQ(answer["choices"][0]["message"]["content"], "Yes.");
  EXPECT_GT(answer["usage"]["completion_tokens_details"]["reasoning_tokens"], 3);
}

TEST(OpenAiChatAnswer, StopTextsAreShownWhereTheyAreWanted) {
  const Fixture f;
  GrammarCache grammars(4);
  auto events = f.events("abc", 0, FinishReason::kLength);
  events.back().finished = FinishReason::kStop;
  events.back().stop_string = "END";
  for (const bool shown : {false, true}) {
    const Json answer =
        Json::parse(run(*chat(f,
                              std::string(R"("stop": "END", "include_stop_str_in_output": )") +
                                  (shown ? "true" : "false"),
                              grammars),
                        {events}));
    EXPECT_EQ(answer["choices"][0]["message"]["content"], shown ? "abcEND" : "abc");
    EXPECT_EQ(answer["choices"][0]["stop_reason"], "END");
  }
}

CompletionAnswer completion(const Fixture& f, const char* more) {
  Json body = Json::parse(R"({"prompt": "Hi"})");
  body.update(Json::parse(more));
  CompletionRequest request = *read_completion_request(body, f.served);
  std::vector<std::vector<TokenId>> prompts;
  for (const Prompt& prompt : request.prompts)
    prompts.push_back(prompt.is_tokens ? prompt.tokens : f.tokenizer->encode(prompt.text));
  return {std::move(request), std::move(prompts), f.served};
}

TEST(OpenAiCompletionAnswer, EchoAndLogprobs) {
  const Fixture f;
  CompletionAnswer answer = completion(f, R"({"echo": true, "logprobs": 2})");
  auto events = f.events("ab", 0, FinishReason::kLength);
  events.front().prompt_logprobs = {TokenLogprobs{{'i', -0.25F, 1}, {}}};
  const Json json = Json::parse(run(answer, {std::move(events)}));
  const Json& choice = json["choices"][0];
  EXPECT_EQ(choice["text"], "Hiab");
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_EQ(choice["logprobs"]["tokens"][0], "H");
  EXPECT_TRUE(choice["logprobs"]["token_logprobs"][0].is_null());
  EXPECT_EQ(choice["logprobs"]["token_logprobs"][1], -0.25);
  EXPECT_EQ(choice["logprobs"]["token_logprobs"].size(), choice["logprobs"]["tokens"].size());
  EXPECT_EQ(choice["logprobs"]["text_offset"], Json::parse("[0, 1, 2, 3]"));
}

TEST(OpenAiCompletionAnswer, BestOfKeepsTheLikeliest) {
  const Fixture f;
  CompletionAnswer answer = completion(f, R"({"best_of": 3, "n": 2})");
  auto likely = f.events("L", 1), middle = f.events("M", 2), unlikely = f.events("U", 0);
  unlikely[0].logprobs->chosen.logprob = -9;
  likely[0].logprobs->chosen.logprob = -0.1F;
  const Json json = Json::parse(run(answer, {unlikely, likely, middle}));
  ASSERT_EQ(json["choices"].size(), 2U);
  EXPECT_EQ(json["choices"][0]["text"], "L");
  EXPECT_EQ(json["choices"][1]["text"], "M");
  EXPECT_EQ(json["choices"][1]["index"], 1);
  EXPECT_TRUE(json["choices"][0]["logprobs"].is_null());
}

TEST(OpenAiCompletionAnswer, PromptsAreNumberedOneAfterTheOther) {
  const Fixture f;
  CompletionAnswer answer = completion(f, R"({"prompt": ["A", "B"], "n": 2, "stream": true})");
  std::string out;
  for (std::size_t prompt : {1U, 0U})
    for (int choice : {1, 0})
      for (TokenEvent& event : f.events(std::to_string(prompt) + std::to_string(choice), choice))
        answer.on_event(prompt, std::move(event), out);
  EXPECT_TRUE(answer.complete());
  std::string texts[4];
  for (const Json& chunk : sse(out))
    texts[chunk["choices"][0]["index"].get<std::size_t>()] +=
        chunk["choices"][0]["text"].get<std::string>();
  EXPECT_THAT(texts, ElementsAre("00", "01", "10", "11"));
}

TEST(OpenAiEmbeddingAnswer, BothEncodings) {
  const Fixture f;
  for (const bool base64 : {false, true}) {
    const auto request =
        *read_embedding_request(Json{{"input", {"a", "b"}},
                                     {"encoding_format", base64 ? "base64" : "float"},
                                     {"dimensions", 2}},
                                f.served);
    const auto answer = make_embedding_answer(request, {1, 2});
    std::string out;
    for (std::size_t i : {1U, 0U}) {
      TokenEvent event;
      event.embedding = {3, 4, 5, static_cast<float>(i)};
      answer->on_event(i, std::move(event), out);
    }
    answer->finish(out);
    const Json json = Json::parse(out);
    EXPECT_EQ(json["usage"]["total_tokens"], 3);
    if (base64)
      EXPECT_EQ(json["data"][1]["embedding"], "mpkZP83MTD8=");
    else
      EXPECT_NEAR(json["data"][1]["embedding"][0].get<double>(), 0.6, 1e-6);
  }
  EXPECT_EQ(base64({}), "");
  EXPECT_EQ(base64({1}), "AACAPw==");
}

std::vector<Json> respond(const Fixture& f, const std::string& more,
                          std::vector<TokenEvent> events) {
  GrammarCache grammars(4);
  ResponsesRequest request = *read_responses_request(
      Json::parse(R"({"input": "Hi", "stream": true)" + more + "}"), f.served);
  ChatPlan plan = *plan_chat(request.chat, f.served, grammars);
  ResponsesAnswer answer(std::move(request), std::move(plan), f.served);
  return sse(run(answer, {std::move(events)}));
}

TEST(OpenAiResponsesAnswer, EventsComeInOrder) {
  const Fixture f;
  const auto events = respond(
      f,
      std::string(
          R"(, "tools": [{"type": "function", "name": "f"}], "chat_template_kwargs": {"think": true})"),
      f.events(
          "why</think>Well.<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</tool_call>"));
  std::vector<std::string> types;
  for (std::size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i]["sequence_number"], i);
    const auto type = events[i]["type"].get<std::string>();
    if (types.empty() || types.back() != type) types.push_back(type);
  }
  EXPECT_THAT(
      types,
      ElementsAre("response.created", "response.in_progress", "response.output_item.added",
                  "response.content_part.added", "response.reasoning_text.delta",
                  "response.reasoning_text.done", "response.content_part.done",
                  "response.output_item.done", "response.output_item.added",
                  "response.content_part.added", "response.output_text.delta",
                  "response.output_text.done", "response.content_part.done",
                  "response.output_item.done", "response.output_item.added",
                  "response.function_call_arguments.delta", "response.function_call_arguments.done",
                  "response.output_item.done", "response.completed"));
  const Json& response = events.back()["response"];
  ASSERT_EQ(response["output"].size(), 3U);
  EXPECT_EQ(response["output"][0]["content"][0]["text"], "why");
  EXPECT_EQ(response["output"][1]["content"][0]["text"], "Well.");
  EXPECT_EQ(response["output"][2]["arguments"], R"({"a": 1})");
  EXPECT_EQ(response["status"], "completed");
  EXPECT_EQ(response["store"], false);
}

TEST(OpenAiResponsesAnswer, IncompleteAtTheLimit) {
  const Fixture f;
  const auto events = respond(f, "", f.events("Well", 0, FinishReason::kLength));
  EXPECT_EQ(events.back()["type"], "response.incomplete");
  EXPECT_EQ(events.back()["response"]["incomplete_details"]["reason"], "max_output_tokens");
  EXPECT_EQ(events.back()["response"]["output"][0]["status"], "incomplete");
}

}  // namespace
}  // namespace ridgeline::openai
