#include "ridgeline/server/openai/responses_answer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ridgeline/server/openai/chat_answer.h"

namespace ridgeline::openai {

using Kind = OutputPiece::Kind;

ResponsesAnswer::ResponsesAnswer(ResponsesRequest request, ChatPlan plan, const ServedModel& served)
    : request_(std::move(request)),
      plan_(std::move(plan)),
      served_(served),
      names_{served.tokenizer, request_.chat.tokens_as_ids},
      id_(new_id("resp_")),
      created_(unix_seconds()),
      reader_(*served.tokenizer, plan_.output,
              ReadOptions{.include_stop_text = request_.chat.include_stop_text,
                          .skip_special_tokens = request_.chat.skip_special_tokens,
                          .parallel_calls = request_.chat.tools.parallel,
                          .include_reasoning = request_.chat.include_reasoning}) {}

void ResponsesAnswer::event(std::string type, Json fields, std::string& out) {
  if (!request_.chat.stream) return;
  Json event{{"type", type}, {"sequence_number", sequence_number_++}};
  event.update(fields);
  out += "event: " + type + "\n" + sse_event(event);
}

void ResponsesAnswer::begin(std::string& out) {
  if (std::exchange(begun_, true)) return;
  event("response.created", {{"response", response_json("in_progress")}}, out);
  event("response.in_progress", {{"response", response_json("in_progress")}}, out);
}

void ResponsesAnswer::on_event(std::size_t, TokenEvent&& token, std::string& out) {
  cached_tokens_ = std::max(cached_tokens_, token.reused_tokens);
  add_speculation(speculation_, token);
  begin(out);
  ChoiceDelta delta = reader_.read(std::move(token));
  for (const OutputPiece& piece : delta.pieces) take(piece, delta.logprobs, out);
  // Of tokens whose text is still held back: they go to the item at hand.
  if (!delta.logprobs.empty() && !items_.empty() && items_.back().kind == Kind::kContent)
    std::ranges::move(delta.logprobs, std::back_inserter(items_.back().logprobs));
}

bool ResponsesAnswer::continues(const OutputPiece& piece) const {
  return !items_.empty() && !items_.back().done && items_.back().kind == piece.kind &&
         (piece.kind != Kind::kToolCall || piece.call_name.empty());
}

void ResponsesAnswer::take(const OutputPiece& piece, std::vector<TokenLogprobs>& logprobs,
                           std::string& out) {
  if (!continues(piece)) {
    close_item(out);
    open_item(piece, out);
  }
  Item& item = items_.back();
  item.text += piece.text;
  if (piece.text.empty()) return;
  Json fields{{"item_id", item.id}, {"output_index", items_.size() - 1}};
  switch (piece.kind) {
    case Kind::kContent:
      fields.update(
          {{"content_index", 0}, {"delta", piece.text}, {"logprobs", logprobs_json(logprobs)}});
      std::ranges::move(logprobs, std::back_inserter(item.logprobs));
      logprobs.clear();
      event("response.output_text.delta", std::move(fields), out);
      return;
    case Kind::kReasoning:
      fields.update({{"content_index", 0}, {"delta", piece.text}});
      event("response.reasoning_text.delta", std::move(fields), out);
      return;
    case Kind::kToolCall:
      fields["delta"] = piece.text;
      event("response.function_call_arguments.delta", std::move(fields), out);
      return;
  }
}

void ResponsesAnswer::open_item(const OutputPiece& piece, std::string& out) {
  Item item{piece.kind, "", "", "", "", {}, false};
  if (piece.kind == Kind::kToolCall) {
    item.id = new_id("fc_");
    item.call_id = new_call_id(served_.tool_calls);
    item.call_name = piece.call_name;
  } else {
    item.id = new_id(piece.kind == Kind::kReasoning ? "rs_" : "msg_");
  }
  items_.push_back(std::move(item));
  const Item& added = items_.back();
  event("response.output_item.added",
        {{"output_index", items_.size() - 1}, {"item", item_json(added, false)}}, out);
  if (piece.kind == Kind::kToolCall) return;
  event("response.content_part.added",
        {{"item_id", added.id},
         {"output_index", items_.size() - 1},
         {"content_index", 0},
         {"part", part_json(added, false)}},
        out);
}

void ResponsesAnswer::close_item(std::string& out) {
  if (items_.empty() || std::exchange(items_.back().done, true)) return;
  const Item& item = items_.back();
  Json fields{{"item_id", item.id}, {"output_index", items_.size() - 1}};
  if (item.kind == Kind::kToolCall) {
    fields.update({{"name", item.call_name}, {"arguments", item.text}});
    event("response.function_call_arguments.done", std::move(fields), out);
  } else {
    fields["content_index"] = 0;
    Json text = fields, part = fields;
    text["text"] = item.text;
    part["part"] = part_json(item, true);
    if (item.kind == Kind::kContent) text["logprobs"] = logprobs_json(item.logprobs);
    event(
        item.kind == Kind::kContent ? "response.output_text.done" : "response.reasoning_text.done",
        std::move(text), out);
    event("response.content_part.done", std::move(part), out);
  }
  event("response.output_item.done",
        {{"output_index", items_.size() - 1}, {"item", item_json(item, true)}}, out);
}

Json ResponsesAnswer::logprobs_json(const std::vector<TokenLogprobs>& tokens) const {
  if (!request_.logprobs) return Json::array();
  return chat_logprobs(tokens, names_)["content"];
}

Json ResponsesAnswer::part_json(const Item& item, bool filled) const {
  const std::string text = filled ? item.text : "";
  if (item.kind == Kind::kReasoning) return {{"type", "reasoning_text"}, {"text", text}};
  return {{"type", "output_text"},
          {"text", text},
          {"annotations", Json::array()},
          {"logprobs", filled ? logprobs_json(item.logprobs) : Json::array()}};
}

Json ResponsesAnswer::item_json(const Item& item, bool filled) const {
  const bool cut_off = filled && &item == &items_.back() && reader_.finish_reason() == "length";
  const char* status = !filled ? "in_progress" : cut_off ? "incomplete" : "completed";
  Json content = filled ? Json::array({part_json(item, true)}) : Json::array();
  switch (item.kind) {
    case Kind::kToolCall:
      return {{"id", item.id},          {"type", "function_call"},
              {"status", status},       {"call_id", item.call_id},
              {"name", item.call_name}, {"arguments", filled ? item.text : ""}};
    case Kind::kReasoning:
      return {{"id", item.id},
              {"type", "reasoning"},
              {"status", status},
              {"summary", Json::array()},
              {"content", std::move(content)}};
    case Kind::kContent:
      break;
  }
  return {{"id", item.id},
          {"type", "message"},
          {"status", status},
          {"role", "assistant"},
          {"content", std::move(content)}};
}

Json ResponsesAnswer::response_json(const std::string& status) const {
  Json output = Json::array();
  if (status != "in_progress")
    for (const Item& item : items_) output.push_back(item_json(item, true));
  const SamplingParams& p = request_.chat.engine.params;
  Json response{
      {"id", id_},
      {"object", "response"},
      {"created_at", created_},
      {"status", status},
      {"background", false},
      {"error", error_.empty() ? Json(nullptr) : Json::parse(error_)},
      {"incomplete_details", nullptr},
      {"instructions", Json::parse(request_.instructions)},
      {"max_output_tokens", Json::parse(request_.max_output_tokens)},
      {"model", request_.chat.model},
      {"output", std::move(output)},
      {"parallel_tool_calls", request_.chat.tools.parallel},
      {"previous_response_id", nullptr},
      {"reasoning", Json::parse(request_.reasoning)},
      {"store", false},
      {"temperature", p.temperature},
      {"text", Json::parse(request_.text)},
      {"tool_choice", Json::parse(request_.tool_choice)},
      {"tools", Json::parse(request_.tools)},
      {"top_logprobs", request_.chat.engine.logprobs.value_or(0)},
      {"top_p", p.top_p},
      {"truncation", "disabled"},
      {"metadata", Json::parse(request_.metadata)},
  };
  if (request_.user != "null") response["user"] = Json::parse(request_.user);
  if (status == "incomplete") response["incomplete_details"] = {{"reason", "max_output_tokens"}};
  if (status == "in_progress") return response;
  if (status == "completed") response["completed_at"] = unix_seconds();
  const auto input = static_cast<std::int64_t>(plan_.prompt.size());
  Json usage = {
      {"input_tokens", input},
      {"input_tokens_details", {{"cached_tokens", cached_tokens_}, {"cache_write_tokens", 0}}},
      {"output_tokens", reader_.num_tokens()},
      {"output_tokens_details", {{"reasoning_tokens", reader_.num_reasoning_tokens()}}},
      {"total_tokens", input + reader_.num_tokens()}};
  write_speculation(speculation_, usage);
  response["usage"] = std::move(usage);
  return response;
}

void ResponsesAnswer::finish(std::string& out) {
  begin(out);
  close_item(out);
  const std::string status = reader_.finish_reason() == "length" ? "incomplete" : "completed";
  if (request_.chat.stream)
    event("response." + status, {{"response", response_json(status)}}, out);
  else
    out = dump(response_json(status));
}

void ResponsesAnswer::fail(const ApiError& error, std::string& out) {
  begin(out);
  error_ = dump({{"code", "server_error"}, {"message", error.message}});
  event("response.failed", {{"response", response_json("failed")}}, out);
}

}  // namespace ridgeline::openai
