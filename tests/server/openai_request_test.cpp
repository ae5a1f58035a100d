#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "ridgeline/server/openai/chat_plan.h"
#include "ridgeline/server/openai/completion_request.h"
#include "ridgeline/server/openai/embedding_endpoint.h"
#include "ridgeline/server/openai/responses_request.h"
#include "ridgeline/server/openai/tokenize_endpoint.h"
#include "ridgeline/text/tool_calls/call_grammar.h"
#include "tests/server/openai_fixture.h"

namespace ridgeline::openai {
namespace {

using ::testing::ElementsAre;
using testing::Fixture;
using ::testing::HasSubstr;

/// The field that is at fault; "" if none is.
template <class Request>
std::string param_of(const Checked<Request>& request) {
  if (request) return "";
  EXPECT_EQ(request.error().type,
            request.error().status == 404 ? "not_found_error" : "invalid_request_error");
  EXPECT_THAT(request.error().message, HasSubstr(request.error().param));
  return request.error().param;
}

Json with(const char* base, const std::string& more) {
  Json body = Json::parse(base);
  body.update(Json::parse("{" + more + "}"));
  return body;
}
constexpr const char* kChat =
    R"({"model": "test-model", "messages": [{"role": "user", "content": "Hi"}]})";
constexpr const char* kCompletion = R"({"model": "test-model", "prompt": "Hi"})";
constexpr const char* kResponse = R"({"model": "test-model", "input": "Hi"})";
constexpr const char* kTool =
    R"("tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}])";

