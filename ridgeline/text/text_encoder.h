#pragma once

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

}  // namespace ridgeline
