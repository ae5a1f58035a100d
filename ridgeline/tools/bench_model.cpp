#include "ridgeline/tools/bench_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <random>

#include "ridgeline/base/check.h"
#include "ridgeline/tools/statistics.h"

namespace ridgeline {
namespace {

using Clock = std::chrono::steady_clock;

/// Sequences of random tokens that grow together.
class RandomStreams {
 public:
  RandomStreams(Engine& engine, int streams)
      : engine_(engine),
        logits_(static_cast<std::size_t>(streams) *
                static_cast<std::size_t>(engine.config().vocab_size)) {
    for (int i = 0; i < streams; ++i) blocks_.emplace_back(engine.kv_pools());
  }

  int count() const { return static_cast<int>(blocks_.size()); }

  /// Whether there is room for `positions` of every stream.
  bool could_hold(std::int64_t positions) const {
    return engine_.kv_pools().could_hold(positions, engine_.batch_tokens(), count());
  }
  /// Brings all to `depth` positions at least; false if they were there.
  bool fill_to(std::int64_t depth) {
    if (filled_ >= depth) return false;
    run({Workload::Kind::kPrefill, depth - filled_, filled_, count()});
    return true;
  }
  /// Overwrites what lies behind the work's depth, which must have been reached before.
  void run(const Workload& work) {
    RIDGELINE_CHECK(work.depth <= filled_);
    // Back to the depth: what layers with a window had given up comes back with other contents,
    // which take as long.
    for (SequenceBlocks& b : blocks_) b.truncate(work.depth);
    for (const Pass& pass : passes_of(work, engine_.batch_tokens())) forward(pass);
    filled_ = std::max(filled_, work.depth + work.tokens);
  }

 private:
  void forward(const Pass& pass) {
    batch_.clear();
    for (const Pass::Part& part : pass.parts) {
      const auto first = static_cast<std::int32_t>(batch_.tokens.size());
      for (std::int64_t i = 0; i < part.rows; ++i)
        batch_.tokens.push_back(
            static_cast<TokenId>(random_() % static_cast<unsigned>(engine_.config().vocab_size)));
      SequenceBlocks& blocks = blocks_[static_cast<std::size_t>(part.stream)];
      RIDGELINE_CHECK(blocks.advance(part.position, part.position + part.rows));
      batch_.slices.push_back(
          {first, static_cast<std::int32_t>(part.rows), part.position, blocks.tables()});
      if (part.logits)
        batch_.logit_rows.push_back(first + static_cast<std::int32_t>(part.rows) - 1);
    }
    engine_.model().forward(batch_, engine_.kv_cache());
    const auto rows = static_cast<std::int64_t>(batch_.logit_rows.size());
    if (rows > 0)
      engine_.model().head(0, rows,
                           std::span(logits_).first(static_cast<std::size_t>(
                               rows * static_cast<std::int64_t>(engine_.config().vocab_size))));
  }

  Engine& engine_;
  std::vector<SequenceBlocks> blocks_;
  std::vector<float> logits_;
  Batch batch_;
  std::int64_t filled_ = 0;
  std::mt19937 random_{1};
};

/// Room for every stream in the context and the KV pool.
Status check_room(const RandomStreams& streams, const Engine& engine, std::int64_t positions) {
  if (positions > engine.context())
    return fail(
        fmt::format("the benchmark needs {} positions, but the context holds {} (--ctx-size)",
                    positions, engine.context()));
  if (!streams.could_hold(positions))
    return fail(fmt::format("the KV pool has no room for {} streams of {} positions (--kv-memory)",
                            streams.count(), positions));
  return {};
}

/// Time `repetitions` of `work`, whose streams are at its depth at least.
std::vector<double> measure(RandomStreams& streams, const Workload& work, int repetitions) {
  Workload warm_up = work;
  if (work.kind == Workload::Kind::kDecode) warm_up.tokens = 1;
  streams.run(warm_up);
  std::vector<double> seconds;
  for (int i = 0; i < repetitions; ++i) {
    const auto start = Clock::now();
    streams.run(work);
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  return seconds;
}

}  // namespace

double Measurement::median_seconds() const { return median(seconds); }

double Measurement::tokens_per_second() const {
  return static_cast<double>(work.total_tokens()) / median_seconds();
}

double Measurement::spread() const {
  if (seconds.size() < 2) return 0;
  const auto tokens = static_cast<double>(work.total_tokens());
  const auto count = static_cast<double>(seconds.size());
  double mean = 0, sum = 0;
  for (double s : seconds) mean += tokens / s / count;
  for (double s : seconds) sum += (tokens / s - mean) * (tokens / s - mean);
  return std::sqrt(sum / (count - 1));
}

Result<std::vector<Measurement>> benchmark_model(Engine& engine, const ModelCost& cost,
                                                 MachineProbe* probe,
                                                 const std::vector<Workload>& workloads,
                                                 const ModelBenchOptions& options) {
  const auto measured = [probe] { return probe == nullptr ? Ceilings{} : probe->measure(); };
  std::vector<Measurement> results;
  std::unique_ptr<RandomStreams> streams;
  for (const Workload& work : workloads) {
    if (!streams || streams->count() != work.streams) {
      streams.reset();  // gives its blocks back first
      streams = std::make_unique<RandomStreams>(engine, work.streams);
    }
    RIDGELINE_TRY_STATUS(check_room(*streams, engine, work.depth + work.tokens));
    Measurement line;
    line.work = work;
    line.cost = cost.of(passes_of(work, engine.batch_tokens()));
    // What was measured after the line before counts, unless that was long ago.
    const bool filled = streams->fill_to(work.depth);
    line.before = filled || results.empty() ? measured() : results.back().after;
    line.seconds = measure(*streams, work, options.repetitions);
    line.after = measured();
    if (options.after_each) options.after_each(line);
    results.push_back(std::move(line));
  }
  return results;
}

}  // namespace ridgeline
