#pragma once

#include "ridgeline/tools/ablation/forwarding_backend.h"

namespace ridgeline {

/// Keeps K and V of one layer at a time, which is all that a forward pass over a whole sequence
/// needs: each layer writes over the one before it. Nothing is left for the next pass, so every
/// pass must begin at position 0 and hold its sequences whole.
///
/// Layers with the same window share one place, so that block tables mean what they did.
class NoCacheBackend final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  Result<std::size_t> kv_block_bytes(const KvCacheShape& shape, int group) const override;
  Result<std::unique_ptr<KvCache>> make_kv_cache(const KvCacheShape& shape) override;
  void copy_kv_block(KvCache& cache, int group, std::int32_t from, std::int32_t to) override;
  void append_kv(KvCache& cache, int layer, Matrix k, Matrix v,
                 std::span<const SequenceSlice> slices) override;
  void attention(const KvCache& cache, int layer, Matrix q, std::span<const SequenceSlice> slices,
                 const AttentionParams& params, Matrix out) override;
};

}  // namespace ridgeline
