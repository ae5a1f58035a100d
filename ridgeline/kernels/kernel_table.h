#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ridgeline/tensor/activation.h"
#include "ridgeline/tensor/activation_precision.h"
#include "ridgeline/tensor/dtype.h"
#include "ridgeline/tensor/kv_block.h"

// The floor of the engine: functions that take pointers and sizes. They do not
// allocate, lock, log or fail. Each ISA fills one KernelTable; everything above
// calls through it, once per tile or per row, never per element.
//
// Contract 1 lives here: the result of a row depends on that row alone, never on
// how many rows share a call. Every reduction has one order, fixed by absolute
// position.

namespace ridgeline {

/// Rows of activations that one tile holds at most.
inline constexpr int kMaxTileRows = 8;
/// Attention's fixed order: softmax steps of 64 positions inside spans of 512,
/// both at absolute positions; spans merge in ascending order.
inline constexpr int kAttentionChunk = 64;
inline constexpr int kAttentionSpan = 512;

/// How the activations of a matrix product are packed.
enum class ActivationFormat : std::uint8_t {
  kF32,              ///< as they are
  kBF16,             ///< rounded to BF16 (only beside BF16 weights)
  kQ8x32,            ///< 8 bit, one F32 scale per 32 along k
  kQ8x256,           ///< 8 bit, one F32 scale per 256 along k
  kInt8Row,          ///< 8 bit, one F32 scale per row
  kInt8RowOutliers,  ///< likewise, but what is 6 or more in magnitude as F32
};
inline constexpr int kActivationFormats = 6;

/// What a kernel multiplies and adds with; each kind has a peak rate of its own.
enum class Arithmetic : std::uint8_t {
  kF32,
  kBF16,  ///< dot products of BF16 pairs, summed in F32
  kInt8,  ///< dot products of four bytes, summed in 32 bits
};
inline constexpr int kArithmetics = 3;
constexpr Arithmetic arithmetic_of(ActivationFormat format) {
  return format == ActivationFormat::kF32    ? Arithmetic::kF32
         : format == ActivationFormat::kBF16 ? Arithmetic::kBF16
                                             : Arithmetic::kInt8;
}

/// As many multiply-adds as the ISA can do in registers: the roof over every kernel.
struct PeakKernel {
  Arithmetic arithmetic;
  double ops_per_step;  ///< a multiplication and an addition are two operations
  /// The result says nothing, and keeps the compiler from dropping the work.
  float (*run)(std::int64_t steps);
};

/// Packs 1..kMaxTileRows rows of activations into a tile that the matrix kernels
/// read. `x_stride` is in floats. k is padded with zeros where the format needs it.
struct ActivationKernel {
  ActivationFormat format;
  std::size_t (*tile_bytes)(int rows, std::int64_t k);
  void (*pack)(const float* x, std::ptrdiff_t x_stride, int rows, std::int64_t k, std::byte* tile);
};

/// acc[r][c] = (resume ? acc[r][c] : 0) + sum of x[r][i] w[c][i] over
/// i in [k_begin, k_end), in ascending blocks of k, one chain per element: doing
/// [0,a) and then [a,k) with resume gives the bits of [0,k) in one call.
///   panel      one packed panel of the weight (all of k)
///   tile       packed activations (all of k) of the rows of this function
///   acc        [rows][panel width] floats, rows acc_stride floats apart
///   prefetch   brought into L2 meanwhile, as many bytes as this call reads; or null.
///              Best is panel + kPrefetchAhead, which runs on into the next panel
/// k_begin and k_end are multiples of the weight's k_step, or k itself.
using TileKernel = void (*)(const std::byte* panel, const std::byte* tile, std::int64_t k,
                            std::int64_t k_begin, std::int64_t k_end, float* acc,
                            std::ptrdiff_t acc_stride, bool resume, const std::byte* prefetch);

/// How far ahead a kernel should prefetch: far enough for DRAM, and no more lines than
/// one core can wait for. 6 KB was best for all types on Zen 4 with huge pages; with
/// 4 KB pages prefetches into the next page are often dropped.
inline constexpr std::ptrdiff_t kPrefetchAhead = 6144;

/// One weight type with one way of treating the activations.
struct WeightKernel {
  DType weight;
  ActivationFormat activation;
  int k_step;         ///< k ranges of a call start and end at multiples of this
  int prefetch_rows;  ///< from this many rows on, `prefetch` pays
  /// Bytes of a panel of panel_width rows of k inputs each; a multiple of 64.
  std::size_t (*panel_bytes)(std::int64_t k);
  /// Of those, the bytes from the panel's begin that a product over the first k inputs reads;
  /// all, but where a panel keeps more.
  std::size_t (*read_bytes)(std::int64_t k);
  /// Repacks `rows` (1..panel_width; missing ones become zeros) rows of the file
  /// format, `row_stride` bytes apart, into one panel (64-byte aligned).
  void (*pack_panel)(const std::byte* rows_data, std::size_t row_stride, int rows, std::int64_t k,
                     std::byte* panel);
  /// Row `row` of a panel back as floats: exactly what the file decodes to.
  void (*decode_row)(const std::byte* panel, int row, std::int64_t k, float* out);
  TileKernel tile[kMaxTileRows + 1];  ///< [rows], 1..kMaxTileRows; [0] is null
};

/// One KV element type: how a token's K and V rows of one head enter a block and how the
/// block is laid out (kernels/impl/kv_rows.h); Q8_0 has its scales in front.
///   K of one head in a block:  [head_dim/e][16 tokens][e]   e = 1 (F32, F16), 2 (BF16), 4 (Q8_0)
///   V of one head in a block:  [16/e][head_dim][e tokens]   e = 4 (Q8_0), else 1
/// V has a head_dim of its own. A latent cache has no V: it is the first elements of K.
/// head_dim is padded to a multiple of 16; padding is zero.
struct KvKernel {
  DType dtype;
  std::size_t (*head_block_bytes)(int head_dim);  ///< of K, and of V: 64-byte multiple
  void (*store_k)(const float* k, int head_dim, int slot, std::byte* k_head_block);
  void (*store_v)(const float* v, int head_dim, int slot, std::byte* v_head_block);
};

/// A run of query rows of one sequence against one KV head, one span of the cache.
/// Query row j (0 <= j < positions * group) is position first_position + j / group,
/// head j % group of the query heads that share the KV head. At position p it sees the
/// cache positions of [span_begin, span_end) that are at most p (unless `causal` is false)
/// and above p - window (unless that is 0).
struct AttentionSpan {
  DType kv_dtype;
  int head_dim;         ///< of q and K
  int value_dim;        ///< of V
  bool latent = false;  ///< V is the first value_dim of K; v_cache is not read
  int group;            ///< query heads of this call
  int positions;        ///< query positions in this call (rows = positions * group)
  std::int64_t first_position;
  std::int64_t span_begin;  ///< multiple of kAttentionSpan
  std::int64_t span_end;    ///< <= span_begin + kAttentionSpan, <= cached length
  bool causal = true;
  std::int64_t window = 0;
  float scale;        ///< of the scores, 1/sqrt(head_dim) as a rule
  float softcap = 0;  ///< then cap tanh(score / cap); 0: none
  const float* q;     ///< row j at q + (j / group) * q_position_stride + (j % group) * head_dim
  std::ptrdiff_t q_position_stride;  ///< floats
  /// Of the sequence: block ids by position / 16. Entries whose positions no row of the
  /// call sees are not read.
  const std::int32_t* block_table;
  const std::byte* k_cache;  ///< this layer and KV head: block b at k_cache + b * block_stride
  const std::byte* v_cache;
  std::size_t block_stride;  ///< bytes
  /// This thread goes on with [span_end, ahead_end) of the same head: the first chunk of it
  /// is prefetched. 0 where that is not known.
  std::int64_t ahead_end = 0;
  float* state;    ///< [rows][attention_state_floats(value_dim)], for merge and finish
  float* scratch;  ///< attention_scratch_floats(...) of this thread
};

struct KernelTable {
  std::string_view name;  ///< "generic", "avx2", "avx2vnni", "avx512", "avx512vnni", "avx512bf16"
  int panel_width;        ///< output rows in a panel: 16 (AVX-512) or 8

