#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/ops/backend.h"
#include "ridgeline/ops/cpu/segments.h"
#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/tensor/buffer.h"

namespace ridgeline {

/// A matrix as panels of kernels().panel_width rows, one after the other.
class CpuWeight final : public PackedWeight {
 public:
  CpuWeight(const WeightKernel& weight_kernel, int panel_width, std::int64_t rows,
            std::int64_t cols, PackedBytes panels);

  DType dtype() const override { return kernel_->weight; }
  std::int64_t rows() const override { return rows_; }
  std::int64_t cols() const override { return cols_; }
  std::size_t bytes() const override { return panels_.bytes.size(); }

  const WeightKernel& kernel() const { return *kernel_; }
  std::int64_t num_panels() const { return num_panels_; }
  /// Of each column, the input it belongs to; null where they are in order.
  const std::vector<std::int32_t>* input_order() const { return panels_.input_order.get(); }
  std::size_t panel_bytes() const { return panel_bytes_; }
  /// Of a panel, what a product reads.
  std::size_t read_bytes() const { return kernel_->read_bytes(cols_); }
  const std::byte* panel(std::int64_t i) const {
    return panels_.bytes.data() + static_cast<std::size_t>(i) * panel_bytes_;
  }

 private:
  const WeightKernel* kernel_;
  std::int64_t rows_, cols_, num_panels_;
  std::size_t panel_bytes_;
  PackedBytes panels_;
};

/// Layer by layer, block by block of the layer's group: [kv_head][K, then V]. A head's V
/// lies behind its K, which decoding reads 6-8 % faster than two regions with small pages.
/// Latent caches have no V.
class CpuKvCache final : public KvCache {
 public:
  CpuKvCache(const KvKernel& kernel, const KvCacheShape& shape, Buffer storage);
  /// Bytes of one layer's K and V in a block.
  static std::size_t block_stride(const KvKernel& kernel, const KvCacheShape& shape);

  const KvCacheShape& shape() const override { return shape_; }
  std::size_t bytes() const override { return storage_.size(); }

  const KvKernel& kernel() const { return *kernel_; }
  std::size_t block_stride() const { return block_stride_; }
  /// K (or V) of one head, block 0; block b lies block_stride() * b further.
  std::byte* k(int layer, int kv_head) { return storage_.data() + offset(layer, kv_head); }
  const std::byte* k(int layer, int kv_head) const {
    return storage_.data() + offset(layer, kv_head);
  }
  std::byte* v(int layer, int kv_head) { return k(layer, kv_head) + k_bytes_; }
  const std::byte* v(int layer, int kv_head) const { return k(layer, kv_head) + k_bytes_; }
  /// Whose block table and ids the layer has.
  int group(int layer) const { return layers_[static_cast<std::size_t>(layer)].group; }

 private:
  std::size_t offset(int layer, int kv_head) const {
    return layers_[static_cast<std::size_t>(layer)].offset +
           static_cast<std::size_t>(kv_head) * head_stride_;
  }
  struct Layer {
    int group;
    std::size_t offset;
  };
  const KvKernel* kernel_;
  KvCacheShape shape_;
  std::size_t k_bytes_, head_stride_, block_stride_;
  std::vector<Layer> layers_;
  Buffer storage_;
};

/// The CPU: tiles and threads around a KernelTable.
class CpuBackend final : public Backend {
 public:
  static Result<std::unique_ptr<CpuBackend>> create(const BackendOptions& options);

  std::string_view isa() const override { return kernels_->name; }
  int threads() const override { return pool_.size(); }

  ThreadPool& host_threads() override { return pool_; }
  Result<std::size_t> packed_bytes(MatrixType type, std::int64_t rows,
                                   std::int64_t cols) const override;
  std::int64_t pack_granularity() const override { return kernels_->panel_width; }
  void pack_rows(MatrixType type, std::int64_t rows, std::int64_t cols, const std::byte* data,
                 std::byte* packed) const override;
  std::uint64_t packed_layout(MatrixType type) const override;
  Result<std::unique_ptr<PackedWeight>> adopt_weight(MatrixType type, std::int64_t rows,
                                                     std::int64_t cols,
                                                     PackedBytes packed) override;
  Result<std::unique_ptr<DeviceBuffer>> allocate(std::size_t bytes, const char* what) override;
  Result<std::unique_ptr<DeviceBuffer>> upload_floats(std::span<const float> values) override;
  Result<std::size_t> kv_block_bytes(const KvCacheShape& shape, int group) const override;
  Result<std::unique_ptr<KvCache>> make_kv_cache(const KvCacheShape& shape) override;
  void copy_kv_block(KvCache& cache, int group, std::int32_t from, std::int32_t to) override;
  Status reserve(const Limits& limits) override;
  std::size_t workspace_bytes() const override;

