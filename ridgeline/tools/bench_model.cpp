#include "ridgeline/tools/bench_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <random>

#include "ridgeline/base/check.h"

namespace ridgeline {
namespace {

using Clock = std::chrono::steady_clock;

/// Sequences of random tokens that grow together, and can be cut back.
class RandomStreams {
 public:
  RandomStreams(Engine& engine, int streams)
      : engine_(engine),
        logits_(static_cast<std::size_t>(streams) *
                static_cast<std::size_t>(engine.config().vocab_size)) {
    for (int i = 0; i < streams; ++i) tables_.emplace_back(engine.block_pool());
  }

  int count() const { return static_cast<int>(tables_.size()); }

  /// Room for `positions` of every stream, or false.
  bool reserve(std::int64_t positions) {
    return std::ranges::all_of(tables_, [&](BlockTable& t) { return t.reserve(positions); });
  }
  /// The next tokens take position `position`, which must have been reached before.
  void rewind(std::int64_t position) {
    RIDGELINE_CHECK(position <= filled_);
    position_ = position;
  }
  void fill_to(std::int64_t depth) {
    rewind(std::min(depth, filled_));
    if (position_ < depth) prefill(depth - position_);
  }

  /// `count` tokens for each stream, one stream after the other in chunks, with the
  /// logits of each last one.
  void prefill(std::int64_t count) {
    for (std::size_t s = 0; s < tables_.size(); ++s) {
      for (std::int64_t done = 0; done < count;) {
        const std::int64_t n = std::min(engine_.batch_tokens(), count - done);
        batch_.clear();
        add_slice(s, n, position_ + done);
        done += n;
        if (done == count) batch_.logit_rows.push_back(static_cast<std::int32_t>(n - 1));
        forward();
      }
    }
    advance(count);
  }

  /// One token for every stream, with their logits.
  void decode() {
    batch_.clear();
    for (std::size_t s = 0; s < tables_.size(); ++s) {
      batch_.logit_rows.push_back(static_cast<std::int32_t>(s));
      add_slice(s, 1, position_);
    }
    forward();
    advance(1);
  }

 private:
  void add_slice(std::size_t stream, std::int64_t n, std::int64_t position) {
    const auto first = static_cast<std::int32_t>(batch_.tokens.size());
    for (std::int64_t i = 0; i < n; ++i)
      batch_.tokens.push_back(
          static_cast<TokenId>(random_() % static_cast<unsigned>(engine_.config().vocab_size)));
    batch_.slices.push_back(
        {first, static_cast<std::int32_t>(n), position, tables_[stream].blocks()});
  }
  void forward() {
    engine_.model().forward(batch_, engine_.kv_cache());
    const auto rows = static_cast<std::int64_t>(batch_.logit_rows.size());
    if (rows > 0)
      engine_.model().head(0, rows,
                           std::span(logits_).first(static_cast<std::size_t>(
                               rows * static_cast<std::int64_t>(engine_.config().vocab_size))));
  }
  void advance(std::int64_t count) {
    position_ += count;
    filled_ = std::max(filled_, position_);
  }

  Engine& engine_;
  std::vector<BlockTable> tables_;
  std::vector<float> logits_;
  Batch batch_;
  std::int64_t position_ = 0, filled_ = 0;
  std::mt19937 random_{1};
};

void run(RandomStreams& streams, const Workload& work) {
  if (work.kind == Workload::Kind::kPrefill) {
    streams.prefill(work.tokens);
  } else {
    for (std::int64_t i = 0; i < work.tokens; ++i) streams.decode();
  }
}

double tokens_of(const Workload& work) {
  return static_cast<double>(work.tokens) * static_cast<double>(work.streams);
}

}  // namespace

double Measurement::tokens_per_second() const {
  if (seconds.empty()) return 0;
  std::vector<double> sorted = seconds;
  std::ranges::sort(sorted);
  const std::size_t mid = sorted.size() / 2;
  const double median = sorted.size() % 2 == 1 ? sorted[mid] : (sorted[mid - 1] + sorted[mid]) / 2;
  return tokens_of(work) / median;
}

double Measurement::spread() const {
  if (seconds.size() < 2) return 0;
  const auto count = static_cast<double>(seconds.size());
  double mean = 0, sum = 0;
  for (double s : seconds) mean += tokens_of(work) / s / count;
  for (double s : seconds) sum += (tokens_of(work) / s - mean) * (tokens_of(work) / s - mean);
  return std::sqrt(sum / (count - 1));
}

Result<std::vector<Measurement>> benchmark_model(
    Engine& engine, const std::vector<Workload>& workloads, int repetitions,
    const std::function<void(const Measurement&)>& after_each) {
  std::vector<Measurement> results;
  std::unique_ptr<RandomStreams> streams;
  for (const Workload& work : workloads) {
    const std::int64_t positions = work.depth + work.tokens;
    if (positions > engine.context())
      return fail(
          fmt::format("the benchmark needs {} positions, but the context holds {} (--ctx-size)",
                      positions, engine.context()));
    if (!streams || streams->count() != work.streams) {
      streams.reset();  // gives its blocks back first
      streams = std::make_unique<RandomStreams>(engine, work.streams);
    }
    if (!streams->reserve(positions))
      return fail(fmt::format("the KV pool has no room for {} streams of {} positions (--kv-memory)",
                              work.streams, positions));
    streams->fill_to(work.depth);
    Workload warm_up = work;
    if (work.kind == Workload::Kind::kDecode) warm_up.tokens = 1;
    run(*streams, warm_up);

    Measurement line{work, {}};
    for (int i = 0; i < repetitions; ++i) {
      streams->rewind(work.depth);
      const auto start = Clock::now();
      run(*streams, work);
      line.seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    if (after_each) after_each(line);
    results.push_back(std::move(line));
  }
  return results;
}

}  // namespace ridgeline
