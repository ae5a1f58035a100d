#include "ridgeline/server/openai/chat_answer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ridgeline::openai {

using Kind = OutputPiece::Kind;

std::string new_call_id(ToolCallFormat format) {
  return wants_short_call_ids(format) ? new_id("", 9) : new_id("call_");
}

ChatAnswer::ChatAnswer(ChatRequest request, ChatPlan plan, const ServedModel& served)
    : request_(std::move(request)),
      plan_(std::move(plan)),
      served_(served),
      names_{served.tokenizer, request_.tokens_as_ids},
      id_(new_id("chatcmpl-")),
      created_(unix_seconds()),
      open_choices_(static_cast<std::size_t>(request_.engine.choices)) {
  const ReadOptions options{.include_stop_text = request_.include_stop_text,
                            .skip_special_tokens = request_.skip_special_tokens,
                            .parallel_calls = request_.tools.parallel,
                            .include_reasoning = request_.include_reasoning};
  choices_.reserve(open_choices_);
  for (std::size_t i = 0; i < open_choices_; ++i)
    choices_.push_back(
        {ChoiceReader(*served.tokenizer, plan_.output, options), false, {}, {}, {}, {}, {}});
}

Json ChatAnswer::head(const char* object) const {
  return {{"id", id_},
          {"object", object},
          {"created", created_},
          {"model", request_.model},
          {"system_fingerprint", served_.fingerprint}};
}

void ChatAnswer::on_event(std::size_t, TokenEvent&& event, std::string& out) {
  const int index = event.choice;
  Choice& choice = choices_[static_cast<std::size_t>(index)];
  cached_tokens_ = std::max(cached_tokens_, event.reused_tokens);
  add_speculation(speculation_, event);
  if (!event.prompt_logprobs.empty()) prompt_logprobs_ = std::move(event.prompt_logprobs);
  if (choice.reader.finished()) return;
  ChoiceDelta delta = choice.reader.read(std::move(event));
  if (choice.reader.finished()) --open_choices_;
  std::ranges::move(delta.logprobs, std::back_inserter(choice.logprobs));
  std::ranges::copy(delta.tokens, std::back_inserter(choice.tokens));
  if (request_.stream) {
    write_pieces(index, choice, delta, out);
  } else {
    for (const OutputPiece& piece : delta.pieces) take(choice, piece);
  }
}

void ChatAnswer::take(Choice& choice, const OutputPiece& piece) {
  switch (piece.kind) {
    case Kind::kContent:
      choice.content += piece.text;
      return;
    case Kind::kReasoning:
      choice.reasoning += piece.text;
      return;
    case Kind::kToolCall:
      if (static_cast<std::size_t>(piece.call) >= choice.calls.size())
        choice.calls.push_back({new_call_id(served_.tool_calls), piece.call_name, ""});
      choice.calls.back().arguments += piece.text;
      return;
  }
}

void ChatAnswer::write_pieces(int index, Choice& choice, const ChoiceDelta& delta,
                              std::string& out) {
  if (!std::exchange(choice.begun, true)) {
    write_chunk(index, choice, {{"role", "assistant"}, {"content", ""}}, false, out);
    if (request_.echo) write_chunk(index, choice, {{"content", request_.last_message}}, false, out);
  }
  for (const OutputPiece& piece : delta.pieces) {
    if (piece.kind == Kind::kContent) {
      write_chunk(index, choice, {{"content", piece.text}}, false, out);
    } else if (piece.kind == Kind::kReasoning) {
      write_chunk(index, choice, {{"reasoning_content", piece.text}}, false, out);
    } else {
      Json call{{"index", piece.call}};
      if (!piece.call_name.empty())
        call.update({{"id", new_call_id(served_.tool_calls)}, {"type", "function"}});
      Json function = Json::object();
      if (!piece.call_name.empty()) function["name"] = piece.call_name;
      function["arguments"] = piece.text;
      call["function"] = std::move(function);
      write_chunk(index, choice, {{"tool_calls", Json::array({std::move(call)})}}, false, out);
    }
  }
  if (delta.finished) write_chunk(index, choice, Json::object(), true, out);
}

