#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/ops/experts.h"
#include "ridgeline/ops/matrix.h"
#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/tensor/activation.h"
#include "ridgeline/tensor/activation_precision.h"
#include "ridgeline/tensor/dtype.h"
#include "ridgeline/tensor/kv_block.h"
#include "ridgeline/tensor/tensor_view.h"

// The seam between what a model computes and the device that computes it. Nothing
// above knows which device runs; nothing here knows what a layer is.

namespace ridgeline {

/// What a file's matrix is made of, and so how it is packed and multiplied.
struct MatrixType {
  // Conversion from a bare type is meant.
  MatrixType(DType type, bool is_kept = false) : dtype(type), kept(is_kept) {}
  DType dtype;
  /// Never rounded to int8, whatever BackendOptions::activations says: tables of embeddings,
  /// the head, routers.
  bool kept;
  friend auto operator<=>(const MatrixType&, const MatrixType&) = default;
};

/// A weight matrix [rows = outputs][cols = inputs] in the device's own layout, at
/// the precision of its file.
class PackedWeight {
 public:
  virtual ~PackedWeight() = default;
  virtual DType dtype() const = 0;
  virtual std::int64_t rows() const = 0;
  virtual std::int64_t cols() const = 0;
  virtual std::size_t bytes() const = 0;

  /// Which rows of the file these are; kept for people and observers.
  struct Origin {
    std::string tensor;
    std::int64_t matrix = 0;     ///< of a stack
    std::int64_t first_row = 0;  ///< of that matrix
  } origin{};
};

/// Sees the inputs of matrix products, for calibration. It is called before each product, from
/// the thread that computes, with rows that it may read until it returns.
class LinearObserver {
 public:
  virtual ~LinearObserver() = default;
  /// x [rows][cols of weight]. Products that share their input share one call.
  virtual void observe(Matrix x, std::span<const PackedWeight* const> weights) = 0;
};

/// A matrix in a device's layout in the host's memory, 64-byte aligned, what keeps it
/// there, and which input each of its columns belongs to.
struct PackedBytes {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
  InputOrder input_order = nullptr;
};

/// Zeroed memory of the device.
class DeviceBuffer {
 public:
  virtual ~DeviceBuffer() = default;
  virtual std::byte* data() = 0;
  virtual std::size_t bytes() const = 0;
  float* floats() { return reinterpret_cast<float*>(data()); }
};

/// Layers with the same window are a group (kv_block.h), in the order of their first layers.
struct KvCacheShape {
  DType dtype = DType::kF16;
  int layers = 0;
  int kv_heads = 0;
  int head_dim = 0;     ///< of K
  int blocks = 0;       ///< of kKvBlockTokens tokens, in every group
  int value_dim = 0;    ///< of V; 0: head_dim
  bool latent = false;  ///< V is the first value_dim elements of K, and not stored again
  /// [layers]: positions that a row sees at most, itself included, 0 for all; empty: all 0.
  std::vector<std::int64_t> layer_windows{};
  /// [groups], where groups have different numbers of blocks; empty: `blocks` each.
  std::vector<int> group_blocks{};

  int v_dim() const { return value_dim > 0 ? value_dim : head_dim; }
  std::int64_t window(int layer) const;
  /// The windows of the groups.
  std::vector<std::int64_t> windows() const;
  int group(int layer) const;
  int layers_of(int group) const;
  int blocks_of(int group) const;
};

/// The storage behind block ids: K and V of every layer.
class KvCache {
 public:
  virtual ~KvCache() = default;
  virtual const KvCacheShape& shape() const = 0;
  virtual std::size_t bytes() const = 0;
};

/// Consecutive rows of a batch that belong to one sequence: rows
/// [first_row, first_row + rows) are its positions [first_position, ...).
struct SequenceSlice {
  std::int32_t first_row = 0;
  std::int32_t rows = 0;
  std::int64_t first_position = 0;
  /// Each covers the slice's last position.
  KvBlockTables block_tables{};
};

/// Which positions a row attends to, and how scores become weights:
///     score  = scale q k,  then softcap tanh(score / softcap)
///     weight = e^score / (e^sink of the row's head + sum of e^score)
struct AttentionParams {
  float scale = 1.0F;
  /// A row at position p sees positions above p - window; 0: all. No more than the layer's
  /// window in the KvCacheShape, which says what is kept.
  std::int64_t window = 0;
  float softcap = 0.0F;          ///< 0: none
  const float* sinks = nullptr;  ///< [query heads] in device memory, or null
  /// False: a row also sees the positions after it, which must all be in its slice, and there
  /// is no window.
  bool causal = true;
};

/// One product of linear(): out = scale x W^T + bias, or out += scale x W^T + bias.
struct LinearOutput {
  const PackedWeight* weight = nullptr;
  Matrix out;
  const float* bias = nullptr;  ///< [rows of weight] in device memory, or null
  bool add = false;             ///< add to what `out` holds (a residual stream)
  float scale = 1.0F;           ///< of the product
};

enum class RopeStyle {
  kInterleaved,  ///< pairs (2i, 2i+1): GGUF's llama
  kHalf,         ///< pairs (i, i + dims/2): GPT-NeoX, Qwen
};

struct BackendOptions {
  int threads = 0;  ///< 0: the physical cores this process may use
  std::string isa;  ///< "": the best there is (RIDGELINE_ISA)
  ActivationPrecision activations = ActivationPrecision::kFast;
  bool pin = true;  ///< bind each thread to a CPU
};

class Backend {
 public:
  virtual ~Backend() = default;

