#pragma once

#include <array>
#include <deque>
#include <unordered_map>
#include <vector>

#include "ridgeline/engine/speculation/drafter.h"
#include "ridgeline/engine/speculation/suffix_automaton.h"

namespace ridgeline {

/// Guesses that a sequence goes on as outputs of this engine did lately where they said the same:
/// what agents and edits repeat from request to request. Two automata hold them, of half of the
/// memory each; when the young one is full it becomes the old one, and the older outputs are
/// forgotten.
class RecentOutputs final : public Drafter {
 public:
  /// About 1 M tokens.
  static constexpr std::size_t kDefaultBytes = std::size_t{64} << 20;
  /// Of what a sequence said before, where its matches are looked for anew.
  static constexpr std::int64_t kWalked = 32;
  /// Of finished outputs that are learnt per call, so that none keeps the engine waiting.
  static constexpr std::int64_t kLearntPerCall = 1024;
  /// Of finished outputs that wait to be learnt; older ones are forgotten.
  static constexpr std::int64_t kMostWaiting = std::int64_t{1} << 18;

  explicit RecentOutputs(std::size_t bytes = kDefaultBytes);

  std::string_view name() const override { return "recent"; }
  void draft(std::span<const DraftRequest> requests) override;
  void finish(const DraftRequest& request) override;
  std::size_t bytes() const override;

  /// Tokens that are looked into.
  std::int64_t tokens() const { return young_.tokens() + old_.tokens(); }
  /// The class of a token that would continue a match of `length` tokens and followed it
  /// `count` out of `of` times. Mostly the share decides; where nothing else followed, how often
  /// that was seen and the length do.
  static std::uint8_t confidence(std::int64_t length, std::uint32_t count, std::uint32_t of);

 private:
  struct Sequence {
    SuffixAutomaton::Match young, old;
    std::int64_t seen = 0;      ///< tokens, at the last draft
    std::uint64_t learnt = 0;   ///< learnt_ then
    std::uint64_t dropped = 0;  ///< dropped_ then
  };

  void learn();
  void follow(const DraftRequest& request, Sequence& sequence) const;

  SuffixAutomaton young_, old_;
  std::uint64_t learnt_ = 1;   ///< grows with what the young one learns
  std::uint64_t dropped_ = 1;  ///< grows when an automaton is dropped
  std::deque<std::vector<TokenId>> waiting_;
  std::int64_t num_waiting_ = 0;   ///< tokens of them that were not learnt yet
  std::size_t first_waiting_ = 0;  ///< of the first of them
  std::unordered_map<std::uint64_t, Sequence> sequences_;
};

}  // namespace ridgeline
