#include "ridgeline/tools/ablation/scalar_backend.h"

#include <algorithm>
#include <cstring>

#include "ridgeline/base/check.h"
#include "ridgeline/tools/ablation/scalar_products.h"

namespace ridgeline {
namespace {

/// Outputs of a product that a thread computes at a time.
constexpr std::int64_t kGrain = 16;
/// A multiple of it fills whole cache lines, whatever the type.
constexpr std::int64_t kPackRows = 64;
/// No other backend's layout has this number but by a chance of 2^-64.
constexpr std::uint64_t kRowsOfTheFile = 0x7363616c61723031;

class ScalarWeight final : public PackedWeight {
 public:
  ScalarWeight(DType dtype, std::int64_t rows, std::int64_t cols, PackedBytes packed)
      : dtype_(dtype), rows_(rows), cols_(cols), packed_(std::move(packed)) {}
  DType dtype() const override { return dtype_; }
  std::int64_t rows() const override { return rows_; }
  std::int64_t cols() const override { return cols_; }
  std::size_t bytes() const override { return packed_.bytes.size(); }

  void decode(std::int64_t row, float* out) const {
    const std::size_t stride = row_bytes(dtype_, cols_);
    scalar_decode(dtype_, packed_.bytes.data() + static_cast<std::size_t>(row) * stride, cols_,
                  out);
  }

