#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "ridgeline/kv/block_key.h"
#include "ridgeline/kv/sequence_blocks.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

/// What a draft model has computed of each sequence, in the target's tokens.
///
///     tokens  [ prompt and output | drafted ]
///     blocks  [ computed ............ |
///                                 ^ known: the rest may turn out otherwise
///
/// Full blocks of known tokens are found by sequences that begin alike (kv/block_key.h), also
/// after theirs is gone: choices of one request, the turns of a conversation.
class DraftCache {
 public:
  struct Sequence {
    Sequence(KvPools& pools, std::string_view salt) : keys(salt), blocks(pools) {}

    std::int64_t missing() const { return known - computed; }

    std::vector<TokenId> tokens;
    std::int64_t known = 0;      ///< tokens that are the sequence's
    std::int64_t computed = 0;   ///< tokens whose K and V are in the blocks
    std::int64_t published = 0;  ///< positions of blocks that others may find
    BlockKeys keys;
    SequenceBlocks blocks;
    std::uint64_t used = 0;  ///< when
    std::uint64_t turn = 0;  ///< in which its blocks were reserved
  };

  /// By group of layers: windows and blocks of the pool.
  DraftCache(const std::vector<std::int64_t>& windows, const std::vector<int>& blocks)
      : pools_(windows, blocks) {}

  /// A new turn: what was reserved before may be taken away again.
  void begin_turn() { ++turn_; }
  /// The sequence as it is now, rolled back to where `tokens` differ from what was drafted; its
  /// last token always counts as not computed. If `shared`, what others computed is found.
  Sequence& follow(std::uint64_t id, std::span<const TokenId> tokens, bool shared);
  /// follow(...).missing(), but for what would be found of others.
  std::int64_t missing(std::uint64_t id, std::span<const TokenId> tokens) const;
  /// Whoever is marked last is evicted last.
  void mark_used(Sequence& sequence) { sequence.used = ++clock_; }

  /// Takes blocks for the positions up to `end`, if need be of those used longest ago that have
  /// none reserved in this turn. False: there are too few. Appends what is to be copied first.
  bool reserve(Sequence& sequence, std::int64_t end, std::vector<BlockCopy>& copies);
  /// The positions up to `end` are computed.
  void advance(Sequence& sequence, std::int64_t end);
  void drop(std::uint64_t id) { sequences_.erase(id); }

  std::size_t sequences() const { return sequences_.size(); }
  KvPools& pools() { return pools_; }

 private:
  /// Of `computed` tokens, those that need not be computed again when the sequence says `tokens`.
  static std::int64_t common(const Sequence& sequence, std::span<const TokenId> tokens);
  static void forget(Sequence& sequence);
  /// Of a sequence that has nothing: takes what others computed of it.
  void find(Sequence& sequence);
  bool evict();

  KvPools pools_;
  std::unordered_map<std::uint64_t, Sequence> sequences_;
  std::uint64_t clock_ = 0, turn_ = 0;
};

}  // namespace ridgeline