  void set_observer(LinearObserver* observer) override { observer_ = observer; }
  void embed(const PackedWeight& table, std::span<const std::int32_t> tokens, Matrix out) override;
  void rms_norm(Matrix x, const float* weight, float eps, Matrix out) override;
  void layer_norm(Matrix x, const float* weight, const float* bias, float eps, Matrix out) override;
  void linear(Matrix x, std::span<const LinearOutput> outputs) override;
  void gated_linear(Matrix x, const PackedWeight& gate, const PackedWeight& up, Matrix out,
                    Activation f) override;
  void linear_by_head(Matrix x, std::span<const std::unique_ptr<PackedWeight>> weights,
                      Matrix out) override;
  void route(Matrix logits, const RoutingRule& rule, const float* selection_bias,
             const ExpertChoice& out) override;
  void experts(Matrix x, const ExpertChoice& choice, const ExpertWeights& weights,
               Matrix out) override;
  void activate(Matrix x, Activation f) override;
  void add(Matrix x, Matrix y) override;
  void scale(Matrix x, float factor) override;
  void softcap(Matrix x, float cap) override;
  void rope_table(std::span<const SequenceSlice> slices, std::span<const float> inverse_frequencies,
                  float magnitude, Matrix table) override;
  void rope(Matrix x, int heads, Matrix table, RopeStyle style) override;
  void append_kv(KvCache& cache, int layer, Matrix k, Matrix v,
                 std::span<const SequenceSlice> slices) override;
  void attention(const KvCache& cache, int layer, Matrix q, std::span<const SequenceSlice> slices,
                 const AttentionParams& params, Matrix out) override;
  void copy_heads(Matrix x, Matrix out, int heads, std::int64_t width) override;
  void gather_rows(Matrix x, std::span<const std::int32_t> rows, Matrix out) override;
  void read(Matrix x, std::span<float> out) override;
  void write(std::span<const float> from, Matrix x) override;

  ThreadPool& pool() { return pool_; }
  const KernelTable& kernels() const { return *kernels_; }

 private:
  struct Tiles;     // x, packed in one activation format
  struct WorkItem;  // panels x rows of one product
  struct SpanWork;  // one tile of query rows against one KV head

  CpuBackend(const KernelTable& kernels, ActivationPrecision activations, int threads, bool pin);

  /// The kernel that treats activations as asked for; null if there is none.
  const WeightKernel* weight_kernel(MatrixType type) const;

  /// Calls body(first_row, end_row) over all rows, in parallel when that pays.
  template <class Body>
  void for_rows(std::int64_t rows, std::int64_t cols, Body&& body);

  /// As the weight wants them, into the buffer of its format.
  Tiles pack_activations(Matrix x, const CpuWeight& weight, std::vector<Buffer>& buffers);
  /// linear() for weights with the same order of inputs.
  void linear_in_order(Matrix x, std::span<const LinearOutput> outputs);
  /// One weight's product over an item's panels and rows into acc.
  void multiply(const CpuWeight& weight, const Tiles& tiles, const WorkItem& item, float* acc,
                std::ptrdiff_t acc_stride) const;
  /// Packs rows that lie anywhere: tile i has rows row_at(i, 0 .. rows_of(i)).
  template <class RowsOf, class RowAt>
  Tiles pack_scattered(std::int64_t tiles, std::int64_t cols, ActivationFormat format,
                       RowsOf&& rows_of, RowAt&& row_at);
  /// Shows the observer each expert's rows: of x, or of what the gated products made of them.
  template <class RowAt>
  void observe_experts(std::int64_t cols, std::initializer_list<ExpertMatrices> matrices,
                       RowAt&& row_at);
  void gated_experts(Matrix x, const ExpertWeights& weights);
  void down_experts(const ExpertWeights& weights, Matrix out);
  void attend_whole(const SpanWork& work, std::span<float> scratch) const;

  const KernelTable* kernels_;
  ActivationPrecision activations_;
  LinearObserver* observer_ = nullptr;
  ThreadPool pool_;

  // Workspace, taken in reserve(), never in an operation.
  std::vector<ActivationFormat> used_formats_;
  bool has_input_orders_ = false;
  std::vector<Buffer> tile_buffers_;  ///< by ActivationFormat
  /// Likewise, for the second of two weights that want their inputs in different orders.
  std::vector<Buffer> second_tile_buffers_;
  std::vector<Buffer> scratch_;  ///< by worker
  std::size_t scratch_floats_ = 0;
  Segments segments_;     ///< the batch's rows by expert
  Buffer expert_hidden_;  ///< [places of segments_][ffn]
  Buffer span_states_;    ///< partial attention results
};

}  // namespace ridgeline
