#include "ridgeline/server/openai/answer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "ridgeline/text/utf8.h"

namespace ridgeline::openai {
namespace {

/// JSON has no infinity; vLLM's and OpenAI's clients know this number.
double finite(float logprob) { return std::isfinite(logprob) ? logprob : -9999.0; }

std::int64_t num_characters(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; });
}

}  // namespace

void add_speculation(std::optional<SpeculationCounts>& sum, const TokenEvent& event) {
  if (!event.summary) return;
  if (!sum) sum.emplace();
  *sum += event.summary->speculation;
}

void write_speculation(const std::optional<SpeculationCounts>& counts, Json& usage) {
  if (!counts || counts->checks == 0) return;
  usage["speculation"] = {{"passes", counts->checks},
                          {"tokens", counts->tokens},
                          {"drafted_tokens", counts->drafted},
                          {"accepted_tokens", counts->accepted},
                          {"estimated_speedup", counts->speedup()}};
}

Json usage_json(const Usage& usage) {
  Json json{{"prompt_tokens", usage.prompt_tokens},
            {"completion_tokens", usage.completion_tokens},
            {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
            {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
            {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}}};
  if (const auto& drafts = usage.speculation)
    json["completion_tokens_details"].update(
        {{"accepted_prediction_tokens", drafts->accepted},
         {"rejected_prediction_tokens", drafts->drafted - drafts->accepted}});
  write_speculation(usage.speculation, json);
  return json;
}

std::string new_id(std::string_view prefix, int length) {
  constexpr std::string_view kLetters =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  thread_local std::mt19937_64 random{std::random_device{}() | std::uint64_t{std::random_device{}()}
                                                                   << 32};
  std::uniform_int_distribution<std::size_t> letter(0, kLetters.size() - 1);
  std::string id(prefix);
  for (int i = 0; i < length; ++i) id += kLetters[letter(random)];
  return id;
}

std::int64_t unix_seconds() {
  using std::chrono::duration_cast, std::chrono::seconds, std::chrono::system_clock;
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

std::string TokenNames::name(TokenId token) const {
  return as_ids ? fmt::format("token_id:{}", token)
                : tokenizer->piece(token, /*render_special=*/true);
}

std::string TokenNames::legacy(TokenId token) const {
  std::string text = name(token);
  if (utf8_valid_prefix_bytes(text) == text.size()) return text;
  std::string bytes = "bytes:";
  for (const char c : text) bytes += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return bytes;
}

Json TokenNames::bytes(TokenId token) const {
  Json list = Json::array();
  for (const char c : tokenizer->piece(token, /*render_special=*/true))
    list.push_back(static_cast<unsigned char>(c));
  return list;
}

Json chat_logprobs(const std::vector<TokenLogprobs>& tokens, const TokenNames& names) {
  const auto entry_json = [&](const TokenLogprobs::Entry& entry) {
    return Json{{"token", names.name(entry.token)},
                {"logprob", finite(entry.logprob)},
                {"bytes", names.bytes(entry.token)}};
  };
  Json content = Json::array();
  for (const TokenLogprobs& token : tokens) {
    Json one = entry_json(token.chosen);
    Json top = Json::array();
    for (const TokenLogprobs::Entry& entry : token.top) top.push_back(entry_json(entry));
    one["top_logprobs"] = std::move(top);
    content.push_back(std::move(one));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

void LegacyLogprobs::add_text(const std::string& text) {
  tokens_.push_back(text);
  offsets_.push_back(offset_);
}

void LegacyLogprobs::add_unknown(TokenId token) {
  add_text(names_.legacy(token));
  offset_ += num_characters(names_.tokenizer->piece(token));
  logprobs_.push_back(std::numeric_limits<double>::quiet_NaN());
  entries_.emplace_back();
}

void LegacyLogprobs::add(const TokenLogprobs& token) {
  add_text(names_.legacy(token.chosen.token));
  offset_ += num_characters(names_.tokenizer->piece(token.chosen.token));
  logprobs_.push_back(finite(token.chosen.logprob));
  entries_.push_back(token);
}

Json LegacyLogprobs::take() {
  Json logprobs = Json::array(), top = Json::array();
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    if (std::isnan(logprobs_[i])) {
      logprobs.push_back(nullptr);
      top.push_back(nullptr);
      continue;
    }
    logprobs.push_back(logprobs_[i]);
    Json of_token = Json::object();
    for (const TokenLogprobs::Entry& entry : entries_[i].top)
      of_token[names_.legacy(entry.token)] = finite(entry.logprob);
    // OpenAI's too has the chosen one among them, whatever its rank.
    of_token[names_.legacy(entries_[i].chosen.token)] = finite(entries_[i].chosen.logprob);
    top.push_back(std::move(of_token));
  }
  Json taken{{"text_offset", offsets_},
             {"token_logprobs", std::move(logprobs)},
             {"tokens", tokens_},
             {"top_logprobs", std::move(top)}};
  tokens_.clear();
  offsets_.clear();
  logprobs_.clear();
  entries_.clear();
  return taken;
}

Json prompt_logprobs_json(const std::vector<TokenLogprobs>& tokens, const TokenNames& names) {
  Json list = Json::array({nullptr});
  const auto add = [&](Json& to, const TokenLogprobs::Entry& entry) {
    to[std::to_string(entry.token)] = {{"logprob", finite(entry.logprob)},
                                       {"rank", entry.rank},
                                       {"decoded_token", names.name(entry.token)}};
  };
  for (const TokenLogprobs& token : tokens) {
    Json one = Json::object();
    add(one, token.chosen);
    for (const TokenLogprobs::Entry& entry : token.top) add(one, entry);
    list.push_back(std::move(one));
  }
  return list;
}

Json stop_reason_json(const ChoiceReader& choice) {
  if (!choice.stop_string().empty()) return choice.stop_string();
  if (choice.stop_token()) return *choice.stop_token();
  return nullptr;
}

}  // namespace ridgeline::openai
