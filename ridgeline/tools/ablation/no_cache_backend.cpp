#include "ridgeline/tools/ablation/no_cache_backend.h"

#include "ridgeline/base/check.h"

namespace ridgeline {
namespace {

/// One layer for each group of layers.
KvCacheShape one_layer_each(const KvCacheShape& shape) {
  KvCacheShape small = shape;
  small.layer_windows = shape.windows();
  small.layers = static_cast<int>(small.layer_windows.size());
  return small;
}

class OneLayerCache final : public KvCache {
 public:
  OneLayerCache(const KvCacheShape& shape, std::unique_ptr<KvCache> storage)
      : inner(std::move(storage)), shape_(shape) {
    for (int layer = 0; layer < shape_.layers; ++layer) group_of_.push_back(shape_.group(layer));
  }
  const KvCacheShape& shape() const override { return shape_; }
  std::size_t bytes() const override { return inner->bytes(); }
  int place(int layer) const { return group_of_[static_cast<std::size_t>(layer)]; }

  std::unique_ptr<KvCache> inner;

 private:
  KvCacheShape shape_;
  std::vector<int> group_of_;
};

}  // namespace

Result<std::size_t> NoCacheBackend::kv_block_bytes(const KvCacheShape& shape, int group) const {
  return inner_->kv_block_bytes(one_layer_each(shape), group);
}

Result<std::unique_ptr<KvCache>> NoCacheBackend::make_kv_cache(const KvCacheShape& shape) {
  RIDGELINE_TRY(std::unique_ptr<KvCache> inner, inner_->make_kv_cache(one_layer_each(shape)));
  return std::make_unique<OneLayerCache>(shape, std::move(inner));
}

void NoCacheBackend::copy_kv_block(KvCache& cache, int group, std::int32_t from, std::int32_t to) {
  inner_->copy_kv_block(*static_cast<OneLayerCache&>(cache).inner, group, from, to);
}

void NoCacheBackend::append_kv(KvCache& cache, int layer, Matrix k, Matrix v,
                               std::span<const SequenceSlice> slices) {
  for (const SequenceSlice& slice : slices) RIDGELINE_CHECK(slice.first_position == 0);
  auto& one = static_cast<OneLayerCache&>(cache);
  inner_->append_kv(*one.inner, one.place(layer), k, v, slices);
}

void NoCacheBackend::attention(const KvCache& cache, int layer, Matrix q,
                               std::span<const SequenceSlice> slices, const AttentionParams& params,
                               Matrix out) {
  const auto& one = static_cast<const OneLayerCache&>(cache);
  inner_->attention(*one.inner, one.place(layer), q, slices, params, out);
}

}  // namespace ridgeline
