#pragma once

#include <functional>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/engine.h"
#include "ridgeline/tools/bench_workload.h"
#include "ridgeline/tools/machine_probe.h"
#include "ridgeline/tools/model_cost.h"

namespace ridgeline {

/// What repetitions of one workload took, and where that is on the machine's roofline.
struct Measurement {
  Workload work;
  std::vector<double> seconds;  ///< one per repetition, of the whole workload
  Cost cost;                    ///< of the whole workload
  Ceilings before, after;       ///< of the machine, around them; zeros if not measured

  double median_seconds() const;
  /// Tokens per second of all streams together, by the median repetition.
  double tokens_per_second() const;
  /// Standard deviation of the repetitions' rates.
  double spread() const;
  Ceilings ceilings() const { return mean(before, after); }
  RooflinePoint roofline() const { return place(cost, ceilings()); }
  /// Time at the ceiling over time taken, by the median repetition.
  double share() const { return roofline().seconds() / median_seconds(); }
};

struct ModelBenchOptions {
  int repetitions = 5;
  /// Called with every finished line; may be empty.
  std::function<void(const Measurement&)> after_each;
};

/// As llama-bench and llama-batched-bench measure: random tokens, no sampling, prefill
/// and decode apart, a warm-up of each workload's kind first. Streams keep what is in
/// their cache from one workload to the next, so a sweep that deepens fills once.
/// The machine's ceilings are taken by `probe` around every line; null: they are not.
/// Errors: more tokens than the context or the KV pool holds.
Result<std::vector<Measurement>> benchmark_model(Engine& engine, const ModelCost& cost,
                                                 MachineProbe* probe,
                                                 const std::vector<Workload>& workloads,
                                                 const ModelBenchOptions& options);

}  // namespace ridgeline
