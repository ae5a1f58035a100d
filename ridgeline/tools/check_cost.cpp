#include "ridgeline/tools/check_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "ridgeline/base/check.h"
#include "ridgeline/tools/statistics.h"

namespace ridgeline {
namespace {

using Clock = std::chrono::steady_clock;

/// A sequence of random tokens; rows behind its depth are computed again and again.
class Probe {
 public:
  Probe(Engine& engine, int most)
      : engine_(engine),
        blocks_(engine.kv_pools()),
        logits_(static_cast<std::size_t>(most) *
                static_cast<std::size_t>(engine.config().vocab_size)) {}

  void fill(std::int64_t depth) {
    for (std::int64_t at = 0; at < depth; at += engine_.batch_tokens())
      forward(at, std::min(engine_.batch_tokens(), depth - at), 0);
  }
  double seconds(std::int64_t depth, std::int64_t rows) {
    blocks_.truncate(depth);
    const auto start = Clock::now();
    forward(depth, rows, rows);
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

 private:
  void forward(std::int64_t position, std::int64_t rows, std::int64_t with_logits) {
    const auto vocab = static_cast<unsigned>(engine_.config().vocab_size);
    RIDGELINE_CHECK(blocks_.advance(position, position + rows));
    batch_.clear();
    for (std::int64_t i = 0; i < rows; ++i)
      batch_.tokens.push_back(static_cast<TokenId>(random_() % vocab));
    batch_.slices = {{0, static_cast<std::int32_t>(rows), position, blocks_.tables()}};
    for (std::int64_t i = 0; i < with_logits; ++i)
      batch_.logit_rows.push_back(static_cast<std::int32_t>(i));
    engine_.model().forward(batch_, engine_.kv_cache());
    if (with_logits > 0)
      engine_.model().head(0, with_logits,
                           std::span(logits_).first(static_cast<std::size_t>(with_logits) * vocab));
  }

  Engine& engine_;
  SequenceBlocks blocks_;
  std::vector<float> logits_;
  Batch batch_;
  std::mt19937 random_{1};
};

}  // namespace

Result<std::vector<CheckCost>> measure_check_costs(Engine& engine, std::int64_t depth, int most,
                                                   int rounds) {
  RIDGELINE_CHECK(engine.idle() && most > 0 && rounds > 0);
  if (depth + most > engine.context())
    return fail(fmt::format("{} rows behind {} positions: the context holds {} (--ctx-size)", most,
                            depth, engine.context()));
  if (!engine.kv_pools().could_hold(depth + most, engine.batch_tokens(), 1))
    return fail(
        fmt::format("the KV pool has no room for {} positions (--kv-memory)", depth + most));
  engine.clear_prefix_cache();
  Probe probe(engine, most);
  probe.fill(depth);
  std::vector<std::vector<double>> seconds(static_cast<std::size_t>(most));
  probe.seconds(depth, most);  // pages of the workspace
  for (int round = 0; round < rounds; ++round)
    for (int rows = 1; rows <= most; ++rows)
      seconds[static_cast<std::size_t>(rows - 1)].push_back(probe.seconds(depth, rows));
  std::vector<CheckCost> costs;
  for (int rows = 1; rows <= most; ++rows)
    costs.push_back({.rows = rows,
                     .seconds = median(seconds[static_cast<std::size_t>(rows - 1)]),
                     .predicted = engine.cost().seconds(load_of(depth, rows))});
  return costs;
}

}  // namespace ridgeline