 private:
  DType dtype_;
  std::int64_t rows_, cols_;
  PackedBytes packed_;
};

std::size_t whole_lines(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

ScalarBackend::ScalarBackend(std::unique_ptr<CpuBackend> inner)
    : ForwardingBackend(std::move(inner)), cpu_(static_cast<CpuBackend&>(*inner_)) {}

Result<std::unique_ptr<Backend>> ScalarBackend::create(const BackendOptions& options) {
  BackendOptions portable = options;
  portable.isa = "generic";
  RIDGELINE_TRY(std::unique_ptr<CpuBackend> inner, CpuBackend::create(portable));
  return std::unique_ptr<Backend>(new ScalarBackend(std::move(inner)));
}

Result<std::size_t> ScalarBackend::packed_bytes(MatrixType type, std::int64_t rows,
                                                std::int64_t cols) const {
  return whole_lines(static_cast<std::size_t>(rows) * row_bytes(type.dtype, cols));
}

std::int64_t ScalarBackend::pack_granularity() const { return kPackRows; }

void ScalarBackend::pack_rows(MatrixType type, std::int64_t rows, std::int64_t cols,
                              const std::byte* data, std::byte* packed) const {
  std::memcpy(packed, data, static_cast<std::size_t>(rows) * row_bytes(type.dtype, cols));
}

std::uint64_t ScalarBackend::packed_layout(MatrixType) const { return kRowsOfTheFile; }

Result<std::unique_ptr<PackedWeight>> ScalarBackend::adopt_weight(MatrixType type,
                                                                  std::int64_t rows,
                                                                  std::int64_t cols,
                                                                  PackedBytes packed) {
  if (packed.input_order)
    return fail("the scalar kernels know no weights whose inputs are in an order of their own");
  return std::make_unique<ScalarWeight>(type.dtype, rows, cols, std::move(packed));
}

Result<std::unique_ptr<KvCache>> ScalarBackend::make_kv_cache(const KvCacheShape& shape) {
  if (shape.dtype != DType::kF16 || shape.latent)
    return fail("the scalar kernels read a KV cache of F16 with K and V apart");
  return inner_->make_kv_cache(shape);
}

Status ScalarBackend::reserve(const Limits& limits) {
  RIDGELINE_TRY_STATUS(inner_->reserve(limits));
  const std::int64_t value_dim = limits.value_dim > 0 ? limits.value_dim : limits.head_dim;
  matrix_stride_ = limits.max_positions;
  const auto take = [&](std::vector<Buffer>& buffers, std::int64_t floats,
                        const char* what) -> Status {
    buffers.clear();
    for (int i = 0; i < threads(); ++i) {
      RIDGELINE_TRY(Buffer buffer,
                    Buffer::allocate(static_cast<std::size_t>(floats) * sizeof(float), what));
      buffers.push_back(std::move(buffer));
    }
    return {};
  };
  RIDGELINE_TRY_STATUS(
      take(rows_, std::max(limits.max_cols, limits.expert_cols), "a row of weights"));
  RIDGELINE_TRY_STATUS(take(keys_, limits.max_positions * limits.head_dim, "keys"));
  RIDGELINE_TRY_STATUS(take(values_, limits.max_positions * value_dim, "values"));
  return take(matrices_, limits.max_rows * limits.max_positions, "a score matrix");
}

std::size_t ScalarBackend::workspace_bytes() const {
  std::size_t bytes = inner_->workspace_bytes();
  for (const auto* buffers : {&rows_, &keys_, &values_, &matrices_})
    for (const Buffer& buffer : *buffers) bytes += buffer.size();
  return bytes;
}

void ScalarBackend::embed(const PackedWeight& table, std::span<const std::int32_t> tokens,
                          Matrix out) {
  const auto& weight = static_cast<const ScalarWeight&>(table);
  for (std::size_t r = 0; r < tokens.size(); ++r)
    weight.decode(tokens[r], out.data + static_cast<std::int64_t>(r) * out.stride);
}

template <class Put>
void ScalarBackend::multiply(Matrix x, const PackedWeight& packed, Put&& put) {
  const auto& weight = static_cast<const ScalarWeight&>(packed);
  RIDGELINE_CHECK(weight.cols() == x.cols);
  host_threads().parallel_for(
      (weight.rows() + kGrain - 1) / kGrain, [&](std::int64_t item, int worker) {
        float* const row = floats(rows_, worker);
        const std::int64_t end = std::min(weight.rows(), (item + 1) * kGrain);
        for (std::int64_t o = item * kGrain; o < end; ++o) {
          weight.decode(o, row);
          for (std::int64_t r = 0; r < x.rows; ++r)
            put(r, o, scalar_dot(x.data + r * x.stride, row, x.cols));
        }
      });
}

void ScalarBackend::linear(Matrix x, std::span<const LinearOutput> outputs) {
  for (const LinearOutput& output : outputs)
    multiply(x, *output.weight, [&](std::int64_t r, std::int64_t o, float sum) {
      float& out = output.out.data[r * output.out.stride + o];
      const float product = sum * output.scale + (output.bias != nullptr ? output.bias[o] : 0.0F);
      out = output.add ? out + product : product;
    });
}

void ScalarBackend::gated_linear(Matrix x, const PackedWeight& gate, const PackedWeight& up,
                                 Matrix out, Activation f) {
  multiply(x, gate,
           [&](std::int64_t r, std::int64_t o, float sum) { out.data[r * out.stride + o] = sum; });
  multiply(x, up, [&](std::int64_t r, std::int64_t o, float sum) {
    float& value = out.data[r * out.stride + o];
    cpu_.kernels().gate_mul(f, &value, &sum, 1, &value);
  });
}

void ScalarBackend::linear_by_head(Matrix, std::span<const std::unique_ptr<PackedWeight>>, Matrix) {
  RIDGELINE_CHECK(false);  // only of latent attention, whose cache make_kv_cache() refuses
}

void ScalarBackend::experts(Matrix x, const ExpertChoice& choice, const ExpertWeights& weights,
                            Matrix out) {
  const std::int64_t ffn = weights.gate.front()->rows();
  std::vector<float> hidden(static_cast<std::size_t>(ffn));
  const Matrix h{hidden.data(), 1, ffn, ffn};
  for (std::int64_t r = 0; r < x.rows; ++r)
    for (int i = 0; i < choice.per_row; ++i) {
      const auto expert = static_cast<std::size_t>(choice.experts[r * choice.per_row + i]);
      const float share = choice.weights[r * choice.per_row + i];
      const auto of = [&](const float* biases, std::int64_t width) {
        return biases == nullptr ? nullptr : biases + static_cast<std::int64_t>(expert) * width;
      };
      const float* const gate_bias = of(weights.gate_bias, ffn);
      const float* const up_bias = of(weights.up_bias, ffn);
      const float* const down_bias = of(weights.down_bias, out.cols);
      multiply(x.slice_rows(r, 1), *weights.gate[expert],
               [&](std::int64_t, std::int64_t o, float sum) {
                 h.data[o] = sum + (gate_bias != nullptr ? gate_bias[o] : 0.0F);
               });
      multiply(x.slice_rows(r, 1), *weights.up[expert],
               [&](std::int64_t, std::int64_t o, float sum) {
                 if (up_bias != nullptr) sum += up_bias[o];
                 cpu_.kernels().gate_mul(weights.activation, h.data + o, &sum, 1, h.data + o);
               });
      multiply(h, *weights.down[expert], [&](std::int64_t, std::int64_t o, float sum) {
        out.data[r * out.stride + o] +=
            share * (sum + (down_bias != nullptr ? down_bias[o] : 0.0F));
      });
    }
}

struct ScalarBackend::HeadWork {
  const CpuKvCache& cache;
  int layer, kv_head, group;  ///< group: query heads of the KV head
  Matrix q, out;
  const SequenceSlice& slice;
  const AttentionParams& params;
};

void ScalarBackend::attention(const KvCache& cache, int layer, Matrix q,
                              std::span<const SequenceSlice> slices, const AttentionParams& params,
                              Matrix out) {
  RIDGELINE_CHECK(params.causal);
  const auto& kv = static_cast<const CpuKvCache&>(cache);
  const int kv_heads = kv.shape().kv_heads;
  const int group = static_cast<int>(q.cols / kv.shape().head_dim) / kv_heads;
  host_threads().parallel_for(std::ssize(slices) * kv_heads, [&](std::int64_t item, int worker) {
    attend({kv, layer, static_cast<int>(item % kv_heads), group, q, out,
            slices[static_cast<std::size_t>(item / kv_heads)], params},
           worker);
  });
}

void ScalarBackend::attend(const HeadWork& work, int worker) {
  const KvCacheShape& shape = work.cache.shape();
  const std::int64_t head_dim = shape.head_dim, value_dim = shape.v_dim();
  const std::int64_t padded_values = (value_dim + 15) / 16 * 16;
  const SequenceSlice& slice = work.slice;
  const std::int64_t end = slice.first_position + slice.rows;
  const auto table = slice.block_tables[work.cache.group(work.layer)];
  const auto first_seen = [&](std::int64_t position) {
    return work.params.window > 0 ? std::max<std::int64_t>(0, position - work.params.window + 1)
                                  : std::int64_t{0};
  };
  float* const k = floats(keys_, worker);
  float* const v = floats(values_, worker);
  float* const matrix = floats(matrices_, worker);
  // A block: K [head_dim][16 tokens], V [16 tokens][head_dim padded to 16] (kernel_table.h).
  for (std::int64_t p = first_seen(slice.first_position); p < end; ++p) {
    const auto block =
        static_cast<std::size_t>(table[static_cast<std::size_t>(p / kKvBlockTokens)]);
    const std::int64_t slot = p % kKvBlockTokens;
    const std::size_t offset = block * work.cache.block_stride();
    scalar_halves(work.cache.k(work.layer, work.kv_head) + offset + 2 * slot, 2 * kKvBlockTokens,
                  head_dim, k + p * head_dim);
    scalar_halves(work.cache.v(work.layer, work.kv_head) + offset + 2 * slot * padded_values, 2,
                  value_dim, v + p * value_dim);
  }
  for (int i = 0; i < work.group; ++i) {
    const int head = work.kv_head * work.group + i;
    const float* const q = work.q.data + slice.first_row * work.q.stride + head * head_dim;
    float* const out = work.out.data + slice.first_row * work.out.stride + head * value_dim;
    for (std::int64_t r = 0; r < slice.rows; ++r) {
      const std::int64_t position = slice.first_position + r;
      for (std::int64_t p = first_seen(position); p <= position; ++p)
        matrix[r * matrix_stride_ + p] =
            work.params.scale * scalar_dot(q + r * work.q.stride, k + p * head_dim, head_dim);
    }
    for (std::int64_t r = 0; r < slice.rows; ++r) {
      const std::int64_t begin = first_seen(slice.first_position + r);
      const std::int64_t count = slice.first_position + r + 1 - begin;
      float* const row = matrix + r * matrix_stride_ + begin;
      if (work.params.softcap > 0) scalar_softcap(row, count, work.params.softcap);
      scalar_softmax(row, count, work.params.sinks != nullptr ? work.params.sinks + head : nullptr);
    }
    for (std::int64_t r = 0; r < slice.rows; ++r) {
      float* const to = out + r * work.out.stride;
      std::fill_n(to, value_dim, 0.0F);
      for (std::int64_t p = first_seen(slice.first_position + r); p <= slice.first_position + r;
           ++p)
        scalar_add_scaled(v + p * value_dim, matrix[r * matrix_stride_ + p], value_dim, to);
    }
  }
}

}  // namespace ridgeline
