#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/text/flat_map.h"
#include "ridgeline/text/hf_normalizer.h"
#include "ridgeline/text/special_tokens.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

/// One of tokenizer.json's "added_tokens".
struct HfAddedToken {
  TokenId id = kNoToken;
  std::string content;
  bool single_word = false;  ///< only where no word's characters touch it
  bool lstrip = false;       ///< takes the white space before it
  bool rstrip = false;
  bool normalized = true;  ///< looked for in the normalized text, itself normalized
  bool special = false;    ///< looked for if special tokens are parsed
};

/// Finds added tokens. Immutable.
class HfAddedTokens {
 public:
  HfAddedTokens(std::vector<HfAddedToken> tokens, const HfNormalizer& normalizer);

  struct Occurrence {
    std::size_t begin, end;
    TokenId id;
  };
  /// Those that are not normalized, in a text as it is; any bytes. In order; one may begin
  /// in the white space that the one before it has taken, as the library has it.
  std::vector<Occurrence> find_in_raw(std::string_view text, bool parse_special) const {
    return find(raw_, text, parse_special);
  }
  std::vector<Occurrence> find_in_normalized(std::string_view text, bool parse_special) const {
    return find(normalized_, text, parse_special);
  }
  bool is_normalized(TokenId id) const {
    return normalized_ids_.contains(static_cast<std::uint32_t>(id));
  }

 private:
  std::vector<Occurrence> find(const SpecialTokens& automaton, std::string_view text,
                               bool parse_special) const;

  std::vector<HfAddedToken> tokens_;
  SpecialTokens raw_, normalized_;  // ids are places in tokens_
  FlatMap normalized_ids_;
};

}  // namespace ridgeline
