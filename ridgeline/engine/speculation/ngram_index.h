#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

/// Where the end of a text occurred before.
struct TextMatch {
  std::int64_t end = 0;     ///< behind the occurrence: what is there came next
  std::int64_t length = 0;  ///< tokens; 0: none
};

/// Tokens at the end of both texts that are equal, counted up to `most`.
std::int64_t common_suffix(std::span<const TokenId> a, std::span<const TokenId> b,
                           std::int64_t most);

/// The places of a text by the n-grams that end there, for n of 1, 2, 4 and 8: of each n-gram the
/// last place, and from each place the one before (the hash chains of LZ77 compressors, RFC 1951
/// section 4). The text itself is the caller's. 32 to 64 bytes per token.
class NgramIndex {
 public:
  /// Matches are compared no further; longer ones count as equally long.
  static constexpr std::int64_t kLongest = 64;
  /// Places looked at for one n: bounds the time where a text says the same all the time. Beyond
  /// them, only the most recent ones count.
  static constexpr int kCandidates = 32;

  /// Indexes what came to `text`, whose beginning was indexed before; all of it anew whenever its
  /// length has doubled.
  void extend(std::span<const TokenId> text);
  /// The longest end of `query` that `text`, as indexed, has; the last of equally long ones.
  TextMatch find(std::span<const TokenId> text, std::span<const TokenId> query) const;

  std::int64_t size() const { return size_; }
  std::size_t bytes() const;

 private:
  static constexpr int kLevels = 4;
  static constexpr std::array<int, kLevels> kTokens = {1, 2, 4, 8};
  /// One n. Places are counted from 1 on, behind their n-gram.
  struct Level {
    std::vector<std::int32_t> last;    ///< [hash]: 0: none
    std::vector<std::int32_t> before;  ///< [place]
  };

  void insert(int level, std::span<const TokenId> text, std::int64_t begin, std::int64_t end);
  std::size_t bucket(int level, const TokenId* end) const;

  std::array<Level, kLevels> levels_;
  std::int64_t size_ = 0;
  int bits_ = 0;  ///< log2 of the buckets
};

}  // namespace ridgeline