  /// The instruction set or device, as RIDGELINE_ISA names it. Part of contract 1's key.
  virtual std::string_view isa() const = 0;
  virtual int threads() const = 0;

  // ---- at load ----
  // A matrix is packed by the host, by any number of its threads at once, and then
  // adopted. What lies between is bytes, which may as well come from an earlier process.

  /// Threads of the host, for the work of loading.
  virtual ThreadPool& host_threads() = 0;
  /// Bytes of a packed matrix, a multiple of 64. Error: there is no kernel for the type.
  virtual Result<std::size_t> packed_bytes(MatrixType type, std::int64_t rows,
                                           std::int64_t cols) const = 0;
  /// Rows that are packed together. Those of a matrix lie one group after the other.
  virtual std::int64_t pack_granularity() const = 0;
  /// Packs rows of the file's layout into packed_bytes(type, rows, cols) at `packed`, on
  /// the calling thread. Rows that are not whole groups must be a matrix's last.
  virtual void pack_rows(MatrixType type, std::int64_t rows, std::int64_t cols,
                         const std::byte* data, std::byte* packed) const = 0;
  /// Names what pack_rows() makes of this type: the same bytes wherever the number is the
  /// same, whichever version of the program or instruction set gave it.
  virtual std::uint64_t packed_layout(MatrixType type) const = 0;
  /// A weight of bytes that pack_rows() filled, used in place where the device can.
  virtual Result<std::unique_ptr<PackedWeight>> adopt_weight(MatrixType type, std::int64_t rows,
                                                             std::int64_t cols,
                                                             PackedBytes packed) = 0;
  virtual Result<std::unique_ptr<DeviceBuffer>> allocate(std::size_t bytes, const char* what) = 0;
  virtual Result<std::unique_ptr<DeviceBuffer>> upload_floats(std::span<const float> values) = 0;
  /// Bytes of one block of KV cache over all layers of a group, K and V.
  virtual Result<std::size_t> kv_block_bytes(const KvCacheShape& shape, int group = 0) const = 0;
  /// Errors: a type without a kernel; more windows than kMaxKvGroups; too little memory.
  virtual Result<std::unique_ptr<KvCache>> make_kv_cache(const KvCacheShape& shape) = 0;
  /// Copies a block's K and V in all layers of the group.
  virtual void copy_kv_block(KvCache& cache, int group, std::int32_t from, std::int32_t to) = 0;

  /// Workspace for batches of up to `max_rows` rows, inputs of up to `max_cols`
  /// columns and sequences of up to `max_positions`. Called once for each model that runs here,
  /// before any operation of it; the models share the workspace.
  struct Limits {
    std::int64_t max_rows = 0;
    std::int64_t max_cols = 0;
    std::int64_t max_positions = 0;
    int query_heads = 0;
    int kv_heads = 0;
    int head_dim = 0;   ///< of Q and K
    int value_dim = 0;  ///< of V; 0: head_dim
    bool latent = false;
    // Where there are mixtures of experts:
    int experts = 0;
    int experts_per_row = 0;
    std::int64_t expert_cols = 0;    ///< most inputs of one of an expert's products
    std::int64_t expert_hidden = 0;  ///< inputs of the down products of all experts of a row
    // Where there are products by head:
    int product_heads = 0;
    std::int64_t product_head_cols = 0;
  };
  virtual Status reserve(const Limits& limits) = 0;
  virtual std::size_t workspace_bytes() const = 0;

