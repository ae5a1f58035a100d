#include "ridgeline/tools/load/completion_stream.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace ridgeline::load {
namespace {

using Json = nlohmann::json;

/// Of an answer that is no stream, to say what it was.
constexpr std::size_t kErrorBytesMax = 4096;
constexpr std::size_t kMessageBytesMax = 300;

const Json* member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string_view text_of(const Json* value) {
  return value != nullptr && value->is_string()
             ? std::string_view(value->get_ref<const std::string&>())
             : std::string_view();
}

std::optional<std::int64_t> count_of(const Json* value) {
  if (value == nullptr || !value->is_number_integer()) return std::nullopt;
  return value->get<std::int64_t>();
}

/// OpenAI's {"error": {"message": ...}}, or whatever it was.
std::string error_message(const std::string& body) {
  const Json j = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  const Json* error = member(j, "error");
  if (error == nullptr && member(j, "message") != nullptr) error = &j;
  if (error != nullptr) {
    if (error->is_string()) return error->get<std::string>();
    if (const std::string_view text = text_of(member(*error, "message")); !text.empty())
      return std::string(text);
  }
  return body.substr(0, kMessageBytesMax);
}

void take_usage(const Json& chunk, RequestRecord& record) {
  const Json* usage = member(chunk, "usage");
  if (usage == nullptr) return;
  const auto prompt = count_of(member(*usage, "prompt_tokens"));
  const auto output = count_of(member(*usage, "completion_tokens"));
  if (!prompt || !output) return;
  record.has_usage = true;
  record.prompt_tokens = *prompt;
  record.output_tokens = *output;
  if (const Json* details = member(*usage, "prompt_tokens_details"))
    record.cached_tokens = count_of(member(*details, "cached_tokens"));
}

/// Texts and calls of a chat's delta, in the order in which they are told.
std::string delta_text(const Json& delta) {
  std::string text;
  for (const char* name : {"reasoning_content", "reasoning", "content"})
    text += text_of(member(delta, name));
  if (const Json* calls = member(delta, "tool_calls")) text += calls->dump();
  return text;
}

}  // namespace

CompletionStream::CompletionStream(Endpoint endpoint, RequestRecord& record)
    : endpoint_(endpoint),
      record_(record),
      parser_([this](std::string_view kind, std::string_view data) { take_event(kind, data); }) {}

void CompletionStream::fail(std::string kind, std::string message) {
  if (record_.failed()) return;
  record_.failure = std::move(kind);
  record_.failure_message = std::move(message);
}

void CompletionStream::begin(long status, std::string_view content_type) {
  status_ = status;
  is_stream_ = status == 200 && content_type.starts_with("text/event-stream");
  if (status == 200 && !is_stream_)
    fail("bad answer",
         fmt::format("expected a stream of text/event-stream, got '{}'", content_type));
}

bool CompletionStream::push(std::string_view bytes, double now_s) {
  if (is_stream_) {
    now_s_ = now_s;
    if (!parser_.push(bytes)) fail("bad answer", "an event of the stream has no end");
    return !record_.failed();
  }
  error_body_.append(
      bytes.substr(0, kErrorBytesMax - std::min(kErrorBytesMax, error_body_.size())));
  return true;
}

void CompletionStream::end() {
  if (status_ != 200) {
    fail(fmt::format("http {}", status_), error_message(error_body_));
  } else if (!done_ && record_.finish_reason.empty()) {
    fail("disconnected", "the stream ended without a finish reason or [DONE]");
  } else if (record_.chunk_times_s.empty()) {
    fail("empty answer", "the stream brought no token");
  }
  if (!record_.has_usage)
    record_.output_tokens = static_cast<std::int64_t>(record_.chunk_times_s.size());
}

void CompletionStream::take_event(std::string_view kind, std::string_view data) {
  if (record_.failed()) return;
  if (data == "[DONE]") {
    done_ = true;
    return;
  }
  const Json chunk = Json::parse(data, nullptr, /*allow_exceptions=*/false);
  if (kind == "error" || member(chunk, "error") != nullptr)
    return fail("server error", error_message(std::string(data)));
  if (!chunk.is_object())
    return fail("bad answer", fmt::format("an event that is no object of JSON: {}",
                                          data.substr(0, kMessageBytesMax)));
  take_usage(chunk, record_);
  const Json* choices = member(chunk, "choices");
  if (choices == nullptr || !choices->is_array() || choices->empty()) return;
  const Json& choice = choices->front();
  const std::string_view reason = text_of(member(choice, "finish_reason"));
  if (!reason.empty()) record_.finish_reason = reason;
  std::string text;
  bool brings_token = false;
  if (endpoint_ == Endpoint::kChat) {
    const Json* delta = member(choice, "delta");
    if (delta != nullptr) text = delta_text(*delta);
    // The first chunk of a chat says who speaks, without a token.
    const bool tells_role = delta != nullptr && member(*delta, "role") != nullptr;
    brings_token = delta != nullptr && member(*delta, "content") != nullptr && !tells_role;
  } else {
    const Json* field = member(choice, "text");
    text = text_of(field);
    brings_token = field != nullptr;
  }
  // A token may be part of a character and have no text yet; the chunk that only says why the
  // answer ends has none either.
  if (text.empty() && (!brings_token || !reason.empty())) return;
  record_.text += text;
  record_.chunk_times_s.push_back(now_s_);
}

}  // namespace ridgeline::load