TEST(OpenAiBody, BombsAndRubbishAreRefused) {
  for (const std::string& body :
       {std::string(), std::string("[]"), std::string("{"), std::string("{\"a\": NaN}"),
        std::string("{\"a\": Infinity}"), std::string("{\"a\": 1e999}"),
        std::string("{\"a\": \"\xff\"}"), std::string("{\"a\":1}x"), std::string(100000, '['),
        "{\"a\":" + std::string(100000, '[')})
    EXPECT_EQ(parse_body(body).error().status, 400) << body.substr(0, 20);
  std::string wide = "{";
  for (int i = 0; i < 2000; ++i) wide += "\"k" + std::to_string(i) + "\":1,";
  wide.back() = '}';
  EXPECT_THAT(parse_body(wide).error().message, HasSubstr("more than 1024 members"));
  EXPECT_TRUE(parse_body(R"({"a": "[[[[\"{{{", "b": [{}, [1, 2]]})"));
}

TEST(OpenAiRequests, WrongValuesNameTheirField) {
  const Fixture f;
  const std::pair<const char*, const char*> kWrong[] = {
      {R"("temperature": -1)", "temperature"},
      {R"("temperature": "hot")", "temperature"},
      {R"("top_p": 1.5)", "top_p"},
      {R"("top_p": 0)", "top_p"},
      {R"("top_k": 1.5)", "top_k"},
      {R"("top_k": -2)", "top_k"},
      {R"("min_p": 2)", "min_p"},
      {R"("repetition_penalty": 0)", "repetition_penalty"},
      {R"("presence_penalty": 3)", "presence_penalty"},
      {R"("frequency_penalty": -3)", "frequency_penalty"},
      {R"("n": 0)", "n"},
      {R"("n": 100000)", "n"},
      {R"("seed": 1e30)", "seed"},
      {R"("stop": [1])", "stop[0]"},
      {R"("stop": [""])", "stop[0]"},
      {R"("stop": {})", "stop"},
      {R"("stop_token_ids": [99999])", "stop_token_ids"},
      {R"("stop_token_ids": [-1])", "stop_token_ids[0]"},
      {R"("logit_bias": {"x": 1})", "logit_bias.x"},
      {R"("logit_bias": {"5": 101})", "logit_bias.5"},
      {R"("logit_bias": {"99999": 1})", "logit_bias.99999"},
      {R"("stream": 1)", "stream"},
      {R"("stream_options": {"include_usage": true})", "stream_options"},
      {R"("stream": true, "stream_options": {"include_usage": 3})", "stream_options.include_usage"},
      {R"("max_tokens": 0)", "max_tokens"},
      {R"("max_tokens": 99999999999999)", "max_tokens"},
      {R"("min_tokens": -1)", "min_tokens"},
      {R"("timeout": -1)", "timeout"},
      {R"("priority": 1e15)", "priority"},
      {R"("use_beam_search": true)", "use_beam_search"},
      {R"("logits_processors": ["x"])", "logits_processors"},
      {R"("model": "other")", "model"},
      {R"("response_format": {"type": "xml"})", "response_format.type"},
      {R"("response_format": {"type": "json_schema"})", "response_format.json_schema"},
      {R"("guided_regex": "a", "guided_choice": ["b"])", "guided_choice"},
      {R"("structured_outputs": {"choice": []})", "structured_outputs.choice"},
      {R"("structured_outputs": {"structural_tag": "x"})", "structured_outputs.structural_tag"},
      {R"("suffix": "x")", "suffix"},
  };
  for (const auto& [more, param] : kWrong) {
    EXPECT_EQ(param_of(read_completion_request(with(kCompletion, more), f.served)), param) << more;
    EXPECT_EQ(param_of(read_chat_request(with(kChat, more), f.served)), param) << more;
  }
}

TEST(OpenAiRequests, Predictions) {
  const Fixture f;
  const auto tokens_of = [&](const std::string& prediction) {
    const auto request = read_chat_request(with(kChat, R"("prediction": )" + prediction), f.served);
    EXPECT_TRUE(request) << request.error().message;
    return request->engine.prediction;
  };
  const auto plain = [&](const std::string& text) {
    Tokenizer::EncodeOptions options;
    options.add_bos = options.add_eos = false;
    return f.tokenizer->encode(text, options);
  };
  EXPECT_EQ(tokens_of(R"({"type": "content", "content": "a b"})"), plain("a b"));
  EXPECT_EQ(
      tokens_of(
          R"({"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": " b"}]})"),
      plain("a b"));
  // Text, whatever it looks like.
  EXPECT_EQ(tokens_of(R"({"type": "content", "content": "<|end|>"})"), plain("<|end|>"));
  EXPECT_TRUE(tokens_of(R"({"type": "content", "content": ""})").empty());
  EXPECT_TRUE(tokens_of("null").empty());
  // The other two endpoints know it as well.
  const std::string one = R"("prediction": {"type": "content", "content": "ab"})";
  EXPECT_EQ(read_completion_request(with(kCompletion, one), f.served)->engine.prediction,
            plain("ab"));
  EXPECT_EQ(read_responses_request(with(kResponse, one), f.served)->chat.engine.prediction,
            plain("ab"));

  const std::string longer(1001, 'x');
  const std::pair<std::string, const char*> kWrong[] = {
      {R"("text")", "prediction"},
      {R"({"content": "a"})", "prediction.type"},
      {R"({"type": "tokens", "content": "a"})", "prediction.type"},
      {R"({"type": 3, "content": "a"})", "prediction.type"},
      {R"({"type": "content"})", "prediction.content"},
      {R"({"type": "content", "content": 7})", "prediction.content"},
      {R"({"type": "content", "content": [7]})", "prediction.content[0]"},
      {R"({"type": "content", "content": [{"type": "image_url"}]})", "prediction.content[0].type"},
      {R"({"type": "content", "content": [{"type": "text"}]})", "prediction.content[0].text"},
      {R"({"type": "content", "content": ")" + longer + "\"}", "prediction.content"},
  };
  for (const auto& [value, param] : kWrong)
    EXPECT_EQ(param_of(read_chat_request(with(kChat, R"("prediction": )" + value), f.served)),
              param)
        << value;
}

TEST(OpenAiRequests, WhetherToSpeculate) {
  const Fixture f;
  EXPECT_TRUE(read_chat_request(with(kChat, ""), f.served)->engine.speculate);
  EXPECT_TRUE(read_chat_request(with(kChat, R"("speculate": null)"), f.served)->engine.speculate);
  EXPECT_FALSE(read_chat_request(with(kChat, R"("speculate": false)"), f.served)->engine.speculate);
  EXPECT_FALSE(read_completion_request(with(kCompletion, R"("speculate": false)"), f.served)
                   ->engine.speculate);
  EXPECT_EQ(param_of(read_chat_request(with(kChat, R"("speculate": "no")"), f.served)),
            "speculate");
}

TEST(OpenAiRequests, ChatRefusesByName) {
  const Fixture f;
  const std::pair<const char*, const char*> kWrong[] = {
      {R"("messages": [])", "messages"},
      {R"("messages": "Hi")", "messages"},
      {R"("messages": [{"role": "user"}])", "messages[0].content"},
      {R"("messages": [{"role": "wizard", "content": "x"}])", "messages[0].role"},
      {R"("messages": [{"role": "user", "content": 7}])", "messages[0].content"},
      {R"("messages": [{"role": "user", "content": [{"type": "image_url"}]}])",
       "messages[0].content[0].type"},
      {R"("messages": [{"role": "user", "content": [{"type": "text"}]}])",
       "messages[0].content[0].text"},
      {R"("messages": [{"role": "assistant", "tool_calls": [{"id": "a", "type": "function",
          "function": {"name": "f", "arguments": "{"}}]}])",
       "messages[0].tool_calls[0].function.arguments"},
      {R"("audio": {})", "audio"},
      {R"("modalities": ["text", "audio"])", "modalities"},
      {R"("functions": [{}])", "functions"},
      {R"("web_search_options": {})", "web_search_options"},
      {R"("store": true)", "store"},
      {R"("chat_template": "x")", "chat_template"},
      {R"("logprobs": 3)", "logprobs"},
      {R"("top_logprobs": 3)", "top_logprobs"},
      {R"("logprobs": true, "top_logprobs": 30)", "top_logprobs"},
      {R"("tool_choice": "required")", "tool_choice"},
      {R"("tools": [{"type": "custom"}])", "tools[0].type"},
      {R"("tools": [{"type": "function", "function": {"name": "a b"}}])", "tools[0].function.name"},
      {R"("continue_final_message": true)", "continue_final_message"},
      {R"("chat_template_kwargs": {"messages": []})", "chat_template_kwargs"},
  };
  for (const auto& [more, param] : kWrong)
    EXPECT_EQ(param_of(read_chat_request(with(kChat, more), f.served)), param) << more;
  const std::string tools = kTool;
  EXPECT_EQ(
      param_of(read_chat_request(with(kChat, tools + R"(, "tool_choice": "maybe")"), f.served)),
      "tool_choice");
  EXPECT_EQ(param_of(read_chat_request(
                with(kChat,
                     tools + R"(, "tool_choice": {"type": "function", "function": {"name": "g"}})"),
                f.served)),
            "tool_choice");
  const Fixture without("{{ messages[0].content }}");
  EXPECT_EQ(param_of(read_chat_request(with(kChat, tools), without.served)), "tools");
}