  // ---- at every step ----
  /// Watches products from now on; null: nobody does. Costs nothing then.
  virtual void set_observer(LinearObserver* observer) = 0;
  /// out[i] = row tokens[i] of the table.
  virtual void embed(const PackedWeight& table, std::span<const std::int32_t> tokens,
                     Matrix out) = 0;
  /// out[r] = x[r] / rms(x[r]) * weight; out may be x, weight null for ones.
  virtual void rms_norm(Matrix x, const float* weight, float eps, Matrix out) = 0;
  /// out[r] = (x[r] - mean) / deviation * weight + bias; out may be x, bias null for zeros.
  virtual void layer_norm(Matrix x, const float* weight, const float* bias, float eps,
                          Matrix out) = 0;
  /// Products that share x; x is brought into each activation format once.
  virtual void linear(Matrix x, std::span<const LinearOutput> outputs) = 0;
  /// out = f(x gate^T) * (x up^T), without storing either factor.
  virtual void gated_linear(Matrix x, const PackedWeight& gate, const PackedWeight& up, Matrix out,
                            Activation f = Activation::kSilu) = 0;
  /// For each head h of `weights`: out's columns from h * out.cols / heads on = x's columns from
  /// h * x.cols / heads on, times weights[h]^T. Columns beyond the weight's are left alone.
  virtual void linear_by_head(Matrix x, std::span<const std::unique_ptr<PackedWeight>> weights,
                              Matrix out) = 0;
  /// The experts of each row, from the router's logits [rows][experts]. `selection_bias`
  /// [experts] in device memory, or null, is added to the scores where they are compared, and
  /// not to the weights.
  virtual void route(Matrix logits, const RoutingRule& rule, const float* selection_bias,
                     const ExpertChoice& out) = 0;
  /// out[r] += weight * expert(x[r]), one expert of the row after the other, ascending. One
  /// pass over an expert's weights serves all rows that chose it.
  virtual void experts(Matrix x, const ExpertChoice& choice, const ExpertWeights& weights,
                       Matrix out) = 0;
  /// x = f(x); not for kSwigluOai, which takes two.
  virtual void activate(Matrix x, Activation f) = 0;
  /// y += x
  virtual void add(Matrix x, Matrix y) = 0;
  /// x *= factor
  virtual void scale(Matrix x, float factor) = 0;
  /// x = cap tanh(x / cap): no value leaves [-cap, cap].
  virtual void softcap(Matrix x, float cap) = 0;
  /// table[r] = cos, then sin, of position(r) * inverse_frequencies[i], times `magnitude`.
  virtual void rope_table(std::span<const SequenceSlice> slices,
                          std::span<const float> inverse_frequencies, float magnitude,
                          Matrix table) = 0;
  /// Rotates the first table.cols of every head of every row.
  virtual void rope(Matrix x, int heads, Matrix table, RopeStyle style) = 0;
  /// Writes k [rows][kv_heads * head_dim] and v [rows][kv_heads * value_dim] to the slices'
  /// slots of one layer; v is empty where the cache is latent.
  virtual void append_kv(KvCache& cache, int layer, Matrix k, Matrix v,
                         std::span<const SequenceSlice> slices) = 0;
  /// Attention of q [rows][heads * head_dim] over the cache, slice by slice, to
  /// out [rows][heads * value_dim].
  virtual void attention(const KvCache& cache, int layer, Matrix q,
                         std::span<const SequenceSlice> slices, const AttentionParams& params,
                         Matrix out) = 0;
  /// The first `width` columns of every head of x to those of out's heads.
  virtual void copy_heads(Matrix x, Matrix out, int heads, std::int64_t width) = 0;
  /// out[i] = x[rows[i]]; rows ascend, so out may be x.
  virtual void gather_rows(Matrix x, std::span<const std::int32_t> rows, Matrix out) = 0;
  /// Copies a matrix to the host, rows one after the other.
  virtual void read(Matrix x, std::span<float> out) = 0;
  /// Copies rows from the host to a matrix.
  virtual void write(std::span<const float> from, Matrix x) = 0;
};

/// Errors: an instruction set that is unknown or that this CPU lacks; too many threads.
Result<std::unique_ptr<Backend>> create_backend(const BackendOptions& options);

}  // namespace ridgeline
