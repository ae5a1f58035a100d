#include "ridgeline/engine/speculation/vocabulary_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string>
#include <unordered_map>

#include "ridgeline/engine/logit_scan.h"

namespace ridgeline {
namespace {

using Type = VocabularyData::TokenType;

// What kind of token a key is of; its bytes stand behind it. A byte's token is another one than
// the letter's, although both say the same.
constexpr char kText = 't', kByte = 'b', kControl = 'c';

/// Tokens with equal keys say the same; "" says nothing and corresponds to nothing.
std::string key_of(const Tokenizer& tokenizer, TokenId id) {
  const VocabularyData& data = tokenizer.data();
  const std::string& text = data.tokens[static_cast<std::size_t>(id)];
  if (text.empty()) return {};
  const Type type = data.type(id);
  if (type == Type::kControl || type == Type::kUnknown) return kControl + text;
  const std::string bytes = tokenizer.piece(id);
  if (bytes.empty()) return {};
  return (byte_token_value(data, id) ? kByte : kText) + bytes;
}

/// What one file calls a control token is a user's token in another.
std::string other_key(const Tokenizer& tokenizer, TokenId id, const std::string& key) {
  const Type type = tokenizer.data().type(id);
  if (type == Type::kControl) return kText + key.substr(1);
  if (type == Type::kUserDefined) return kControl + key.substr(1);
  return {};
}

bool makes_text(const Tokenizer& tokenizer, TokenId id, const std::string& key) {
  return !key.empty() && key[0] != kControl && tokenizer.data().type(id) != Type::kUnused;
}

}  // namespace

Result<VocabularyMap> VocabularyMap::make(const Tokenizer& target, std::string_view target_name,
                                          const Tokenizer& draft, std::string_view draft_name) {
  const TokenId target_size = target.vocab_size(), draft_size = draft.vocab_size();
  VocabularyMap map;
  map.to_draft_.assign(static_cast<std::size_t>(target_size), kNoToken);
  map.to_target_.assign(static_cast<std::size_t>(draft_size), kNoToken);
  map.stand_in_ = std::max(0, draft.data().unknown.value_or(draft.data().eos.value_or(0)));
  const auto pair = [&](TokenId id, TokenId counterpart) {
    map.to_draft_[static_cast<std::size_t>(id)] = counterpart;
    // Of tokens that say the same, the first is meant on the way back.
    TokenId& back = map.to_target_[static_cast<std::size_t>(counterpart)];
    if (back == kNoToken) back = id;
  };

  std::vector<std::string> keys(static_cast<std::size_t>(target_size));
  bool same_ids = true;
  for (TokenId id = 0; id < target_size; ++id) {
    std::string& key = keys[static_cast<std::size_t>(id)];
    key = key_of(target, id);
    if (id >= draft_size) continue;
    const bool same = key == key_of(draft, id);
    if (same && !key.empty()) pair(id, id);
    same_ids = same_ids && same;
  }
  map.is_identity_ = same_ids;

  if (!same_ids) {
    std::unordered_map<std::string, TokenId> by_key;
    for (TokenId id = 0; id < draft_size; ++id)
      if (map.to_target(id) == kNoToken) by_key.emplace(key_of(draft, id), id);
    by_key.erase("");
    for (TokenId id = 0; id < target_size; ++id) {
      const std::string& key = keys[static_cast<std::size_t>(id)];
      if (key.empty() || map.to_draft(id) != kNoToken) continue;
      auto found = by_key.find(key);
      if (found == by_key.end()) found = by_key.find(other_key(target, id, key));
      if (found != by_key.end()) pair(id, found->second);
    }
  }

  int tokens = 0;
  for (TokenId id = 0; id < target_size; ++id) {
    if (!makes_text(target, id, keys[static_cast<std::size_t>(id)])) continue;
    ++tokens;
    if (map.to_draft(id) == kNoToken) ++map.missing_;
  }
  if (map.missing_ > kMostMissing * tokens)
    return fail(fmt::format(
        "{}: its vocabulary of {} tokens lacks {} of the {} tokens of {} that make text; expected "
        "of a draft model the same vocabulary, under any ids, but for {:.0f} %",
        draft_name, draft_size, map.missing_, tokens, target_name, 100 * kMostMissing));
  return map;
}

TokenId VocabularyMap::in_context(TokenId target) const {
  const TokenId draft = to_draft(target);
  return draft == kNoToken ? stand_in_ : draft;
}

bool VocabularyMap::translate(std::span<const float> draft_logits,
                              std::span<float> target_logits) const {
  std::ranges::fill(target_logits, -std::numeric_limits<float>::infinity());
  if (is_identity_) {
    // Rows behind the vocabularies, which pad the matrices, are no tokens.
    const std::size_t common =
        std::min({draft_logits.size(), target_logits.size(), to_draft_.size(), to_target_.size()});
    std::ranges::copy(draft_logits.first(common), target_logits.begin());
  } else {
    for (std::size_t id = 0; id < std::min(draft_logits.size(), to_target_.size()); ++id) {
      const TokenId token = to_target_[id];
      if (token != kNoToken) target_logits[static_cast<std::size_t>(token)] = draft_logits[id];
    }
  }
  return max_logit(target_logits) >= max_logit(draft_logits);
}

}  // namespace ridgeline
