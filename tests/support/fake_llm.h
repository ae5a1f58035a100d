#pragma once

#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "tests/support/http_server.h"

namespace ridgeline::test {

/// "data: {...}" with a completion's chunk, or, where `reason` is told, its last.
inline std::string text_event(const std::string& text, const char* reason = nullptr) {
  nlohmann::json chunk{{"object", "text_completion"},
                       {"choices", {{{"index", 0}, {"text", text}, {"finish_reason", nullptr}}}}};
  if (reason != nullptr) chunk["choices"][0]["finish_reason"] = reason;
  return "data: " + chunk.dump() + "\n\n";
}

inline std::string usage_event(std::int64_t prompt, std::int64_t output, std::int64_t cached = 0) {
  return "data: " +
         nlohmann::json{{"choices", nlohmann::json::array()},
                        {"usage",
                         {{"prompt_tokens", prompt},
                          {"completion_tokens", output},
                          {"prompt_tokens_details", {{"cached_tokens", cached}}}}}}
             .dump() +
         "\n\n";
}

inline HttpReply event_stream(std::vector<HttpPiece> pieces) {
  HttpReply reply{200, {{"Content-Type", "text/event-stream; charset=utf-8"}}};
  reply.pieces = std::move(pieces);
  return reply;
}

/// A server of completions whose tokens are words: of prompts, and, made from the prompt's
/// last word, of answers. Well behaved but for what `fault` answers in its place.
class FakeLlm {
 public:
  std::chrono::microseconds first_delay{0}, delay{0};
  std::function<std::optional<HttpReply>(const HttpRequest&)> fault;

  int served() const { return served_; }
  int side_by_side_max() const { return most_; }

  HttpReply operator()(const HttpRequest& request) {
    if (fault)
      if (std::optional<HttpReply> reply = fault(request)) return *std::move(reply);
    if (request.path == "/health") return {200, {}, "{}"};
    if (request.path == "/v1/models") return {200, {}, R"({"data": [{"id": "words"}]})"};
    const nlohmann::json body = nlohmann::json::parse(request.body);
    if (request.path == "/tokenize")
      return {200, {}, nlohmann::json{{"count", words(body["prompt"].get<std::string>())}}.dump()};
    if (request.path == "/v1/completions") return complete(body);
    return {404, {}, R"({"error": {"message": "no such path"}})"};
  }

  static std::int64_t words(const std::string& text) {
    std::int64_t n = 0;
    for (std::size_t i = 0; i < text.size(); ++i)
      n += text[i] != ' ' && (i == 0 || text[i - 1] == ' ') ? 1 : 0;
    return n;
  }

 private:
  HttpReply complete(const nlohmann::json& body) {
    const int now = ++side_by_side_;
    for (int most = most_; most < now && !most_.compare_exchange_weak(most, now);) {
    }
    std::this_thread::sleep_for(first_delay);
    const std::string prompt = body["prompt"];
    const std::int64_t tokens = body["max_tokens"];
    std::vector<HttpPiece> pieces;
    for (std::int64_t i = 0; i < tokens; ++i)
      pieces.push_back({i == 0 ? std::chrono::microseconds(0) : delay,
                        text_event(prompt.substr(prompt.rfind(' ') + 1) + ' ')});
    pieces.push_back({{}, text_event("", "length") + usage_event(words(prompt), tokens)});
    pieces.push_back({{}, "data: [DONE]\n\n"});
    // The handler is done before the pieces are sent: what is counted is the first delay.
    --side_by_side_;
    ++served_;
    return event_stream(std::move(pieces));
  }

  std::atomic<int> side_by_side_ = 0, most_ = 0, served_ = 0;
};

}  // namespace ridgeline::test