TEST(OpenAiRequests, NeutralAndUnknownFieldsAreLetThrough) {
  const Fixture f;
  const char* kNeutral =
      R"("audio": null, "modalities": ["text"], "store": false, "best_of": 1, "metadata": {"a": "b"},
         "functions": [], "some_new_field": {"x": 1}, "user": "u", "temperature": null, "top_k": -1,
         "mirostat": 0, "length_penalty": 1.0, "service_tier": "auto", "tools": [], "parallel_tool_calls": true)";
  const auto request = read_chat_request(with(kChat, kNeutral), f.served);
  EXPECT_EQ(param_of(request), "");
  EXPECT_EQ(request->engine.params.top_k, 0);
}

TEST(OpenAiRequests, DefaultsAreOpenAisThenTheModels) {
  Fixture f;
  auto request = read_completion_request(Json::parse(kCompletion), f.served);
  const SamplingParams& p = request->engine.params;
  EXPECT_EQ(p.temperature, 1);
  EXPECT_EQ(p.top_p, 1);
  EXPECT_EQ(p.top_k, 0);
  EXPECT_EQ(p.min_p, 0);
  EXPECT_EQ(p.repeat_last_n, -1);
  EXPECT_EQ(p.max_tokens, 16);
  f.served.defaults = {0.6, 0.9, {}, 1.1, 20};
  request = read_completion_request(with(kCompletion, R"("top_p": 0.5)"), f.served);
  EXPECT_EQ(request->engine.params.temperature, 0.6);
  EXPECT_EQ(request->engine.params.top_p, 0.5);
  EXPECT_EQ(request->engine.params.top_k, 20);
  EXPECT_EQ(request->engine.params.repetition_penalty, 1.1);
}

