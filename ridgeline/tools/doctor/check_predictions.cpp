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
constexpr int kPiecesMax = 24, kLooks = 3;

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

}  // namespace

Status check_predictions(ModelDiagnosis& d, const EngineOptions& wanted) {
  const ModelWork& work = d.type_options.front().work;
  const SpeedRates& rates = *d.rates;
  const auto seconds_of = [&](Workload::Kind kind, std::int64_t tokens, std::int64_t depth) {
    return predicted_seconds(work, rates, {kind, tokens, depth, 1}, d.batch_tokens);
  };
  using Kind = Workload::Kind;
  const std::int64_t room = std::max<std::int64_t>(2, std::min<std::int64_t>(d.context, 1024));
  const std::int64_t prompt =
      affordable({16, 64, 128, 256, 512}, room / 2, kPrefillSeconds / 2,
                 [&](std::int64_t n) { return seconds_of(Kind::kPrefill, n, 0); });
  const std::int64_t generated =
      affordable({2, 4, 8, 16, 32}, room - prompt, kDecodeSeconds / 12,
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
  BandwidthProbe bandwidth(pool, /*seconds=*/0.5);
  // Memory and neighbours change from one moment to the next, so that many short pieces are
  // measured, each with a look at the memory behind it.
  const auto check = [&](const Workload& piece, int pieces) -> Status {
    double seconds = 0, reading = 0;
    int looks = 0;
    const auto after_each = [&](const Measurement& line) {
      seconds += line.median_seconds();
      for (int i = 0; i < kLooks; ++i, ++looks) {
        const double rate = bandwidth.measure(0);
        reading += rate > 0 ? 1 / rate : 0;
      }
    };
    RIDGELINE_TRY_STATUS(benchmark_model(
        *engine, cost, nullptr, std::vector<Workload>(static_cast<std::size_t>(pieces), piece),
        {.repetitions = 1, .after_each = after_each}));
    SpeedCheck result;
    result.work = piece;
    result.pieces = pieces;
    result.measured_tokens_per_second =
        static_cast<double>(pieces * piece.total_tokens()) / seconds;
    result.read_bytes_per_second = reading > 0 ? looks / reading : 0;
    result.predicted_tokens_per_second = predicted_tokens_per_second(
        work, rates, piece, d.batch_tokens, result.read_bytes_per_second);
    d.checks.push_back(result);
    return {};
  };
  const auto pieces_in = [](double budget, double once) {
    return std::clamp(static_cast<int>(budget / once), 1, kPiecesMax);
  };
  // Each piece of a prompt is run twice, the first time to warm up.
  const double prompt_seconds = seconds_of(Kind::kPrefill, prompt, 0);
  RIDGELINE_TRY_STATUS(
      check({Kind::kPrefill, prompt, 0, 1}, pieces_in(kPrefillSeconds / 2, prompt_seconds)));
  const double decode_seconds = seconds_of(Kind::kDecode, generated, prompt);
  return check({Kind::kDecode, generated, prompt, 1}, pieces_in(kDecodeSeconds, decode_seconds));
}

}  // namespace ridgeline::doctor
