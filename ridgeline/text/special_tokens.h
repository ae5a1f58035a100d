#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ridgeline/text/flat_map.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

/// Finds the tokens that a text may name literally: control and unknown tokens if
/// asked for, user-defined tokens always. An Aho-Corasick automaton (Aho, Corasick
/// 1975) over the reversed texts, run from the end of the text to its front: so each
/// place learns the longest token that begins there in one linear pass, however the
/// tokens overlap.
class SpecialTokens {
 public:
  explicit SpecialTokens(const VocabularyData& data);
  struct Entry {
    std::string_view text;  ///< an empty one is left out; of equal ones the first counts
    TokenId id;
    bool is_user_defined;
  };
  /// The texts need not outlive the constructor.
  explicit SpecialTokens(std::span<const Entry> entries);

  struct Occurrence {
    std::size_t begin, length_bytes;
    TokenId id;
  };
  /// In order of their places, not overlapping: the leftmost first, of those that
  /// begin at the same place the longest.
  std::vector<Occurrence> find_all(std::string_view text, bool parse_special) const;

 private:
  struct Longest {
    TokenId id = kNoToken;
    std::uint32_t length_bytes = 0;
  };
  struct Node {
    std::uint32_t suffix = 0;  // the longest proper suffix of this node that is a node
    Longest user_defined, any;
  };
  static constexpr std::uint32_t kRoot = 0;

  static std::uint64_t edge(std::uint32_t node, unsigned char byte) {
    return (std::uint64_t{node} << 8) | byte;
  }
  void insert(std::string_view text, TokenId id, bool user_defined);
  void link_suffixes();
  std::uint32_t step(std::uint32_t node, unsigned char byte) const;

  std::vector<Node> nodes_;
  std::vector<std::uint64_t> edges_in_order_;  // parents before children; for link_suffixes
  FlatMap edges_;
  std::array<std::uint32_t, 256> from_root_{};
};

}  // namespace ridgeline