TEST(OpenAiRequests, PromptsInAllShapes) {
  const Fixture f;
  const auto prompts = [&](const char* prompt) {
    const auto request =
        read_completion_request(with(kCompletion, std::string("\"prompt\": ") + prompt), f.served);
    std::string shown;
    if (!request) return request.error().param;
    for (const Prompt& p : request->prompts)
      shown += p.is_tokens ? std::to_string(p.tokens.size()) + ";" : p.text + ";";
    return shown;
  };
  EXPECT_EQ(prompts(R"("a")"), "a;");
  EXPECT_EQ(prompts(R"(["a", "b"])"), "a;b;");
  EXPECT_EQ(prompts("[1, 2, 3]"), "3;");
  EXPECT_EQ(prompts("[[1], [2, 3]]"), "1;2;");
  EXPECT_EQ(prompts("[]"), "prompt");
  EXPECT_EQ(prompts("7"), "prompt");
  EXPECT_EQ(prompts("[1, \"a\"]"), "prompt[1]");
  EXPECT_EQ(prompts("[[1], [99999]]"), "prompt[1][0]");
  EXPECT_EQ(prompts("[\"a\", {}]"), "prompt[1]");
}

TEST(OpenAiRequests, PromptAndAnswerFitTheContext) {
  Fixture f;
  f.served.context = 10;
  auto request = *read_completion_request(with(kCompletion, R"("max_tokens": 8)"), f.served);
  EXPECT_FALSE(fit_to_context(request, 2, "prompt", "max_tokens", f.served));
  EXPECT_EQ(fit_to_context(request, 3, "prompt", "max_tokens", f.served)->code,
            "context_length_exceeded");
  EXPECT_EQ(fit_to_context(request, 10, "prompt", "max_tokens", f.served)->param, "prompt");
  EXPECT_EQ(fit_to_context(request, 0, "prompt", "max_tokens", f.served)->param, "prompt");
  auto chat = *read_chat_request(Json::parse(kChat), f.served);
  EXPECT_FALSE(fit_to_context(chat, 4, "messages", "max_tokens", f.served));
  EXPECT_EQ(chat.engine.params.max_tokens, 6);
}

TEST(OpenAiChat, MessagesBecomeWhatTemplatesRead) {
  const Fixture f;
  const auto request = *read_chat_request(Json::parse(R"({"messages": [
        {"role": "developer", "content": "D"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": null, "tool_calls": [
          {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "r"}]})"),
                                          f.served);
  EXPECT_EQ(*render_chat(request.prompt, f.served),
            "<|system|>D<|user|>a\nb<|assistant|>"
            R"([{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}, "id": "1"}])"
            "<|tool|>r<|assistant|>");
}

TEST(OpenAiChat, TheLastMessageCanBeContinued) {
  const Fixture f("{% for m in messages %}[{{ m.role }}]{{ m.content }}[end]{% endfor %}");
  auto body = Json::parse(R"({"messages": [{"role": "user", "content": "Hi"},
      {"role": "assistant", "content": "Well, "}], "continue_final_message": true,
      "add_generation_prompt": false})");
  const auto request = *read_chat_request(body, f.served);
  EXPECT_EQ(*render_chat(request.prompt, f.served), "[user]Hi[end][assistant]Well, ");
}

TEST(OpenAiChat, PlansKnowReasoningAndCalls) {
  const Fixture f;
  GrammarCache grammars(4);
  auto request = *read_chat_request(
      with(kChat, std::string(kTool) +
                      R"(, "chat_template_kwargs": {"think": true}, "tool_choice": "required")"),
      f.served);
  auto plan = plan_chat(request, f.served, grammars);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_TRUE(plan->output.inside_thinking);
  EXPECT_EQ(plan->output.calls, ToolCallFormat::kHermes);
  const auto vocabulary = std::make_shared<GrammarVocabulary>(*f.tokenizer);
  GrammarMatcher matcher(plan->grammar, vocabulary);
  EXPECT_TRUE(matcher.accept_text("I need it.</think>\n"));
  EXPECT_FALSE(matcher.accept_text("No."));
  EXPECT_TRUE(
      matcher.accept_text("<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>"));
  EXPECT_TRUE(matcher.must_end());
}

