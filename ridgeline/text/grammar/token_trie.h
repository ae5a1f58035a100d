#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/text/vocabulary.h"

namespace ridgeline::grammar {

/// The tokens of a vocabulary by their bytes, in preorder: the nodes below node i are
/// i + 1 to end(i) - 1.
class TokenTrie {
 public:
  /// Longer ones are never allowed: a mask's walk has a level for each byte.
  static constexpr std::size_t kTokenBytesMax = 512;

  /// An empty piece, of a control token or one that ends a generation, is no text.
  TokenTrie(std::vector<std::string> pieces, std::vector<std::pair<TokenId, std::string>> control,
            std::vector<TokenId> end_of_generation);

  struct Node {
    std::uint32_t end;
    TokenId token;         ///< kNoToken: none ends here; see next_same()
    std::uint16_t height;  ///< bytes of the longest way down from here
    unsigned char byte;
  };
  const std::vector<Node>& nodes() const { return nodes_; }
  /// Another token of the same bytes, or kNoToken.
  TokenId next_same(TokenId token) const { return next_same_[static_cast<std::size_t>(token)]; }

  int size() const { return static_cast<int>(pieces_.size()); }
  std::string_view piece(TokenId token) const { return pieces_[static_cast<std::size_t>(token)]; }
  struct Control {
    TokenId id;
    std::string text;
  };
  const std::vector<Control>& control() const { return control_; }
  const std::vector<TokenId>& end_of_generation() const { return end_; }
  std::uint32_t token_length_max() const { return token_length_max_; }  ///< in characters
  std::uint64_t id() const { return id_; }  ///< of this trie; no other ever has it

  /// Within a JSON string of which nothing is asked: the tokens that stay in it, and where
  /// others leave it: at a node whose byte is the closing quote. `prefix` is before it.
  struct Closing {
    std::uint32_t node;
    std::string prefix;
  };
  const std::vector<std::uint32_t>& inside_string() const { return inside_string_; }
  const std::vector<Closing>& closings() const { return closings_; }
  /// The same of node `node` and all below it.
  std::span<const TokenId> inside_string(std::uint32_t node) const {
    const auto begin = inside_before_[node], end = inside_before_[nodes_[node].end];
    return std::span(inside_order_).subspan(begin, end - begin);
  }
  std::span<const Closing> closings(std::uint32_t node) const;
  /// Those that stay inside and have more than this many bytes, the longest first.
  static constexpr std::uint32_t kLongBytes = 16;
  std::span<const TokenId> long_inside_string() const { return long_inside_; }

 private:
  void build();
  void look_inside_strings();

  std::vector<std::string> pieces_;
  std::vector<Control> control_;
  std::vector<TokenId> end_;
  std::vector<Node> nodes_;
  std::vector<TokenId> next_same_;
  std::uint32_t token_length_max_ = 0;
  std::uint64_t id_;
  std::vector<std::uint32_t> inside_string_;
  std::vector<Closing> closings_;             // by node
  std::vector<std::uint32_t> inside_before_;  // of each node: how many of inside_order_ come first
  std::vector<TokenId> inside_order_, long_inside_;
};

}  // namespace ridgeline::grammar
