#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "ridgeline/text/flat_map.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

/// Remembers, within one encode(), what pieces of the text became, since words repeat.
/// Its size is fixed, it costs nothing that lasts, and it needs no lock. A hash has one
/// place, and a place is one cache line: a new piece replaces the one before it.
class PieceCache {
 public:
  /// Longer pieces, and those of more tokens, are not remembered: they seldom repeat.
  static constexpr std::size_t kMaxPieceBytes = 24;
  static constexpr std::size_t kMaxIds = 8;

  explicit PieceCache(std::size_t text_bytes)
      : entries_(std::bit_ceil(std::clamp<std::size_t>(text_bytes / 64, 16, 16384))) {}

  /// If it knows `piece`, which is not empty, appends its ids.
  bool append(std::string_view piece, std::vector<TokenId>& ids) const {
    if (piece.size() > kMaxPieceBytes) return false;
    const Key key = make_key(piece);
    const Entry& entry = entries_[place_of(key)];
    if (entry.key != key || entry.piece_bytes != piece.size()) return false;
    ids.insert(ids.end(), entry.ids.begin(), entry.ids.begin() + entry.num_ids);
    return true;
  }

  /// The ids from `begin` on are those of `piece`.
  void remember(std::string_view piece, std::size_t begin, const std::vector<TokenId>& ids) {
    const std::size_t num_ids = ids.size() - begin;
    if (piece.size() > kMaxPieceBytes || num_ids > kMaxIds) return;
    const Key key = make_key(piece);
    Entry& entry = entries_[place_of(key)];
    entry.key = key;
    entry.piece_bytes = static_cast<std::uint8_t>(piece.size());
    entry.num_ids = static_cast<std::uint8_t>(num_ids);
    std::copy(ids.begin() + static_cast<std::ptrdiff_t>(begin), ids.end(), entry.ids.begin());
  }

 private:
  using Key = std::array<std::uint64_t, kMaxPieceBytes / 8>;  // the piece, then zeros

  struct alignas(64) Entry {
    Key key{};
    std::array<TokenId, kMaxIds> ids;
    std::uint8_t piece_bytes = 0;  // 0: free
    std::uint8_t num_ids = 0;
  };

  static Key make_key(std::string_view piece) {
    Key key{};
    std::memcpy(key.data(), piece.data(), piece.size());
    return key;
  }

  std::size_t place_of(const Key& key) const {
    std::uint64_t hash = 0;
    for (const std::uint64_t word : key) hash = std::rotl(hash ^ word, 29) * 0x9E3779B97F4A7C15u;
    return hash_bits(hash) & (entries_.size() - 1);
  }

  std::vector<Entry> entries_;
};

}  // namespace ridgeline
