#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

/// Between text and ids, where a file puts a tokenizer together from parts and does not
/// name one of the kinds. Immutable.
class TokenizerPipeline {
 public:
  virtual ~TokenizerPipeline() = default;

  /// Appends the ids of `text`, which may be any bytes, without what stands at its ends.
  virtual void encode(std::string_view text, bool parse_special,
                      std::vector<TokenId>& ids) const = 0;

  /// What a token stands for behind other text, and at the front of one.
  struct Piece {
    std::string inside, at_start;
  };
  virtual Piece piece(TokenId id, const VocabularyData& data) const = 0;

  struct Ends {
    std::vector<TokenId> prefix, suffix;  ///< of every text, if asked for
    /// Of a decoded text: so many of this character are dropped at its front.
    std::string dropped_character;
    std::size_t max_dropped = 0;
    bool drops_last_space = false;  ///< and one space at its end
  };
  const Ends& ends() const { return ends_; }

 protected:
  Ends ends_;
};

}  // namespace ridgeline