  std::span<const ActivationKernel> activations;
  /// Best treatment of each weight type first; find_weight_kernel() chooses.
  std::span<const WeightKernel> weights;
  std::span<const KvKernel> kv;
  std::span<const PeakKernel> peaks;  ///< one per kind of arithmetic that `weights` use

  /// out[i] = x[i] / sqrt(mean(x^2) + eps) * weight[i]; out may be x, weight null for ones.
  void (*rms_norm)(const float* x, const float* weight, float eps, std::int64_t n, float* out);
  /// out[i] = (x[i] - mean(x)) / sqrt(variance(x) + eps) * weight[i] + bias[i]; out may be x,
  /// bias null for zeros.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps,
                     std::int64_t n, float* out);
  /// out[i] = f(x[i]); out may be x. Not for kSwigluOai.
  void (*activate)(Activation f, const float* x, std::int64_t n, float* out);
  /// out[i] = f(gate[i]) * up[i], or what kSwigluOai makes of the two; out may be gate.
  void (*gate_mul)(Activation f, const float* gate, const float* up, std::int64_t n, float* out);
  /// y[i] += x[i]
  void (*add)(const float* x, std::int64_t n, float* y);
  /// y[i] += factor * x[i]
  void (*add_scaled)(const float* x, float factor, std::int64_t n, float* y);
  /// x[i] *= factor
  void (*scale)(float factor, std::int64_t n, float* x);
  /// x[i] = cap * tanh(x[i] / cap)
  void (*softcap)(float cap, std::int64_t n, float* x);
  /// Rotates pairs in place. `cos_sin` is [rot/2] cosines, then [rot/2] sines.
  /// rope_interleaved: pairs (2i, 2i+1), as GGUF's llama; rope_half: (i, i + rot/2), as NeoX.
  void (*rope_interleaved)(float* x, const float* cos_sin, int rot);
  void (*rope_half)(float* x, const float* cos_sin, int rot);

