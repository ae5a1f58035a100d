#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/quant/half.h"

// A paged KV cache of one KV head for tests, and attention over it in double precision
// that knows nothing of chunks, spans or tiles.

namespace ridgeline::test {

inline std::vector<float> random_floats(std::size_t n, unsigned seed, float scale = 1.0F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(n);
  for (float& v : values) v = normal(random);
  return values;
}

/// Vectors that start on a cache line, as buffers of the engine do.
inline float* aligned(std::vector<float>& storage, std::size_t floats) {
  storage.assign(floats + 16, 0.0F);
  const auto at = reinterpret_cast<std::uintptr_t>(storage.data()) / sizeof(float);
  return storage.data() + (16 - at % 16) % 16;
}

class PagedCache {
 public:
  /// Blocks lie in a random order among as many again that belong to nobody. All
  /// memory starts as NaN, whatever the type.
  PagedCache(const KvKernel& kernel, int head_dim, std::int64_t capacity, unsigned seed,
             int value_dim = 0, bool latent = false)
      : kernel_(&kernel),
        head_dim_(head_dim),
        value_dim_(value_dim > 0 ? value_dim : head_dim),
        latent_(latent) {
    const auto blocks = static_cast<std::size_t>((capacity + kKvBlockTokens - 1) / kKvBlockTokens);
    std::vector<std::int32_t> ids(2 * blocks);
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i);
    std::shuffle(ids.begin(), ids.end(), std::mt19937(seed));
    table_.assign(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(blocks));
    half_ = kernel.head_block_bytes(head_dim);
    stride_ = half_ + (latent ? 0 : kernel.head_block_bytes(value_dim_)) + 64;
    bytes_.assign(ids.size() * stride_ + 64, std::byte{0xff});
    const auto at = reinterpret_cast<std::uintptr_t>(bytes_.data());
    base_ = bytes_.data() + (64 - at % 64) % 64;
  }

  void store(std::int64_t position, const float* k, const float* v) {
    const int slot = static_cast<int>(position % kKvBlockTokens);
    kernel_->store_k(k, head_dim_, slot, block(position));
    if (!latent_) kernel_->store_v(v, value_dim_, slot, block(position) + half_);
  }
  /// Makes all of a block NaN, and its entry in the table one that must not be read.
  void free_block(std::int64_t index) {
    std::int32_t& id = table_[static_cast<std::size_t>(index)];
    if (id == kNoBlock) return;
    std::memset(block(index * kKvBlockTokens), 0xff, stride_);
    id = kNoBlock;
  }

  const KvKernel& kernel() const { return *kernel_; }
  int head_dim() const { return head_dim_; }
  int value_dim() const { return value_dim_; }
  bool latent() const { return latent_; }
  std::size_t stride() const { return stride_; }
  const std::int32_t* table() const { return table_.data(); }
  const std::byte* k() const { return base_; }
  const std::byte* v() const { return base_ + half_; }

  double k_at(std::int64_t position, int d) const {
    const int slot = static_cast<int>(position % kKvBlockTokens);
    if (kernel_->dtype == DType::kQ8_0)
      return quantized(block(position), head_dim_, slot, d, d / 4 * 64 + slot * 4 + d % 4);
    const int e = kernel_->dtype == DType::kBF16 ? 2 : 1;
    return element(block(position), (d / e * kKvBlockTokens + slot) * e + d % e);
  }
  double v_at(std::int64_t position, int d) const {
    if (latent_) return k_at(position, d);
    const int slot = static_cast<int>(position % kKvBlockTokens);
    const int padded = (value_dim_ + 15) / 16 * 16;
    if (kernel_->dtype == DType::kQ8_0)
      return quantized(block(position) + half_, value_dim_, slot, d,
                       slot / 4 * padded * 4 + d * 4 + slot % 4);
    return element(block(position) + half_, slot * padded + d);
  }

  /// What a level of v_at() is multiplied with; Q8_0 only.
  double v_scale_at(std::int64_t position, int d) const {
    return scale(block(position) + half_, static_cast<int>(position % kKvBlockTokens), d);
  }

 private:
  std::size_t element_bytes() const { return kernel_->dtype == DType::kF32 ? 4 : 2; }
  std::byte* block(std::int64_t position) const {
    return base_ +
           static_cast<std::size_t>(table_[static_cast<std::size_t>(position / kKvBlockTokens)]) *
               stride_;
  }
  double element(const std::byte* array, int index) const {
    const std::byte* p = array + static_cast<std::size_t>(index) * element_bytes();
    if (kernel_->dtype == DType::kF32) {
      float value;
      std::memcpy(&value, p, 4);
      return static_cast<double>(value);
    }
    std::uint16_t bits;
    std::memcpy(&bits, p, 2);
    return static_cast<double>(kernel_->dtype == DType::kF16 ? f16_to_f32(bits)
                                                             : bf16_to_f32(bits));
  }

