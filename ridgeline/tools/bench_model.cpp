#include "ridgeline/tools/bench_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>

#include "ridgeline/base/check.h"

namespace ridgeline {
namespace {

using Clock = std::chrono::steady_clock;

/// A sequence of random tokens that grows batch by batch.
class RandomSequence {
 public:
  explicit RandomSequence(Engine& engine)
      : engine_(engine),
        blocks_(engine.block_pool()),
        logits_(static_cast<std::size_t>(engine.config().vocab_size)) {}

  /// Appends `count` tokens in batches of at most `rows`, with the logits of the last.
  void append(std::int64_t count, std::int64_t rows) {
    RIDGELINE_CHECK(blocks_.reserve(position_ + count));
    for (std::int64_t done = 0; done < count;) {
      const std::int64_t n = std::min(rows, count - done);
      batch_.clear();
      for (std::int64_t i = 0; i < n; ++i)
        batch_.tokens.push_back(
            static_cast<TokenId>(random_() % static_cast<unsigned>(engine_.config().vocab_size)));
      batch_.slices.push_back({0, static_cast<std::int32_t>(n), position_, blocks_.blocks()});
      done += n;
      if (done == count) batch_.logit_rows.push_back(static_cast<std::int32_t>(n - 1));
      engine_.model().forward(batch_, engine_.kv_cache());
      if (done == count) engine_.model().head(0, 1, logits_);
      position_ += n;
    }
  }

 private:
  Engine& engine_;
  BlockTable blocks_;
  std::vector<float> logits_;
  Batch batch_;
  std::int64_t position_ = 0;
  std::mt19937 random_{1};
};

template <class Work>
double seconds_of(Work&& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

double Rate::median() const {
  if (tokens_per_second.empty()) return 0;
  std::vector<double> sorted = tokens_per_second;
  std::ranges::sort(sorted);
  const std::size_t mid = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[mid] : (sorted[mid - 1] + sorted[mid]) / 2;
}

double Rate::mean() const {
  if (tokens_per_second.empty()) return 0;
  return std::accumulate(tokens_per_second.begin(), tokens_per_second.end(), 0.0) /
         static_cast<double>(tokens_per_second.size());
}

double Rate::standard_deviation() const {
  if (tokens_per_second.size() < 2) return 0;
  double sum = 0;
  for (double r : tokens_per_second) sum += (r - mean()) * (r - mean());
  return std::sqrt(sum / static_cast<double>(tokens_per_second.size() - 1));
}

Result<ModelBenchmarkResult> benchmark_model(Engine& engine, const ModelBenchmark& work) {
  const std::int64_t needed = work.depth + std::max(work.prompt_tokens, work.generated_tokens);
  if (needed > engine.context())
    return fail(
        fmt::format("the benchmark needs {} positions, but the context holds {} (--ctx-size)",
                    needed, engine.context()));
  {
    RandomSequence warm_up(engine);
    warm_up.append(
        std::min<std::int64_t>(engine.context(), std::max<std::int64_t>(1, work.prompt_tokens)),
        engine.batch_tokens());
  }
  ModelBenchmarkResult result;
  for (int i = 0; i < work.repetitions; ++i) {
    if (work.prompt_tokens > 0) {
      RandomSequence sequence(engine);
      if (work.depth > 0) sequence.append(work.depth, engine.batch_tokens());
      const double seconds =
          seconds_of([&] { sequence.append(work.prompt_tokens, engine.batch_tokens()); });
      result.prefill.tokens_per_second.push_back(static_cast<double>(work.prompt_tokens) / seconds);
    }
    if (work.generated_tokens > 0) {
      RandomSequence sequence(engine);
      if (work.depth > 0) sequence.append(work.depth, engine.batch_tokens());
      const double seconds = seconds_of([&] {
        for (std::int64_t t = 0; t < work.generated_tokens; ++t) sequence.append(1, 1);
      });
      result.decode.tokens_per_second.push_back(static_cast<double>(work.generated_tokens) /
                                                seconds);
    }
  }
  return result;
}

}  // namespace ridgeline
