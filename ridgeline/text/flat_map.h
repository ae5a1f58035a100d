#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace ridgeline {

/// Mixes all bits of `x` into all bits of the result (the finalizer of MurmurHash3).
inline std::uint64_t hash_bits(std::uint64_t x) {
  x = (x ^ (x >> 33)) * 0xFF51AFD7ED558CCDu;
  x = (x ^ (x >> 33)) * 0xC4CEB9FE1A85EC53u;
  return x ^ (x >> 33);
}

/// For keys of a few dozen bytes: eight at a time, the last eight overlapping.
inline std::uint64_t hash_bytes(std::string_view bytes) {
  const auto load = [&bytes](std::size_t at, std::size_t size) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, size);
    return word;
  };
  std::uint64_t hash = bytes.size();
  if (bytes.size() < 4) {
    // A copy of constant size is an instruction, one of any size a call.
    for (const char c : bytes) hash = (hash << 8) ^ static_cast<unsigned char>(c);
  } else if (bytes.size() < 8) {
    hash ^= (load(0, 4) << 32) ^ (load(bytes.size() - 4, 4) << 4);
  } else {
    for (std::size_t at = 0; at + 8 < bytes.size(); at += 8) {
      hash = (hash ^ load(at, 8)) * 0x9E3779B97F4A7C15u;
      hash ^= hash >> 32;
    }
    hash ^= load(bytes.size() - 8, 8);
  }
  return hash_bits(hash);
}

/// A hash table with open addressing and linear probing, filled once and then only
/// read. A byte of each key's hash lies in an array of its own, which mostly is in a
/// near cache and mostly suffices to say that a key is absent, as most are.
class FlatMap {
 public:
  explicit FlatMap(std::size_t expected_size = 0) { resize(capacity_for(expected_size)); }

  /// Keeps the value that is already there; says whether it was stored.
  bool insert(std::uint64_t key, std::uint64_t value) {
    if ((size_ + 1) * 3 > slots_.size() * 2) grow();
    const std::uint64_t hash = hash_bits(key);
    const std::size_t at = place_of(key, hash);
    if (tags_[at] != kFree) return false;
    tags_[at] = tag_of(hash);
    slots_[at] = {key, value};
    ++size_;
    return true;
  }

  /// The value of `key`, or `absent`.
  std::uint64_t find(std::uint64_t key, std::uint64_t absent) const {
    const std::size_t at = place_of(key, hash_bits(key));
    return tags_[at] == kFree ? absent : slots_[at].value;
  }

  bool contains(std::uint64_t key) const { return tags_[place_of(key, hash_bits(key))] != kFree; }

 private:
  static constexpr std::uint8_t kFree = 0;
  struct Slot {
    std::uint64_t key, value;
  };

  static std::size_t capacity_for(std::size_t size) {
    return std::bit_ceil(std::max<std::size_t>(8, size + size / 2 + 1));
  }
  static std::uint8_t tag_of(std::uint64_t hash) {
    return static_cast<std::uint8_t>((hash >> 56) | 1);
  }

  /// Where `key` is, or the free place where it belongs.
  std::size_t place_of(std::uint64_t key, std::uint64_t hash) const {
    const std::size_t mask = slots_.size() - 1;
    const std::uint8_t tag = tag_of(hash);
    std::size_t at = hash & mask;
    while (tags_[at] != kFree && (tags_[at] != tag || slots_[at].key != key)) at = (at + 1) & mask;
    return at;
  }

  void resize(std::size_t capacity) {
    slots_.resize(capacity);
    tags_.resize(capacity, kFree);
  }

  void grow() {
    const std::vector<Slot> slots = std::exchange(slots_, {});
    const std::vector<std::uint8_t> tags = std::exchange(tags_, {});
    resize(slots.size() * 2);
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (tags[i] == kFree) continue;
      const std::uint64_t hash = hash_bits(slots[i].key);
      const std::size_t at = place_of(slots[i].key, hash);
      tags_[at] = tag_of(hash);
      slots_[at] = slots[i];
    }
  }

  std::vector<Slot> slots_;
  std::vector<std::uint8_t> tags_;
  std::size_t size_ = 0;
};

}  // namespace ridgeline
