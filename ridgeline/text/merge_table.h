#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "ridgeline/text/flat_map.h"

namespace ridgeline {

/// What byte-pair encoding joins: a token's id, or a number above the vocabulary for
/// a character that is part of tokens without being one.
using SymbolId = std::int32_t;
/// A character or byte that no token contains.
inline constexpr SymbolId kNoSymbol = -1;

/// A symbol's place in the text that is being encoded; it ends where the next begins.
struct Symbol {
  SymbolId id;
  std::uint32_t begin;
};

/// Which two neighbours may be joined, how soon, and into what. Both tokenizers use
/// it: a byte-level merge's rank is its place in the list of merges, a SentencePiece
/// merge's that of its result's score.
class MergeTable {
 public:
  using Rank = std::uint32_t;  ///< the lowest is merged first
  static constexpr Rank kNoRank = std::numeric_limits<Rank>::max();
  struct Merge {
    Rank rank = kNoRank;
    SymbolId result = kNoSymbol;
  };

  explicit MergeTable(std::size_t expected_size) : merges_(expected_size) {}

  /// Of merges of the same pair the first counts.
  void insert(SymbolId left, SymbolId right, Merge merge) {
    merges_.insert(key(left, right),
                   (std::uint64_t{merge.rank} << 32) | static_cast<std::uint32_t>(merge.result));
  }

  Merge find(SymbolId left, SymbolId right) const {
    if (left == kNoSymbol || right == kNoSymbol) return {};
    const std::uint64_t value = merges_.find(key(left, right), kAbsent);
    return {static_cast<Rank>(value >> 32), static_cast<SymbolId>(value & 0xFFFFFFFFu)};
  }

  /// Joins the pair of the lowest rank, the leftmost of several, until no pair is
  /// left that may be joined. O(n log n) in the number of symbols.
  void apply(std::vector<Symbol>& symbols) const;

 private:
  static constexpr std::uint64_t kAbsent = ~std::uint64_t{0};  // kNoRank, kNoSymbol

  static std::uint64_t key(SymbolId left, SymbolId right) {
    return (std::uint64_t{static_cast<std::uint32_t>(left)} << 32) |
           static_cast<std::uint32_t>(right);
  }

  void apply_scanning(std::vector<Symbol>& symbols) const;
  void apply_with_heap(std::vector<Symbol>& symbols) const;

  FlatMap merges_;
};

}  // namespace ridgeline
