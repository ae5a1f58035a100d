#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace ridgeline {

/// What a full block of the KV cache holds: a SHA-256 over the key of the block before it and
/// its own tokens, so over everything from the sequence's first token on. Equal keys are equal
/// contents, also where somebody looks for a collision.
struct BlockKey {
  std::array<std::uint8_t, 32> digest{};
  bool operator==(const BlockKey&) const = default;

  struct Hash {
    std::size_t operator()(const BlockKey& key) const {
      std::size_t hash = 0;
      std::memcpy(&hash, key.digest.data(), sizeof hash);
      return hash;
    }
  };
};

/// The keys of a sequence's full blocks, made as its tokens come.
class BlockKeys {
 public:
  /// Sequences with different salts have no key in common.
  explicit BlockKeys(std::string_view salt = {});
  /// Makes the keys of all full blocks of `tokens`, which begin like those of earlier calls.
  void extend(std::span<const std::int32_t> tokens);
  std::span<const BlockKey> keys() const { return keys_; }

 private:
  BlockKey root_;
  std::vector<BlockKey> keys_;
};

}  // namespace ridgeline
