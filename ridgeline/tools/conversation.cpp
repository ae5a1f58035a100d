#include "ridgeline/tools/conversation.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "ridgeline/text/thinking.h"

namespace ridgeline {
namespace {

using Json = nlohmann::ordered_json;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

Json json_of(const std::vector<ChatMessage>& messages) {
  Json list = Json::array();
  for (const ChatMessage& m : messages) {
    Json message{{"role", m.role}, {"content", m.content}};
    if (!m.reasoning.empty()) message["reasoning_content"] = m.reasoning;
    list.push_back(std::move(message));
  }
  return list;
}

std::string dump(const Json& json, int indent) {
  return json.dump(indent, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

std::optional<std::string> text_at(const Json& object, const char* key) {
  if (!object.contains(key) || !object[key].is_string()) return std::nullopt;
  return object[key].get<std::string>();
}

}  // namespace

Conversation::Conversation(Engine& engine, ChatTemplate chat_template)
    : engine_(engine), template_(std::move(chat_template)) {}

void Conversation::set_variable(const std::string& name, std::string json) {
  std::erase_if(variables_, [&](const auto& v) { return v.first == name; });
  variables_.emplace_back(name, std::move(json));
}

void Conversation::set_system(const std::string& text) {
  if (!messages_.empty() && messages_.front().role == "system") messages_.erase(messages_.begin());
  if (!text.empty()) messages_.insert(messages_.begin(), {"system", text, ""});
}

bool Conversation::drop_last(bool question) {
  const auto last = std::ranges::find_if(messages_.rbegin(), messages_.rend(), [&](const auto& m) {
    return question ? m.role == "user" : m.role == "assistant";
  });
  if (last == messages_.rend()) return false;
  messages_.erase(std::prev(last.base()), messages_.end());
  return true;
}

Result<std::string> Conversation::render() const {
  ChatInput input;
  input.messages = dump(json_of(messages_), -1);
  input.variables = variables_;
  return template_.render(input);
}

std::vector<TokenId> Conversation::tokens_of(const std::string& prompt) const {
  Tokenizer::EncodeOptions options;
  options.parse_special = true;
  if (tokens_.empty() || !prompt.starts_with(text_)) {
    // Templates write the first token themselves where the model wants one.
    std::vector<TokenId> tokens = engine_.tokenizer().encode(prompt, options);
    const auto bos = engine_.tokenizer().data().bos;
    if (bos && tokens.size() > 1 && tokens[0] == *bos && tokens[1] == *bos)
      tokens.erase(tokens.begin());
    return tokens;
  }
  options.add_bos = false;
  options.add_eos = false;
  std::vector<TokenId> tokens = tokens_;
  const std::vector<TokenId> rest =
      engine_.tokenizer().encode(std::string_view(prompt).substr(text_.size()), options);
  tokens.insert(tokens.end(), rest.begin(), rest.end());
  return tokens;
}

Result<AnswerStats> Conversation::answer(const SamplingParams& params,
                                         const std::function<void(const Piece&)>& on_piece,
                                         const std::atomic<bool>& cancel) {
  RIDGELINE_TRY(const std::string prompt, render());
  AnswerStats stats;
  std::vector<TokenId> tokens = tokens_of(prompt);
  stats.prompt_tokens = static_cast<std::int64_t>(tokens.size());

  const ThinkingTags tags = template_.thinking_tags().value_or(ThinkingTags{});
  ThinkingSplitter splitter(std::string(tags.open), std::string(tags.close),
                            template_.ends_in_thinking(prompt));
  const bool harmony = tags.open.starts_with("<|channel|>");
  HarmonySplitter channels;
  ChatMessage message{"assistant", "", ""};
  const auto deliver = [&](const ThinkingSplitter::Piece& piece) {
    message.reasoning += piece.thinking;
    message.content += piece.answer;
    if (!piece.thinking.empty()) on_piece({piece.thinking, true});
    if (!piece.answer.empty()) on_piece({piece.answer, false});
  };

  const auto start = Clock::now();
  auto first = start;
  RIDGELINE_TRY(const RequestId id, engine_.submit(tokens, params));
  text_ = prompt;
  tokens_ = std::move(tokens);
  StreamingDetokenizer spelling(engine_.tokenizer(), /*render_special=*/true);
  spelling.skip(tokens_);
  while (!engine_.idle()) {
    if (cancel) {
      engine_.cancel(id);
      stats.finish_reason = FinishReason::kCancelled;
      break;
    }
    for (const TokenEvent& event : engine_.step()) {
      if (event.finished == FinishReason::kError) return fail(event.error);
      stats.reused_tokens = event.reused_tokens;
      if (event.token) {
        if (stats.answer_tokens++ == 0) first = Clock::now();
        tokens_.push_back(*event.token);
        text_ += spelling.push(*event.token);
      }
      deliver(harmony ? channels.push(event.text) : splitter.push(event.text));
      if (event.token) {
        // Tags may be control tokens, which are not part of the text.
        const std::string token = engine_.tokenizer().piece(*event.token, true);
        const bool hidden = engine_.tokenizer().piece(*event.token).empty();
        if (harmony)
          channels.control(token);
        else if (hidden && (token == tags.open || token == tags.close))
          deliver(splitter.push(token));
      }
      if (event.finished) stats.finish_reason = *event.finished;
    }
  }
  text_ += spelling.finish();
  deliver(splitter.finish());
  const auto end = Clock::now();
  stats.first_token_seconds = seconds_between(start, stats.answer_tokens > 0 ? first : end);
  stats.decode_seconds = seconds_between(start, end) - stats.first_token_seconds;
  messages_.push_back(std::move(message));
  return stats;
}

std::string Conversation::to_json() const {
  return dump(Json{{"messages", json_of(messages_)}}, 2) + "\n";
}

Status Conversation::from_json(const std::string& text, const std::string& source) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const Json* list = json.is_array() ? &json : nullptr;
  if (json.is_object() && json.contains("messages")) list = &json["messages"];
  if (list == nullptr || !list->is_array())
    return fail(fmt::format("{}: expected JSON with an array of messages", source));
  std::vector<ChatMessage> messages;
  for (const Json& item : *list) {
    const auto role = item.is_object() ? text_at(item, "role") : std::nullopt;
    const auto content = item.is_object() ? text_at(item, "content") : std::nullopt;
    if (!role || !content)
      return fail(fmt::format("{}: message {} has no 'role' and 'content' that are texts", source,
                              messages.size() + 1));
    messages.push_back({*role, *content, text_at(item, "reasoning_content").value_or("")});
  }
  messages_ = std::move(messages);
  return {};
}

}  // namespace ridgeline