  /// Of | scales [dims / 32][16 tokens], to whole cache lines | levels + 128 |.
  static double quantized(const std::byte* array, int dims, int slot, int d, int level) {
    const int scale_bytes = (dims + 63) / 64 * 64;
    return (std::to_integer<int>(array[scale_bytes + level]) - 128) * scale(array, slot, d);
  }
  static double scale(const std::byte* array, int slot, int d) {
    std::uint16_t bits;
    std::memcpy(&bits, array + (d / 32 * 16 + slot) * 2, 2);
    return static_cast<double>(f16_to_f32(bits));
  }

  const KvKernel* kernel_;
  int head_dim_, value_dim_;
  bool latent_;
  std::size_t half_ = 0, stride_ = 0;
  std::vector<std::int32_t> table_;
  std::vector<std::byte> bytes_;
  std::byte* base_ = nullptr;
};

/// The query rows of consecutive positions, one group of heads.
struct Queries {
  int head_dim, group;
  std::int64_t first_position;
  std::ptrdiff_t stride;  ///< floats from position to position
  std::vector<float> values;

  const float* row(std::int64_t position, int head) const {
    return values.data() + (position - first_position) * stride + head * head_dim;
  }
};

inline Queries random_queries(int head_dim, int group, std::int64_t first, std::int64_t count,
                              unsigned seed, float scale = 1.0F) {
  const std::ptrdiff_t stride = head_dim * group + 5;
  return {head_dim, group, first, stride,
          random_floats(static_cast<std::size_t>(stride * count), seed, scale)};
}

/// What a row sees and how scores become weights, as AttentionParams has it.
struct Rules {
  std::int64_t window = 0;
  float softcap = 0;
  std::vector<float> sinks{};  ///< [group], or none
  bool causal = true;

  std::int64_t first_seen(std::int64_t position) const {
    return window > 0 ? std::max<std::int64_t>(0, position - window + 1) : 0;
  }
};

/// Attention of positions [begin, end) in one call per span: [position][head][value_dim].
/// Without `causal` all rows see [0, length).
inline std::vector<float> attend(const KernelTable& kernels, const PagedCache& cache,
                                 const Queries& q, std::int64_t begin, std::int64_t end,
                                 bool ahead = false, const Rules& rules = {},
                                 std::int64_t length = 0) {
  const int positions = static_cast<int>(end - begin), rows = positions * q.group;
  const int value_dim = cache.value_dim();
  const std::size_t state_floats =
      static_cast<std::size_t>(rows) * kernels.attention_state_floats(value_dim);
  std::vector<float> total_storage, part_storage, scratch_storage;
  float* total = aligned(total_storage, state_floats);
  float* part = aligned(part_storage, state_floats);
  AttentionSpan span{};
  span.kv_dtype = cache.kernel().dtype;
  span.head_dim = q.head_dim;
  span.value_dim = value_dim;
  span.latent = cache.latent();
  span.group = q.group;
  span.positions = positions;
  span.first_position = begin;
  span.causal = rules.causal;
  span.window = rules.window;
  span.scale = 1.0F / std::sqrt(static_cast<float>(q.head_dim));
  span.softcap = rules.softcap;
  span.q = q.row(begin, 0);
  span.q_position_stride = q.stride;
  span.block_table = cache.table();
  span.k_cache = cache.k();
  span.v_cache = cache.v();
  span.block_stride = cache.stride();
  span.ahead_end = ahead ? end : 0;
  span.scratch = aligned(scratch_storage,
                         kernels.attention_scratch_floats(q.head_dim, value_dim, cache.latent()));
  const std::int64_t visible = rules.causal ? end : length;
  const std::int64_t first = rules.first_seen(begin) / kAttentionSpan * kAttentionSpan;
  for (std::int64_t at = first; at < visible; at += kAttentionSpan) {
    span.span_begin = at;
    span.span_end = std::min<std::int64_t>(visible, at + kAttentionSpan);
    span.state = at == first ? total : part;
    kernels.attention_span(span);
    if (at > first) kernels.attention_merge(total, part, value_dim, rows);
  }
  std::vector<float> out(static_cast<std::size_t>(rows * value_dim));
  kernels.attention_finish(total, value_dim, q.group, positions,
                           rules.sinks.empty() ? nullptr : rules.sinks.data(), out.data(),
                           q.group * value_dim);
  return out;
}

/// One row's attention in double precision, and a bound of what F32 may make of it.
struct Reference {
  std::vector<double> out;    ///< [value_dim]
  std::vector<double> bound;  ///< [value_dim]
};

