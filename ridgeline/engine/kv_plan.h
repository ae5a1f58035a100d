#pragma once

#include <cstdint>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/ops/backend.h"

namespace ridgeline {

/// What sequences take of a KV cache: all they computed in groups of layers that see
/// everything, and in the others as much as a window and a step reach over.
class KvSizes {
 public:
  /// `step_tokens`: of a sequence in one step at most.
  static Result<KvSizes> of(const Backend& backend, const KvCacheShape& shape,
                            std::int64_t step_tokens);

  /// Blocks of each group that a sequence of `tokens` may need at a time.
  std::vector<int> blocks(std::int64_t tokens) const;
  std::uint64_t bytes(std::int64_t tokens) const;
  /// The longest sequence that needs no more than `bytes`, in whole blocks.
  std::int64_t tokens_in(std::uint64_t bytes) const;
  /// Bytes of K and V that a row at position `tokens` reads, without free slots.
  double bytes_seen(std::int64_t tokens) const;

  /// Blocks of each group for `sequences` sequences of `context` tokens.
  std::vector<int> pools(std::int64_t context, int sequences) const;
  /// Blocks of each group for `bytes`, no less than bytes(context), and no more windows than
  /// `sequences` can fill.
  std::vector<int> pools_in(std::uint64_t bytes, std::int64_t context, int sequences) const;

 private:
  struct Group {
    std::int64_t window;
    std::uint64_t block_bytes;
  };
  std::vector<Group> groups_;
  std::int64_t step_tokens_ = 1;
};

}  // namespace ridgeline
