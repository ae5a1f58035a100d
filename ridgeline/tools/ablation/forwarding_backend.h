#pragma once

#include <memory>
#include <utility>

#include "ridgeline/ops/backend.h"

namespace ridgeline {

/// A Backend that leaves everything to another one; what derives from it does some of the
/// operations in a way of its own.
class ForwardingBackend : public Backend {
 public:
  explicit ForwardingBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}

  std::string_view isa() const override { return inner_->isa(); }
  int threads() const override { return inner_->threads(); }
  ThreadPool& host_threads() override { return inner_->host_threads(); }

  Result<std::size_t> packed_bytes(MatrixType type, std::int64_t rows,
                                   std::int64_t cols) const override {
    return inner_->packed_bytes(type, rows, cols);
  }
  std::int64_t pack_granularity() const override { return inner_->pack_granularity(); }
  void pack_rows(MatrixType type, std::int64_t rows, std::int64_t cols, const std::byte* data,
                 std::byte* packed) const override {
    inner_->pack_rows(type, rows, cols, data, packed);
  }
  std::uint64_t packed_layout(MatrixType type) const override {
    return inner_->packed_layout(type);
  }
  Result<std::unique_ptr<PackedWeight>> adopt_weight(MatrixType type, std::int64_t rows,
                                                     std::int64_t cols,
                                                     PackedBytes packed) override {
    return inner_->adopt_weight(type, rows, cols, std::move(packed));
  }
  Result<std::unique_ptr<DeviceBuffer>> allocate(std::size_t bytes, const char* what) override {
    return inner_->allocate(bytes, what);
  }
  Result<std::unique_ptr<DeviceBuffer>> upload_floats(std::span<const float> values) override {
    return inner_->upload_floats(values);
  }
  Result<std::size_t> kv_block_bytes(const KvCacheShape& shape, int group) const override {
    return inner_->kv_block_bytes(shape, group);
  }
  Result<std::unique_ptr<KvCache>> make_kv_cache(const KvCacheShape& shape) override {
    return inner_->make_kv_cache(shape);
  }
  void copy_kv_block(KvCache& cache, int group, std::int32_t from, std::int32_t to) override {
    inner_->copy_kv_block(cache, group, from, to);
  }
  Status reserve(const Limits& limits) override { return inner_->reserve(limits); }
  std::size_t workspace_bytes() const override { return inner_->workspace_bytes(); }

  void set_observer(LinearObserver* observer) override { inner_->set_observer(observer); }
  void embed(const PackedWeight& table, std::span<const std::int32_t> tokens, Matrix out) override {
    inner_->embed(table, tokens, out);
  }
  void rms_norm(Matrix x, const float* weight, float eps, Matrix out) override {
    inner_->rms_norm(x, weight, eps, out);
  }
  void layer_norm(Matrix x, const float* weight, const float* bias, float eps,
                  Matrix out) override {
    inner_->layer_norm(x, weight, bias, eps, out);
  }
  void linear(Matrix x, std::span<const LinearOutput> outputs) override {
    inner_->linear(x, outputs);
  }
  void gated_linear(Matrix x, const PackedWeight& gate, const PackedWeight& up, Matrix out,
                    Activation f) override {
    inner_->gated_linear(x, gate, up, out, f);
  }
  void linear_by_head(Matrix x, std::span<const std::unique_ptr<PackedWeight>> weights,
                      Matrix out) override {
    inner_->linear_by_head(x, weights, out);
  }
  void route(Matrix logits, const RoutingRule& rule, const float* selection_bias,
             const ExpertChoice& out) override {
    inner_->route(logits, rule, selection_bias, out);
  }
  void experts(Matrix x, const ExpertChoice& choice, const ExpertWeights& weights,
               Matrix out) override {
    inner_->experts(x, choice, weights, out);
  }
  void activate(Matrix x, Activation f) override { inner_->activate(x, f); }
  void add(Matrix x, Matrix y) override { inner_->add(x, y); }
  void scale(Matrix x, float factor) override { inner_->scale(x, factor); }
  void softcap(Matrix x, float cap) override { inner_->softcap(x, cap); }
  void rope_table(std::span<const SequenceSlice> slices, std::span<const float> inverse_frequencies,
                  float magnitude, Matrix table) override {
    inner_->rope_table(slices, inverse_frequencies, magnitude, table);
  }
  void rope(Matrix x, int heads, Matrix table, RopeStyle style) override {
    inner_->rope(x, heads, table, style);
  }
  void append_kv(KvCache& cache, int layer, Matrix k, Matrix v,
                 std::span<const SequenceSlice> slices) override {
    inner_->append_kv(cache, layer, k, v, slices);
  }
  void attention(const KvCache& cache, int layer, Matrix q, std::span<const SequenceSlice> slices,
                 const AttentionParams& params, Matrix out) override {
    inner_->attention(cache, layer, q, slices, params, out);
  }
  void copy_heads(Matrix x, Matrix out, int heads, std::int64_t width) override {
    inner_->copy_heads(x, out, heads, width);
  }
  void gather_rows(Matrix x, std::span<const std::int32_t> rows, Matrix out) override {
    inner_->gather_rows(x, rows, out);
  }
  void read(Matrix x, std::span<float> out) override { inner_->read(x, out); }
  void write(std::span<const float> from, Matrix x) override { inner_->write(from, x); }

 protected:
  std::unique_ptr<Backend> inner_;
};

}  // namespace ridgeline