  /// Floats of one query row's running state.
  std::size_t (*attention_state_floats)(int value_dim);
  std::size_t (*attention_scratch_floats)(int head_dim, int value_dim, bool latent);
  /// Query positions that one call takes at best (>= 1) for this group size: full tiles,
  /// enough of them to read the span from the second-level cache. Any number works.
  int (*attention_tile_positions)(int group);
  /// state = the softmax sums of this span alone (it is overwritten).
  void (*attention_span)(const AttentionSpan& span);
  /// into = into merged with the later span `from`, row by row.
  void (*attention_merge)(float* into, const float* from, int value_dim, int rows);
  /// out[row] = acc / (sum + e^sink), row j at (j / group) * out_position_stride +
  /// (j % group) * value_dim. sinks: [group], or null for none.
  void (*attention_finish)(const float* state, int value_dim, int group, int positions,
                           const float* sinks, float* out, std::ptrdiff_t out_position_stride);
};

/// The tables this CPU can run, best first; never empty (generic is always there).
std::span<const KernelTable* const> available_kernels();
/// All tables that were built, whether this CPU can run them or not, best first.
std::span<const std::string_view> built_isas();
/// The best table, or the one that `isa` names; null if it is unknown or this CPU lacks it.
const KernelTable* find_kernels(std::string_view isa);

/// The kernel that treats activations as asked for; where a type has none for int8, the best.
const WeightKernel* find_weight_kernel(const KernelTable& table, DType weight,
                                       ActivationPrecision activations);
const ActivationKernel* find_activation_kernel(const KernelTable& table, ActivationFormat format);
const KvKernel* find_kv_kernel(const KernelTable& table, DType dtype);

}  // namespace ridgeline
