// Attention over whole prompts, one head, one thread: KernelTable's tiles with an online
// softmax (FlashAttention, Dao et al. 2022) beside ScoreMatrixAttention.

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <numeric>

#include "ridgeline/platform/topology.h"
#include "ridgeline/quant/half.h"
#include "ridgeline/tools/kernel_bench_run.h"
#include "ridgeline/tools/score_matrix_attention.h"

namespace ridgeline {
namespace {

constexpr int kHeadDim = 64;
constexpr std::array<std::int64_t, 4> kPrompts{512, 2048, 8192, 32768};
/// F16 weights and F32 sums on both sides; the softmaxes differ by 1e-6.
constexpr double kTolerance = 1e-4;
/// One case takes no more than this share of all the time, and the portable code, which is
/// there for comparison, less.
constexpr double kShareOfAll = 0.2, kPortableShareOfAll = 0.02;

/// Queries, keys and values of one head; K and V are exact in F16.
struct Prompt {
  explicit Prompt(std::int64_t n)
      : positions(n),
        q(random_floats(static_cast<std::size_t>(n * kHeadDim), 1.0F)),
        k(q.size()),
        v(q.size()) {
    for (std::size_t i = 0; i < q.size(); ++i) {
      k[i] = f32_to_f16(q[(i * 7 + 13) % q.size()]);
      v[i] = f32_to_f16(q[(i * 3 + 5) % q.size()]);
    }
  }
  double ops() const {
    const auto n = static_cast<double>(positions);
    return 4.0 * kHeadDim * n * (n + 1) / 2;
  }
  std::int64_t positions;
  std::vector<float> q;
  std::vector<std::uint16_t> k, v;
};

float scale() { return 1.0F / std::sqrt(static_cast<float>(kHeadDim)); }

/// The prompt in a paged cache.
class TiledAttention {
 public:
  static Result<TiledAttention> create(const KernelTable& kernels, const Prompt& prompt) {
    TiledAttention a(kernels, prompt);
    const KvKernel& kv = *find_kv_kernel(kernels, DType::kF16);
    const std::size_t head = kv.head_block_bytes(kHeadDim);
    a.table_.resize(
        static_cast<std::size_t>((prompt.positions + kKvBlockTokens - 1) / kKvBlockTokens));
    std::iota(a.table_.begin(), a.table_.end(), 0);
    a.block_stride_ = 2 * head;
    RIDGELINE_TRY(a.cache_, Buffer::allocate(a.table_.size() * a.block_stride_, "a KV cache"));
    std::array<float, kHeadDim> row;
    const auto decoded = [&](const std::vector<std::uint16_t>& from, std::int64_t p) {
      for (std::size_t i = 0; i < row.size(); ++i)
        row[i] = f16_to_f32(from[static_cast<std::size_t>(p) * kHeadDim + i]);
      return row.data();
    };
    for (std::int64_t p = 0; p < prompt.positions; ++p) {
      std::byte* block =
          a.cache_.data() + static_cast<std::size_t>(p / kKvBlockTokens) * a.block_stride_;
      const int slot = static_cast<int>(p % kKvBlockTokens);
      kv.store_k(decoded(prompt.k, p), kHeadDim, slot, block);
      kv.store_v(decoded(prompt.v, p), kHeadDim, slot, block + head);
    }
    return a;
  }

  void run(float* out) {
    for (std::int64_t first = 0; first < prompt_.positions; first += tile_)
      attend(first, static_cast<int>(std::min<std::int64_t>(tile_, prompt_.positions - first)),
             out);
  }
  std::size_t memory_bytes() const {
    return (total_.size() + part_.size() + scratch_.size()) * sizeof(float);
  }

 private:
  TiledAttention(const KernelTable& kernels, const Prompt& prompt)
      : kernels_(kernels), prompt_(prompt), tile_(kernels.attention_tile_positions(1)) {
    const std::size_t state =
        static_cast<std::size_t>(tile_) * kernels.attention_state_floats(kHeadDim);
    total_.resize(state);
    part_.resize(state);
    scratch_.resize(kernels.attention_scratch_floats(kHeadDim, kHeadDim, false));
  }

  void attend(std::int64_t first, int positions, float* out) {
    AttentionSpan span{};
    span.kv_dtype = DType::kF16;
    span.head_dim = span.value_dim = kHeadDim;
    span.group = 1;
    span.positions = positions;
    span.first_position = first;
    span.scale = scale();
    span.q = prompt_.q.data() + first * kHeadDim;
    span.q_position_stride = kHeadDim;
    span.block_table = table_.data();
    span.k_cache = cache_.data();
    span.v_cache = cache_.data() + block_stride_ / 2;
    span.block_stride = block_stride_;
    span.scratch = scratch_.data();
    span.ahead_end = first + positions;
    for (std::int64_t at = 0; at < first + positions; at += kAttentionSpan) {
      span.span_begin = at;
      span.span_end = std::min<std::int64_t>(first + positions, at + kAttentionSpan);
      span.state = at == 0 ? total_.data() : part_.data();
      kernels_.attention_span(span);
      if (at > 0) kernels_.attention_merge(total_.data(), part_.data(), kHeadDim, positions);
    }
    kernels_.attention_finish(total_.data(), kHeadDim, 1, positions, nullptr,
                              out + first * kHeadDim, kHeadDim);
  }

