// The model itself, for some seconds, beside what was predicted of it.

#include <algorithm>
#include <memory>

#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/tools/bench_model.h"
#include "ridgeline/tools/doctor/model_diagnosis.h"
#include "ridgeline/tools/inspect.h"

namespace ridgeline::doctor {
namespace {

constexpr double kPrefillSeconds = 5, kDecodeSeconds = 3;
constexpr int kRepetitionsMax = 5;

/// The most tokens of `choices` that are predicted to take no more than `seconds` in `times` runs;
/// the fewest if none do.
template <class Seconds>
std::int64_t affordable(std::initializer_list<std::int64_t> choices, std::int64_t room,
                        double seconds, Seconds&& predicted) {
  std::int64_t chosen = std::min(room, *std::min_element(choices.begin(), choices.end()));
  for (const std::int64_t tokens : choices)
    if (tokens <= room && predicted(tokens) <= seconds) chosen = std::max(chosen, tokens);
  return chosen;
}

int repetitions(double once, double seconds) {
  return std::clamp(static_cast<int>(seconds / once) - 1, 1, kRepetitionsMax);
}

}  // namespace

Status check_predictions(ModelDiagnosis& d, const EngineOptions& wanted) {
  const ModelWork& work = d.type_options.front().work;
  const SpeedRates& rates = *d.rates;
  const auto seconds_of = [&](Workload::Kind kind, std::int64_t tokens, std::int64_t depth) {
    return predicted_seconds(work, rates, {kind, tokens, depth, 1}, d.batch_tokens);
  };
  using Kind = Workload::Kind;
  const std::int64_t room = std::max<std::int64_t>(2, std::min<std::int64_t>(d.context, 1024));
  // Each is run at least twice, the first time to warm up.
  const std::int64_t prompt =
      affordable({16, 64, 128, 256, 512}, room / 2, kPrefillSeconds / 2,
                 [&](std::int64_t n) { return seconds_of(Kind::kPrefill, n, 0); });
  const std::int64_t generated =
      affordable({4, 16, 32, 64, 128}, room - prompt, kDecodeSeconds / 2,
                 [&](std::int64_t n) { return seconds_of(Kind::kDecode, n, prompt); });

  EngineOptions options = wanted;
  options.context = prompt + generated;
  RIDGELINE_TRY(const std::unique_ptr<Engine> engine, Engine::load(d.path, options));
  d.measured_memory = engine->memory_use();
  RIDGELINE_TRY(const FileReport file, inspect_file(d.path, options.quantize));
  const KernelTable& kernels = *find_kernels(engine->backend().isa());
  const ModelCost cost = model_cost(engine->config(), file.tensors, kernels,
                                    options.backend.activations, engine->kv_sizes().bytes_seen(1));
  ThreadPool pool(engine->backend().threads(), options.backend.pin);
  MachineProbe probe(pool, kernels);
  const auto check = [&](const Workload& workload, double budget) -> Status {
    const double once = seconds_of(workload.kind, workload.tokens, workload.depth);
    RIDGELINE_TRY(const std::vector<Measurement> lines,
                  benchmark_model(*engine, cost, &probe, {workload},
                                  {.repetitions = repetitions(once, budget), .after_each = {}}));
    const Measurement& line = lines.front();
    SpeedCheck result;
    result.work = workload;
    result.measured_tokens_per_second = line.tokens_per_second();
    result.read_bytes_per_second = line.ceilings().read_bytes_per_second;
    result.predicted_tokens_per_second = predicted_tokens_per_second(
        work, rates, workload, d.batch_tokens, result.read_bytes_per_second);
    d.checks.push_back(result);
    return {};
  };
  RIDGELINE_TRY_STATUS(check({Kind::kPrefill, prompt, 0, 1}, kPrefillSeconds));
  return check({Kind::kDecode, generated, prompt, 1}, kDecodeSeconds);
}

}  // namespace ridgeline::doctor
