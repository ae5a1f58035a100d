#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/bench_workload.h"

// What the benchmark programs of llama.cpp's family print, and our own. Each function
// takes a program's whole output. Errors say what was found instead.

namespace ridgeline {

/// One figure of a report: a workload and its tokens per second, of all streams together.
struct ReportedRate {
  Workload work;
  double tokens_per_second = 0;
};

/// `bench model --output json`.
Result<std::vector<ReportedRate>> parse_bench_model(std::string_view output);
/// `llama-bench -o json`; notes before and after the array are skipped, and so are tests of
/// prompt and generation together, but for ik_llama.cpp's -gp, which times the latter.
Result<std::vector<ReportedRate>> parse_llama_bench(std::string_view output);
/// The table of llama-batched-bench: generation begins at the depth of the prompt.
Result<std::vector<ReportedRate>> parse_batched_bench(std::string_view output);
/// The table of llama-sweep-bench.
Result<std::vector<ReportedRate>> parse_sweep_bench(std::string_view output);

}  // namespace ridgeline