TEST(OpenAiChat, AFormatAndToolsTogetherLeaveTheChoice) {
  const Fixture f;
  GrammarCache grammars(4);
  const auto request = *read_chat_request(
      with(kChat,
           std::string(kTool) + R"(, "response_format": {"type": "json_schema", "json_schema":
          {"name": "n", "schema": {"type": "integer"}}})"),
      f.served);
  const auto plan = plan_chat(request, f.served, grammars);
  ASSERT_TRUE(plan) << plan.error().message;
  const auto vocabulary = std::make_shared<GrammarVocabulary>(*f.tokenizer);
  EXPECT_TRUE(GrammarMatcher(plan->grammar, vocabulary).accept_text("42"));
  EXPECT_TRUE(
      GrammarMatcher(plan->grammar, vocabulary).accept_text("<tool_call>\n{\"name\": \"f\""));
  EXPECT_FALSE(GrammarMatcher(plan->grammar, vocabulary).accept_text("Well"));
}

TEST(OpenAiChat, EveryFormatsCallsAreReadAsTheyAreForced) {
  const std::vector<ToolFunction> functions = {
      {"f", R"({"type": "object", "properties": {"s": {"type": "string"}, "n": {"type": "integer"}},
               "required": ["s", "n"], "additionalProperties": false})"}};
  const Fixture f;
  const auto vocabulary = std::make_shared<GrammarVocabulary>(*f.tokenizer);
  const std::pair<ToolCallFormat, const char*> kCalls[] = {
      {ToolCallFormat::kHermes,
       "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"s\": \"a\", \"n\": 1}}\n</tool_call>"},
      {ToolCallFormat::kLlama3, "{\"name\": \"f\", \"parameters\": {\"s\": \"a\", \"n\": 1}}"},
      {ToolCallFormat::kMistral,
       "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"s\": \"a\", \"n\": 1}}]"},
      {ToolCallFormat::kMistralArgs, "[TOOL_CALLS]f[ARGS]{\"s\": \"a\", \"n\": 1}"},
      {ToolCallFormat::kQwenCoder,
       "<tool_call>\n<function=f>\n<parameter=s>\na\n</parameter>\n"
       "<parameter=n>\n1\n</parameter>\n</function>\n</tool_call>"},
  };
  for (const auto& [format, text] : kCalls) {
    const auto grammar = tool_call_grammar(format, functions);
    ASSERT_TRUE(grammar) << grammar.error().message;
    GrammarMatcher matcher(*grammar, vocabulary);
    EXPECT_TRUE(matcher.accept_text(text)) << text;
    EXPECT_TRUE(matcher.may_end());
    OutputFormat output;
    output.calls = format;
    output.functions = functions;
    const auto parser = make_output_parser(output);
    std::vector<OutputPiece> pieces = parser->push(text);
    ASSERT_EQ(pieces.size(), 1U) << text;
    EXPECT_EQ(pieces[0].call_name, "f");
    EXPECT_EQ(Json::parse(pieces[0].text), Json::parse(R"({"s": "a", "n": 1})"));
  }
}

TEST(OpenAiResponses, ItemsBecomeMessages) {
  const Fixture f;
  const auto request = read_responses_request(Json::parse(R"({"instructions": "I", "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Q"}]},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "R"}]},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "2", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "o"}],
        "max_output_tokens": 20, "text": {"format": {"type": "json_object"}}})"),
                                              f.served);
  ASSERT_TRUE(request) << request.error().message;
  const Json messages = Json::parse(request->chat.prompt.messages);
  EXPECT_EQ(messages.size(), 4U);
  EXPECT_EQ(messages[0]["role"], "system");
  EXPECT_EQ(messages[2]["tool_calls"].size(), 2U);
  EXPECT_EQ(messages[2]["reasoning_content"], "R");
  EXPECT_EQ(messages[3]["content"], "o");
  EXPECT_EQ(request->chat.engine.params.max_tokens, 20);
  EXPECT_EQ(request->chat.constraint.kind, Constraint::Kind::kJsonObject);
}

