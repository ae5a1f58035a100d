#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "ridgeline/text/piece_cache.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

/// One algorithm that turns text without special tokens into ids. Immutable.
class TextEncoder {
 public:
  virtual ~TextEncoder() = default;
  /// Appends the ids of `text`, which is not empty: all that stands between two
  /// special tokens, or a special token and an end.
  virtual void encode(std::string_view text, PieceCache& cache,
                      std::vector<TokenId>& ids) const = 0;
};

/// SentencePiece gives one unknown token for a run of unknown characters: of those that
/// stand side by side in `ids` from `first` on, leaves one.
inline void fuse_unknown(TokenId unknown, std::size_t first, std::vector<TokenId>& ids) {
  if (unknown == kNoToken) return;
  const auto both_unknown = [unknown](TokenId a, TokenId b) {
    return a == unknown && b == unknown;
  };
  ids.erase(std::unique(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end(), both_unknown),
            ids.end());
}

}  // namespace ridgeline
