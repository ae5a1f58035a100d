#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

/// All substrings of many texts, built online (Blumer, Blumer, Haussler, Ehrenfeucht, Chen,
/// Seiferas 1985, "The smallest automaton recognizing the subwords of a text"; of several texts:
/// Blumer et al. 1987, "Complete inverted files"). A state is a set of substrings that end at
/// the same places; its link leads to the longest of their suffixes that ends at more.
/// No substring reaches from one text into another, as each begins at the root.
///
/// Memory is taken once. Of n tokens there are at most 2n states and 3n transitions; of prose and
/// of source text 1.3n states and 0.3n to 0.85n transitions besides the first of each state,
/// which lies in it: about 60 bytes per token.
class SuffixAutomaton {
 public:
  using State = std::uint32_t;
  static constexpr State kRoot = 0;

  /// The longest end of a text that is a substring of these.
  struct Match {
    State state = kRoot;
    std::int32_t length = 0;
  };
  struct Continuation {
    TokenId token = 0;
    std::uint32_t count = 0;  ///< times it followed
    std::uint32_t of = 0;     ///< occurrences of what it followed
  };

  /// Takes so many bytes, but no more than 16 M states need (730 MiB), and no less than a few
  /// tokens do.
  explicit SuffixAutomaton(std::size_t bytes);

  /// What is appended from here on is another text.
  void begin_text() { last_ = kRoot; }
  /// Appends to the text begun last. False, and nothing has changed: no room.
  [[nodiscard]] bool append(TokenId token);
  /// Forgets everything; takes time every 255th call only.
  void clear();

  /// From the match of a text to that of the text and `token`; amortised O(1).
  void advance(Match& match, TokenId token) const;
  /// To the longest suffix of the match that occurs at more places.
  void shorten(Match& match) const {
    match.state = nodes_[match.state].link;
    match.length = nodes_[match.state].length;
  }
  /// A match that was found before more was appended: its state may have been split.
  void settle(Match& match) const;
  /// What followed most often, of equals the last; none: it only ever ended a text.
  std::optional<Continuation> likeliest(State state) const;

  std::int64_t tokens() const { return tokens_; }
  std::size_t states() const { return num_states_; }
  std::size_t bytes() const;

 private:
  struct Node {
    std::int32_t length = 0;  ///< of its longest substring
    State link = kRoot;
    TokenId token = 0;       ///< the first transition
    State target = kRoot;    ///< kRoot: there is none
    std::uint32_t more = 0;  ///< 1 + the slot of the next one; 0: none
    std::uint32_t count = 0;
    TokenId favourite = 0;
    std::uint32_t favourite_count = 0;
  };
  /// A further transition, in a hash table with linear probing.
  struct Edge {
    std::uint32_t source = 0;  ///< epoch and state; another epoch's: the slot is free
    TokenId token = 0;
    State target = kRoot;
    std::uint32_t more = 0;
  };
  static constexpr int kStateBits = 24;
  static constexpr std::uint32_t kLastEpoch = (1u << (32 - kStateBits)) - 1;
  /// States whose counts a token raises, from the longest match down: bounds the time where a
  /// text says the same token all the time.
  static constexpr int kMostCounted = 32;

  std::uint32_t key(State state) const { return epoch_ << kStateBits | state; }
  std::size_t find_slot(State state, TokenId token) const;
  State step(State state, TokenId token) const;
  void add_edge(State from, TokenId token, State to);
  void redirect(State from, TokenId token, State to);
  std::size_t further_edges(State state) const;
  bool has_room(std::size_t nodes, std::size_t edges) const;
  State add_node(const Node& node);
  State split(State from, TokenId token, State target);
  void count(State before, TokenId token, State after);

  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  std::vector<State> path_;  ///< of append(): states that get a transition
  std::size_t num_states_ = 1;
  std::size_t num_edges_ = 0;
  std::int64_t tokens_ = 0;
  State last_ = kRoot;
  std::uint32_t epoch_ = 1;
};

}  // namespace ridgeline