void ChatAnswer::write_chunk(int index, Choice& choice, Json delta, bool finished,
                             std::string& out) {
  const bool says_something = !delta.contains("role") || finished;
  Json one{{"index", index}, {"delta", std::move(delta)}, {"logprobs", nullptr}};
  if (says_something && request_.engine.logprobs && !choice.logprobs.empty()) {
    one["logprobs"] = chat_logprobs(choice.logprobs, names_);
    choice.logprobs.clear();
  }
  one["finish_reason"] = nullptr;
  if (finished) {
    one["finish_reason"] = choice.reader.finish_reason();
    one["stop_reason"] = stop_reason_json(choice.reader);
  }
  if (request_.return_token_ids && says_something)
    one["token_ids"] = std::exchange(choice.tokens, {});
  Json chunk = head("chat.completion.chunk");
  if (request_.return_token_ids && !says_something) chunk["prompt_token_ids"] = plan_.prompt;
  chunk["choices"] = Json::array({std::move(one)});
  if (request_.include_usage)
    chunk["usage"] = request_.continuous_usage ? usage_json(usage()) : Json(nullptr);
  out += sse_event(chunk);
}

Json ChatAnswer::message_json(const Choice& choice) const {
  Json message{{"role", "assistant"}};
  const std::string content = (request_.echo ? request_.last_message : "") + choice.content;
  if (content.empty() && !choice.calls.empty())
    message["content"] = nullptr;
  else
    message["content"] = content;
  message["refusal"] = nullptr;
  if (!choice.reasoning.empty()) message["reasoning_content"] = choice.reasoning;
  if (!choice.calls.empty()) {
    Json calls = Json::array();
    for (const WrittenCall& call : choice.calls)
      calls.push_back({{"id", call.id},
                       {"type", "function"},
                       {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
    message["tool_calls"] = std::move(calls);
  }
  return message;
}

void ChatAnswer::finish(std::string& out) {
  if (request_.stream) {
    if (request_.include_usage) {
      Json chunk = head("chat.completion.chunk");
      chunk["choices"] = Json::array();
      chunk["usage"] = usage_json(usage());
      out += sse_event(chunk);
    }
    out += "data: [DONE]\n\n";
    return;
  }
  Json answer = head("chat.completion");
  Json list = Json::array();
  for (const Choice& choice : choices_) {
    Json one{{"index", list.size()},
             {"message", message_json(choice)},
             {"logprobs", nullptr},
             {"finish_reason", choice.reader.finish_reason()},
             {"stop_reason", stop_reason_json(choice.reader)}};
    if (request_.engine.logprobs) one["logprobs"] = chat_logprobs(choice.logprobs, names_);
    if (request_.return_token_ids) one["token_ids"] = choice.tokens;
    list.push_back(std::move(one));
  }
  answer["choices"] = std::move(list);
  answer["usage"] = usage_json(usage());
  if (request_.engine.prompt_logprobs)
    answer["prompt_logprobs"] = prompt_logprobs_json(prompt_logprobs_, names_);
  if (request_.return_token_ids) answer["prompt_token_ids"] = plan_.prompt;
  out = dump(answer);
}

Usage ChatAnswer::usage() const {
  Usage usage;
  usage.prompt_tokens = static_cast<std::int64_t>(plan_.prompt.size());
  usage.cached_tokens = cached_tokens_;
  usage.speculation = speculation_;
  for (const Choice& choice : choices_) {
    usage.completion_tokens += choice.reader.num_tokens();
    usage.reasoning_tokens += choice.reader.num_reasoning_tokens();
  }
  return usage;
}

}  // namespace ridgeline::openai