/// Of the positions [begin, end) that the row sees; `sink` is null where there is none.
///
/// The bound adds up, first order in the unit roundoff u = 2^-24: a score is a chain of
/// head_dim multiply-adds, scaled; a soft-cap adds an error of 4 units of the cap's tanh and
/// never amplifies; an error d of a score is a relative error d of its weight, to which exp2
/// adds 2 units and the rounding of its argument; a sum over the cache is a chain of at most
/// 512 (one span), a rescaling per chunk and a merge per span; weights occur above and below
/// the fraction, which doubles what they contribute.
///
/// `bytes`: against a Q8_0 cache q and p are rounded to 16 bits: each term of q by half a unit
/// of 127 * 256 to the greatest of its 32, each of p, times V's scale, likewise in its chunk.
inline Reference reference_attention(const PagedCache& cache, const float* q, std::int64_t begin,
                                     std::int64_t end, bool fused, float softcap = 0,
                                     const float* sink = nullptr, bool bytes = false) {
  const double half_level = bytes ? 0.5 / (127 * 256) : 0;
  const double u = std::ldexp(fused ? 1.0 : 2.0, -24);
  const int head_dim = cache.head_dim();
  const double scale = static_cast<double>(1.0F / std::sqrt(static_cast<float>(head_dim)));
  const auto n = static_cast<std::size_t>(end - begin);
  std::vector<double> scores(n), errors(n);
  for (std::size_t t = 0; t < n; ++t) {
    double magnitude = 0;
    for (int d = 0; d < head_dim; ++d) {
      const double term =
          static_cast<double>(q[d]) * cache.k_at(begin + static_cast<std::int64_t>(t), d);
      scores[t] += scale * term;
      magnitude += scale * std::abs(term);
    }
    errors[t] = u * (head_dim + 2) * magnitude;
    for (int block = 0; bytes && block < head_dim; block += 32) {
      double greatest = 0, sum = 0;
      for (int d = block; d < std::min(block + 32, head_dim); ++d) {
        greatest = std::max(greatest, std::abs(static_cast<double>(q[d])));
        sum += std::abs(cache.k_at(begin + static_cast<std::int64_t>(t), d));
      }
      errors[t] += scale * half_level * greatest * sum;
    }
    if (softcap > 0) {
      scores[t] =
          static_cast<double>(softcap) * std::tanh(scores[t] / static_cast<double>(softcap));
      errors[t] += u * 6 * std::abs(scores[t]);
    }
  }
  double top = *std::max_element(scores.begin(), scores.end());
  if (sink != nullptr) top = std::max(top, static_cast<double>(*sink));
  double sum = sink != nullptr ? std::exp(static_cast<double>(*sink) - top) : 0;
  double score_error = sink != nullptr ? u * 3 * std::abs(static_cast<double>(*sink)) : 0;
  for (std::size_t t = 0; t < n; ++t) {
    score_error =
        std::max(score_error, errors[t] + u * (2 * (std::abs(scores[t]) + std::abs(top)) + 4));
    scores[t] = std::exp(scores[t] - top);
    sum += scores[t];
  }
  const double chain = static_cast<double>(std::min<std::size_t>(n, kAttentionSpan)) +
                       static_cast<double>(n) / kAttentionChunk +
                       2 * static_cast<double>(n) / kAttentionSpan + 8;
  Reference r;
  for (int d = 0; d < cache.value_dim(); ++d) {
    double out = 0, magnitude = 0;
    for (std::size_t t = 0; t < n; ++t) {
      const double term = scores[t] / sum * cache.v_at(begin + static_cast<std::int64_t>(t), d);
      out += term;
      magnitude += std::abs(term);
    }
    double rounding = 0;
    for (std::size_t t = 0; bytes && !cache.latent() && t < n;) {
      // A chunk: the greatest of p times V's scale, and the sum of V's levels.
      double greatest = 0, levels = 0;
      const std::int64_t chunk = (begin + static_cast<std::int64_t>(t)) / kAttentionChunk;
      for (; t < n; ++t) {
        const std::int64_t position = begin + static_cast<std::int64_t>(t);
        if (position / kAttentionChunk != chunk) break;
        const double v_scale = cache.v_scale_at(position, d);
        greatest = std::max(greatest, scores[t] / sum * v_scale);
        if (v_scale > 0) levels += std::abs(cache.v_at(position, d)) / v_scale;
      }
      rounding += half_level * greatest * levels;
    }
    r.out.push_back(out);
    r.bound.push_back(magnitude * (2 * score_error + 2 * chain * u) + 1.01 * rounding + 1e-30);
  }
  return r;
}

}  // namespace ridgeline::test