  const KernelTable& kernels_;
  const Prompt& prompt_;
  int tile_;
  std::vector<std::int32_t> table_;
  std::size_t block_stride_ = 0;
  Buffer cache_;
  std::vector<float> total_, part_, scratch_;
};

KernelLine attention_line(KernelBenchRun& run, const KernelTable& kernels, const Prompt& prompt,
                          const char* what, double seconds, std::size_t memory) {
  KernelLine line;
  line.section = KernelSection::kAttention;
  line.isa = kernels.name;
  line.format = "F16";
  line.what = what;
  line.rows = prompt.positions;
  line.seconds = seconds;
  line.cost.ops_of(Arithmetic::kF32) = prompt.ops();
  line.share = prompt.ops() / run.peak(kernels, Arithmetic::kF32) / seconds;
  line.memory_bytes = static_cast<double>(memory);
  return line;
}

/// Both ways over prompts of growing length, as far as time and memory go.
class Comparison {
 public:
  Comparison(KernelBenchRun& run, const KernelTable& kernels) : run_(run), kernels_(kernels) {}

  Status measure(std::int64_t positions) {
    const Prompt prompt(positions);
    std::vector<float> tiled_out(prompt.q.size()), matrix_out;
    std::optional<KernelLine> tiled, matrix;
    if (has_time(tiled_rate_, prompt, "tiles")) {
      RIDGELINE_TRY(TiledAttention attention, TiledAttention::create(kernels_, prompt));
      const double seconds = run_.seconds_of([&] { attention.run(tiled_out.data()); });
      tiled_rate_ = prompt.ops() / seconds;
      tiled = attention_line(run_, kernels_, prompt, "attention, tiles", seconds,
                             attention.memory_bytes());
    }
    if (has_time(matrix_rate_, prompt, "a score matrix") && has_memory(positions)) {
      RIDGELINE_TRY(auto attention,
                    ScoreMatrixAttention::create(kernels_, kHeadDim, prompt.k, prompt.v));
      matrix_out.resize(prompt.q.size());
      const double seconds =
          run_.seconds_of([&] { attention.run(prompt.q.data(), scale(), matrix_out.data()); });
      matrix_rate_ = prompt.ops() / seconds;
      matrix = attention_line(run_, kernels_, prompt, "attention, score matrix", seconds,
                              attention.memory_bytes());
    }
    if (tiled && matrix) {
      const std::vector<double> reference(matrix_out.begin(), matrix_out.end());
      const double error = relative_error(tiled_out, reference);
      if (!(error <= kTolerance))
        return fail(
            fmt::format("{} attention over {} positions differs from the score matrix's by "
                        "{:.2g} of its norm, expected at most {:.2g}",
                        kernels_.name, positions, error, kTolerance));
      tiled->over_other = matrix->seconds / tiled->seconds;
    }
    if (matrix) run_.add(*matrix);
    if (tiled) run_.add(*tiled);
    return {};
  }

 private:
  bool has_time(double rate, const Prompt& prompt, const char* what) const {
    const double seconds = rate > 0 ? prompt.ops() / rate : 0;
    const double share = kernels_.name == "generic" ? kPortableShareOfAll : kShareOfAll;
    const double allowed = std::min(share * run_.options().seconds_max, run_.seconds_left());
    if (seconds <= allowed) return true;
    run_.note(
        fmt::format("{} attention over {} positions by {} would take {:.1f} s, and {:.1f} s "
                    "are allowed (--seconds-max)",
                    kernels_.name, prompt.positions, what, seconds, std::max(0.0, allowed)));
    return false;
  }
  bool has_memory(std::int64_t positions) const {
    const auto bytes = ScoreMatrixAttention::matrix_bytes(positions);
    if (bytes <= memory_info().available_bytes / 2) return true;
    run_.note(
        fmt::format("a score matrix of {} positions takes {:.1f} GiB, more than half of the "
                    "free memory",
                    positions, static_cast<double>(bytes) / (1 << 30)));
    return false;
  }

  KernelBenchRun& run_;
  const KernelTable& kernels_;
  double tiled_rate_ = 0, matrix_rate_ = 0;  ///< operations per second of the prompt before
};

}  // namespace

Status bench_attention(KernelBenchRun& run) {
  std::set<decltype(KernelTable::attention_span)> seen;
  for (const KernelTable* kernels : run.tables()) {
    if (!seen.insert(kernels->attention_span).second) continue;
    Comparison comparison(run, *kernels);
    for (const std::int64_t positions : kPrompts)
      if (positions <= run.options().longest_prompt)
        RIDGELINE_TRY_STATUS(comparison.measure(positions));
  }
  return {};
}

}  // namespace ridgeline
