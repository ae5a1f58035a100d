#include "ridgeline/tools/speculation_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

namespace ridgeline {
namespace {

using Kind = DrafterSpec::Kind;

// Of adversarial texts: few enough tokens that matches of two and three are everywhere.
constexpr std::size_t kAlphabet = 14;
constexpr std::int64_t kAdversarialPrompt = 128;
constexpr std::int64_t kLurePeriod = 64, kLure = 12;
constexpr std::int64_t kPlantedPrompt = 64;

std::vector<TokenId> encode(const Tokenizer& tokenizer, std::string_view text, bool begins) {
  Tokenizer::EncodeOptions options;
  if (!begins) options.add_bos = false;
  options.add_eos = false;
  return tokenizer.encode(text, options);
}

std::vector<TokenId> part(std::span<const TokenId> tokens, std::int64_t begin, std::int64_t count) {
  const auto from = std::min(static_cast<std::size_t>(begin), tokens.size());
  const auto rest = tokens.subspan(from);
  const auto taken = rest.first(std::min(static_cast<std::size_t>(count), rest.size()));
  return {taken.begin(), taken.end()};
}

SpeculationText forced(std::string category, std::vector<TokenId> prompt,
                       std::vector<TokenId> script) {
  const auto length = static_cast<int>(script.size());
  return {std::move(category), std::move(prompt), std::move(script), length};
}

Result<std::string> user_message(const std::string& text, const ChatTemplate* chat_template) {
  if (chat_template == nullptr) return text;
  ChatInput input;
  const nlohmann::ordered_json message{{"role", "user"}, {"content", text}};
  input.messages = nlohmann::ordered_json::array({message}).dump();
  return chat_template->render(input);
}

std::vector<TokenId> message_tokens(const Tokenizer& tokenizer, const std::string& text,
                                    bool templated) {
  Tokenizer::EncodeOptions options;
  options.parse_special = templated;
  std::vector<TokenId> tokens = tokenizer.encode(text, options);
  // Templates write the first token themselves where the model wants one.
  const auto bos = tokenizer.data().bos;
  if (templated && bos && tokens.size() > 1 && tokens[0] == *bos && tokens[1] == *bos)
    tokens.erase(tokens.begin());
  return tokens;
}

}  // namespace

std::size_t SpeculationPlan::add(Kind kind, double agreement) {
  drafters_.push_back({kind, agreement});
  return drafters_.size() - 1;
}

std::vector<SpeculationVariant> SpeculationPlan::add_drafters(const std::vector<std::string>& names,
                                                              bool has_model) {
  std::vector<SpeculationVariant> variants;
  for (const std::string& name : names) {
    const bool all = name == "all";
    SpeculationVariant variant{.name = name, .slots = {}};
    if (all || name == "lookup") variant.slots.push_back(add(Kind::kLookup));
    if (all || name == "recent") variant.slots.push_back(add(Kind::kRecent));
    if (name == "model" || (all && has_model)) variant.slots.push_back(add(Kind::kModel));
    variants.push_back(std::move(variant));
  }
  return variants;
}

std::vector<SpeculationVariant> SpeculationPlan::add_planted(const std::vector<double>& agreements,
                                                             const std::vector<int>& lengths) {
  std::vector<SpeculationVariant> variants;
  for (const double agreement : agreements) {
    const std::size_t slot = add(Kind::kPlanted, agreement);
    for (const int length : lengths) variants.push_back({std::to_string(length), {slot}, length});
    variants.push_back({"control", {slot}});
  }
  return variants;
}

std::vector<SpeculationVariant> SpeculationPlan::add_rules() {
  // The control drafts as much as each rule makes worth it; at one length they are held side by
  // side.
  constexpr int kLength = 4;
  const std::size_t exact = add(Kind::kModel), rejection = add(Kind::kRejectionModel);
  return {{"exact", {exact}},
          {"rejection", {rejection}, std::nullopt, AcceptanceRule::kRejection},
          {"exact, 4 drafted", {exact}, kLength},
          {"rejection, 4 drafted", {rejection}, kLength, AcceptanceRule::kRejection}};
}

Result<std::vector<SpeculationText>> prompt_texts(const std::vector<PromptLine>& lines,
                                                  const Tokenizer& tokenizer,
                                                  const ChatTemplate* chat_template,
                                                  const PromptChoice& choice, int& left_out) {
  std::vector<SpeculationText> texts;
  std::map<std::string, int> taken;
  left_out = 0;
  for (const PromptLine& line : lines) {
    if (!choice.category.empty() && line.category != choice.category) continue;
    if (choice.limit > 0 && taken[line.category] >= choice.limit) continue;
    RIDGELINE_TRY(const std::string text, user_message(line.text, chat_template));
    std::vector<TokenId> prompt = message_tokens(tokenizer, text, chat_template != nullptr);
    if (static_cast<std::int64_t>(prompt.size()) + choice.max_tokens > choice.context) {
      ++left_out;
      continue;
    }
    ++taken[line.category];
    texts.push_back({line.category, std::move(prompt), {}, choice.max_tokens});
  }
  if (texts.empty())
    return fail(left_out > 0
                    ? fmt::format("no prompt fits into the context of {} positions with {} tokens "
                                  "to generate (--ctx-size, --predict)",
                                  choice.context, choice.max_tokens)
                    : fmt::format("no prompt is of the category '{}'", choice.category));
  return texts;
}

std::vector<SpeculationText> quoting_texts(const Tokenizer& tokenizer, std::string_view text,
                                           int every, int max_tokens) {
  const auto made = [&](const char* category, const char* task, const std::string& answer) {
    return forced(category, encode(tokenizer, fmt::format("{}\n\n{}\n", task, text), true),
                  part(encode(tokenizer, answer, false), 0, max_tokens));
  };
  return {
      made("edit", "Rewrite this text with the changes that were asked for.", edited(text, every)),
      made("summary", "Summarise this text in its own words.", quoting_summary(text))};
}

Result<std::vector<SpeculationText>> adversarial_texts(const Tokenizer& tokenizer, int max_tokens) {
  const std::vector<TokenId> alphabet = ordinary_tokens(tokenizer, kAlphabet);
  if (alphabet.size() < kAlphabet)
    return fail(fmt::format("the vocabulary has {} ordinary tokens; an adversarial text needs {}",
                            alphabet.size(), kAlphabet));
  const std::int64_t length = kAdversarialPrompt + max_tokens;
  const auto made = [&](const char* category, const std::vector<TokenId>& tokens) {
    return forced(category, part(tokens, 0, kAdversarialPrompt),
                  part(tokens, kAdversarialPrompt, max_tokens));
  };
  return std::vector{made("misleading", misleading_tokens(alphabet, length, 1)),
                     made("luring", luring_tokens(alphabet, length, kLurePeriod, kLure, 2))};
}

SpeculationText planted_text(const Tokenizer& tokenizer, int max_tokens) {
  const std::vector<TokenId> passage = encode(tokenizer, sample_passage(), true);
  std::vector<TokenId> tokens;
  while (static_cast<std::int64_t>(tokens.size()) < kPlantedPrompt + max_tokens)
    tokens.insert(tokens.end(), passage.begin() + (tokens.empty() ? 0 : 1), passage.end());
  return forced("planted", part(tokens, 0, kPlantedPrompt),
                part(tokens, kPlantedPrompt, max_tokens));
}

}  // namespace ridgeline
