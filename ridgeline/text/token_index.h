#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ridgeline/text/flat_map.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

/// From a token's text to its id. Holds views: the texts must outlive it.
class TokenIndex {
 public:
  explicit TokenIndex(std::size_t expected_size)
      : slots_(std::bit_ceil(expected_size * 2 + 2)), mask_(slots_.size() - 1) {
    entries_.reserve(expected_size);
  }

  /// At most `expected_size` times. Of equal texts the first keeps its id.
  void insert(std::string_view text, TokenId id) {
    const std::uint64_t hash = hash_bytes(text);
    std::uint32_t& slot = slots_[slot_of(text, hash)];
    if (slot != 0) return;
    entries_.push_back({text, static_cast<std::uint32_t>(hash >> 32), id});
    slot = static_cast<std::uint32_t>(entries_.size());
  }

  /// kNoToken if there is none.
  TokenId find(std::string_view text) const { return find(text, hash_bytes(text)); }

  /// ids[i] = find(texts[i]), for up to kManyMax of them. A look-up waits for memory three
  /// times, once for each step from slot to entry to text; here all take a step together.
  static constexpr std::size_t kManyMax = 96;
  void find_many(std::span<const std::string_view> texts, TokenId* ids) const {
    std::array<std::uint64_t, kManyMax> hashes;
    const std::size_t n = texts.size();
    for (std::size_t i = 0; i < n; ++i) {
      hashes[i] = hash_bytes(texts[i]);
      __builtin_prefetch(&slots_[hashes[i] & mask_]);
    }
    const auto entry_of = [&](std::size_t i) {
      const std::uint32_t slot = slots_[hashes[i] & mask_];
      return entries_.data() + (slot == 0 ? 0 : slot - 1);
    };
    for (std::size_t i = 0; i < n; ++i) __builtin_prefetch(entry_of(i));
    for (std::size_t i = 0; i < n; ++i)
      if (!entries_.empty()) __builtin_prefetch(entry_of(i)->text.data());
    for (std::size_t i = 0; i < n; ++i) ids[i] = find(texts[i], hashes[i]);
  }

 private:
  struct Entry {
    std::string_view text;
    std::uint32_t hash;
    TokenId id;
  };

  TokenId find(std::string_view text, std::uint64_t hash) const {
    const std::uint32_t slot = slots_[slot_of(text, hash)];
    return slot == 0 ? kNoToken : entries_[slot - 1].id;
  }

  std::size_t slot_of(std::string_view text, std::uint64_t hash) const {
    std::size_t at = hash & mask_;
    while (slots_[at] != 0) {
      const Entry& entry = entries_[slots_[at] - 1];
      if (entry.hash == static_cast<std::uint32_t>(hash >> 32) && entry.text == text) break;
      at = (at + 1) & mask_;
    }
    return at;
  }

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> slots_;  // index of an entry plus one; 0: free
  std::size_t mask_;
};

}  // namespace ridgeline
