#include "ridgeline/kv/block_key.h"

#include <openssl/sha.h>

#include "ridgeline/tensor/kv_block.h"

namespace ridgeline {
namespace {

BlockKey hash(std::span<const std::uint8_t> bytes) {
  BlockKey key;
  SHA256(bytes.data(), bytes.size(), key.digest.data());
  return key;
}

}  // namespace

BlockKeys::BlockKeys(std::string_view salt)
    : root_(hash({reinterpret_cast<const std::uint8_t*>(salt.data()), salt.size()})) {}

void BlockKeys::extend(std::span<const std::int32_t> tokens) {
  constexpr std::size_t kTokens = kKvBlockTokens, kTokenBytes = kTokens * sizeof(std::int32_t);
  std::array<std::uint8_t, sizeof(BlockKey) + kTokenBytes> bytes;
  while ((keys_.size() + 1) * kTokens <= tokens.size()) {
    const BlockKey& parent = keys_.empty() ? root_ : keys_.back();
    std::memcpy(bytes.data(), parent.digest.data(), sizeof(BlockKey));
    std::memcpy(bytes.data() + sizeof(BlockKey), tokens.data() + keys_.size() * kTokens,
                kTokenBytes);
    keys_.push_back(hash(bytes));
  }
}

}  // namespace ridgeline
