#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "ridgeline/text/grammar/machine.h"
#include "ridgeline/text/grammar/token_trie.h"

namespace ridgeline::grammar {

/// The tokens that one thread allows: few as a list, many as bits.
struct Mask {
  std::vector<TokenId> tokens;
  std::vector<std::uint32_t> words;  ///< or empty
  /// Of a string's inside only: the nodes of the trie at which it may be closed, and a state of
  /// its automaton there.
  std::vector<std::uint32_t> closings;
  std::uint32_t closed_state = 0;

  void add_to(std::span<std::uint32_t> mask) const;
  std::size_t bytes() const { return 96 + (tokens.size() + words.size() + closings.size()) * 4; }
};

/// Masks of a grammar's threads, by what they depend on. What has not been used lately goes;
/// any number of threads of the program may ask.
class MaskCache {
 public:
  static constexpr std::size_t kBytesMax = std::size_t{32} << 20;

  std::shared_ptr<const Mask> find(std::uint64_t key);
  void insert(std::uint64_t key, std::shared_ptr<const Mask> mask);

 private:
  using Map = std::unordered_map<std::uint64_t, std::shared_ptr<const Mask>>;
  void add(std::uint64_t key, std::shared_ptr<const Mask> mask);

  std::mutex mutex_;
  Map young_, old_;  // when the young ones fill half, they become the old ones
  std::size_t young_bytes_ = 0;
};

/// Walks the trie with a thread. What only concerns the inside of a string is taken from
/// `cache`, or left there.
Mask compute_mask(const Thread& thread, const TokenTrie& trie, const ThreadSet& state,
                  MaskCache& cache);

}  // namespace ridgeline::grammar