TEST(OpenAiResponses, RefusesInItsOwnNames) {
  const Fixture f;
  const std::pair<const char*, const char*> kWrong[] = {
      {R"("previous_response_id": "resp_1")", "previous_response_id"},
      {R"("store": true)", "store"},
      {R"("background": true)", "background"},
      {R"("truncation": "auto")", "truncation"},
      {R"("input": [])", "input"},
      {R"("input": [{"type": "item_reference", "id": "x"}])", "input[0].type"},
      {R"("input": [{"role": "user", "content": [{"type": "input_image"}]}], "instructions": "I")",
       "input[0].content[0].type"},
      {R"("max_output_tokens": 0)", "max_output_tokens"},
      {R"("tools": [{"type": "web_search"}])", "tools[0].type"},
      {R"("text": {"format": {"type": "xml"}})", "text.format.type"},
      {R"("max_tokens": 5)", "max_tokens"},
      {R"("include": ["file_search_call.results"])", "include"},
      {R"("temperature": -1)", "temperature"},
  };
  for (const auto& [more, param] : kWrong)
    EXPECT_EQ(param_of(read_responses_request(with(kResponse, more), f.served)), param) << more;
}

TEST(OpenAiTokenize, BothShapes) {
  const Fixture f;
  const auto tokens =
      tokenize(Json::parse(R"({"prompt": "ab", "return_token_strs": true})"), f.served);
  ASSERT_TRUE(tokens);
  EXPECT_EQ((*tokens)["count"], (*tokens)["tokens"].size());
  EXPECT_EQ((*tokens)["max_model_len"], 1000);
  EXPECT_EQ((*tokens)["token_strs"].size(), (*tokens)["tokens"].size());
  const auto text = detokenize(Json{{"tokens", (*tokens)["tokens"]}}, f.served);
  EXPECT_EQ((*text)["prompt"], "ab");
  EXPECT_EQ((*text)["content"], "ab");
  const auto chat = tokenize(Json::parse(kChat), f.served);
  ASSERT_TRUE(chat);
  EXPECT_EQ((*detokenize(Json{{"tokens", (*chat)["tokens"]}}, f.served))["prompt"],
            "<|user|>Hi<|assistant|>");
  EXPECT_EQ(tokenize(Json::object(), f.served).error().param, "prompt");
  EXPECT_EQ(detokenize(Json{{"tokens", {99999}}}, f.served).error().param, "tokens[0]");
}

/// Whatever stands in a field, it is read or refused.
TEST(OpenAiRequests, AnyValueInAnyFieldIsAnsweredNotCrashedOn) {
  const Fixture f;
  const char* kFields[] = {"model",
                           "messages",
                           "prompt",
                           "input",
                           "tools",
                           "tool_choice",
                           "stop",
                           "logit_bias",
                           "response_format",
                           "structured_outputs",
                           "stream_options",
                           "chat_template_kwargs",
                           "text",
                           "reasoning",
                           "include",
                           "metadata",
                           "tokens",
                           "content",
                           "n",
                           "seed",
                           "max_tokens",
                           "instructions"};
  const char* kValues[] = {"null",
                           "true",
                           "-1",
                           "1.5",
                           "18446744073709551615",
                           "1e300",
                           "\"\"",
                           "\"x\"",
                           "[]",
                           "{}",
                           "[1]",
                           "[[]]",
                           "[{}]",
                           "[null]",
                           "{\"type\": \"function\"}",
                           "[{\"role\": \"user\", \"content\": []}]",
                           "[{\"type\": \"function\", \"function\": {}}]",
                           "{\"type\": \"json_schema\", \"json_schema\": {\"schema\": 7}}",
                           "{\"function\": {\"name\": []}}",
                           "{\"5\": null}",
                           "{\"format\": {\"type\": 1}}",
                           "[{\"type\": \"function_call\"}]",
                           "{\"effort\": []}",
                           "{\"type\": \"allowed_tools\", \"tools\": [1]}"};
  std::mt19937 random(3);
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  GrammarCache grammars(4);
  for (int round = 0; round < 5000; ++round) {
    Json body = round % 2 == 0 ? Json::parse(kChat) : Json::object();
    for (std::size_t n = 1 + below(4); n > 0; --n)
      body[kFields[below(std::size(kFields))]] = Json::parse(kValues[below(std::size(kValues))]);
    const auto chat = read_chat_request(body, f.served);
    if (chat) (void)plan_chat(*chat, f.served, grammars);
    (void)read_completion_request(body, f.served);
    (void)read_responses_request(body, f.served);
    (void)read_embedding_request(body, f.served);
    (void)tokenize(body, f.served);
    (void)detokenize(body, f.served);
  }
}

}  // namespace
}  // namespace ridgeline::openai
