#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

/// From a model's tokens to those of its draft model, and back. Tokens correspond when they put
/// the same bytes into a text, or are control tokens with the same text, whatever their ids.
///
///     target  0 <unk>  1 <s>  2 " the"  3 "he"    4 <tool>
///     draft   0 <s>    1 "he" 2 " the"  3 <unk>   4 <pad>
///     to_draft  3      0      2         1         none
class VocabularyMap {
 public:
  /// The names are of the files. Error: more than kMostMissing of the target's tokens that make
  /// text have no counterpart.
  static Result<VocabularyMap> make(const Tokenizer& target, std::string_view target_name,
                                    const Tokenizer& draft, std::string_view draft_name);
  static constexpr double kMostMissing = 0.01;

  /// Counterparts have the same id; tokens that only one side has come behind the others.
  bool is_identity() const { return is_identity_; }
  /// kNoToken: it has no counterpart, or there is no such id.
  TokenId to_draft(TokenId target) const { return at(to_draft_, target); }
  TokenId to_target(TokenId draft) const { return at(to_target_, draft); }
  /// What the draft model reads in the place of the target's token: its counterpart; of those that
  /// have none, the draft's unknown token, or where it has none the end of a text. The draft then
  /// guesses from a context that differs by a token, and is as good as it turns out to be.
  TokenId in_context(TokenId target) const;
  /// The draft's logits under the target's ids, -inf where there is no counterpart. False: the most
  /// likely token has none, so that nothing can be drafted here.
  bool translate(std::span<const float> draft_logits, std::span<float> target_logits) const;
  /// Tokens of the target that make text and have no counterpart.
  int missing() const { return missing_; }

 private:
  VocabularyMap() = default;
  static TokenId at(const std::vector<TokenId>& ids, TokenId id) {
    return id >= 0 && static_cast<std::size_t>(id) < ids.size() ? ids[static_cast<std::size_t>(id)]
                                                                : kNoToken;
  }

  std::vector<TokenId> to_draft_, to_target_;
  TokenId stand_in_ = 0;
  bool is_identity_ = false;
  int missing_ = 0;
};

}  // namespace ridgeline
