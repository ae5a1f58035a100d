#include "ridgeline/tools/ablation/complexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/platform/cpu_features.h"
#include "ridgeline/tools/ablation/generation.h"
#include "ridgeline/tools/ablation/no_cache_backend.h"
#include "ridgeline/tools/bench_kernels.h"
#include "ridgeline/tools/statistics.h"

namespace ridgeline {
namespace {

constexpr std::int64_t kShortest = 32;
/// Timed for each length, after one that is not.
constexpr int kSteps = 5;
/// Of a pass that takes less than this share of the time, so many are timed.
constexpr std::size_t kPasses = 5;
constexpr double kRepeatShare = 0.02;
/// In between two blocks, so that a sequence's last one has free slots.
constexpr std::int64_t kHeldTokens = 100;
constexpr std::array kKvTypes{DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0};

double seconds_of(const auto& call) {
  const auto start = Clock::now();
  call();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Complexity {
 public:
  Complexity(std::string path, const ComplexityOptions& options)
      : path_(std::move(path)), options_(options) {}

  Result<ComplexityReport> run() {
    RIDGELINE_TRY_STATUS(measure_cached());
    RIDGELINE_TRY_STATUS(measure_recomputed());
    RIDGELINE_TRY_STATUS(measure_attention());
    const auto fit = [](const auto& points, GrowthFit (*fitted)(std::span<const GrowthPoint>)) {
      return points.empty() ? GrowthFit{} : fitted(points);
    };
    report_.cached_fit = fit(report_.cached, fit_step);
    report_.recomputed_fit = fit(report_.recomputed, fit_pass);
    report_.cached_exponent = exponent(report_.cached);
    report_.recomputed_exponent = exponent(report_.recomputed);
    return std::move(report_);
  }

 private:
  void say(const std::string& what) {
    if (options_.progress) options_.progress(what);
  }

  static std::optional<double> exponent(const std::vector<GrowthPoint>& points) {
    if (points.empty()) return std::nullopt;
    std::vector<GrowthPoint> far;
    for (const GrowthPoint& p : points)
      if (p.length >= points.back().length / 4) far.push_back(p);
    if (far.size() < 3) return std::nullopt;
    return growth_exponent(far);
  }

  std::vector<TokenId> prompt(const Engine& engine, std::int64_t length) {
    std::mt19937 random(1);
    std::vector<TokenId> tokens(static_cast<std::size_t>(length));
    for (TokenId& token : tokens)
      token = static_cast<TokenId>(random() % static_cast<unsigned>(engine.config().vocab_size));
    return tokens;
  }

  /// Lengths from kShortest on, each twice the one before, while the next is foreseen to end in
  /// time. `measure(length)` gives the point and what getting there took.
  template <class Measure>
  Status sweep(const char* what, std::vector<GrowthPoint>& points, std::int64_t longest,
               Measure&& measure) {
    double spent = 0, last = 0;
    for (std::int64_t length = std::min(kShortest, longest); length <= longest; length *= 2) {
      if (spent + 4 * last > options_.seconds_per_part && !points.empty()) {
        report_.notes.push_back(
            fmt::format("{}: {} tokens and more would not be done in {:.0f} s (--seconds).", what,
                        length, options_.seconds_per_part));
        break;
      }
      RIDGELINE_TRY(const double seconds, measure(length));
      points.push_back({static_cast<double>(length), seconds});
      last = total_;
      spent += total_;
    }
    return {};
  }

  Status measure_cached() {
    say("with a KV cache");
    EngineOptions wanted = options_.engine;
    wanted.context = options_.longest + kSteps + 2;
    RIDGELINE_TRY(const std::unique_ptr<Engine> engine, Engine::load(path_, wanted));
    if (engine->config().is_encoder)
      return fail(
          fmt::format("{}: a '{}' model writes no text", path_, engine->config().architecture));
    report_.model = path_;
    report_.cpu = cpu_features().brand;
    report_.isa = engine->backend().isa();
    report_.threads = engine->backend().threads();
    RIDGELINE_TRY_STATUS(measure_kv(*engine));
    const auto generation = make_generation(*engine, ServingPolicy::kOneAtATime, KvPolicy::kPaged);
    const std::vector<TokenId> tokens = prompt(*engine, options_.longest);
    return sweep("With a KV cache", report_.cached, options_.longest,
                 [&](std::int64_t length) -> Result<double> {
                   Status status;
                   std::vector<double> steps;
                   total_ = seconds_of([&] {
                     const auto first = generation->start(
                         std::span(tokens).first(static_cast<std::size_t>(length)), kSteps + 2);
                     if (!first) status = tl::make_unexpected(first.error());
                     for (int i = 0; status && i <= kSteps; ++i)
                       steps.push_back(seconds_of([&] {
                         const auto next = generation->next();
                         if (!next) status = tl::make_unexpected(next.error());
                       }));
                   });
                   RIDGELINE_TRY_STATUS(status);
                   steps.erase(steps.begin());
                   return median(steps);
                 });
  }

  Status measure_recomputed() {
    say("without one");
    EngineOptions wanted = options_.engine;
    wanted.context = options_.longest + 1;
    wanted.batch_tokens = wanted.context;
    wanted.make_backend = [](const BackendOptions& backend) -> Result<std::unique_ptr<Backend>> {
      RIDGELINE_TRY(std::unique_ptr<Backend> inner, create_backend(backend));
      return std::make_unique<NoCacheBackend>(std::move(inner));
    };
    RIDGELINE_TRY(const std::unique_ptr<Engine> engine, Engine::load(path_, wanted));
    const auto generation = make_generation(*engine, ServingPolicy::kRecompute, KvPolicy::kPaged);
    const std::vector<TokenId> tokens = prompt(*engine, options_.longest);
    RIDGELINE_TRY_STATUS(generation->start(std::span(tokens).first(1), 1).map([](const auto&) {}));
    return sweep(
        "Without a KV cache", report_.recomputed, options_.longest,
        [&](std::int64_t length) -> Result<double> {
          std::vector<double> passes;
          total_ = 0;
          do {
            Status status;
            passes.push_back(seconds_of([&] {
              const auto first =
                  generation->start(std::span(tokens).first(static_cast<std::size_t>(length)), 1);
              if (!first) status = tl::make_unexpected(first.error());
            }));
            RIDGELINE_TRY_STATUS(status);
            total_ += passes.back();
          } while (passes.size() < kPasses && total_ < kRepeatShare * options_.seconds_per_part);
          return median(passes);
        });
  }

  Status measure_attention() {
    say("attention");
    KernelBenchOptions bench;
    bench.sections = {KernelSection::kAttention};
    bench.isas = {report_.isa};
    bench.pin = options_.engine.backend.pin;
    bench.seconds_max = options_.seconds_per_part;
    bench.longest_prompt = options_.longest_attention;
    bench.on_line = [&](const KernelLine& line) {
      if (line.section != KernelSection::kAttention) return;
      auto& list = report_.attention;
      if (list.empty() || list.back().positions != line.rows) {
        list.emplace_back();
        list.back().positions = line.rows;
      }
      const bool tiles = line.what.find("tiles") != std::string::npos;
      (tiles ? list.back().tile_bytes : list.back().matrix_bytes) = line.memory_bytes;
      (tiles ? list.back().tile_seconds : list.back().matrix_seconds) = line.seconds;
    };
    bench.on_note = [&](const std::string& sentence) {
      // The portable kernels are timed along, and not asked for.
      if (sentence.starts_with(report_.isa) || sentence.starts_with("a score matrix"))
        report_.notes.push_back(sentence + ".");
    };
    return benchmark_kernels(bench);
  }

  Status measure_kv(Engine& engine) {
    const ModelConfig& config = engine.config();
    for (const DType type : kKvTypes) {
      const KvCacheShape shape = config.kv_shape(type);
      double block_bytes = 0;
      for (int group = 0; group < static_cast<int>(shape.windows().size()); ++group) {
        RIDGELINE_TRY(const std::size_t bytes, engine.backend().kv_block_bytes(shape, group));
        block_bytes += static_cast<double>(bytes);
      }
      const DTypeInfo& t = info(type);
      report_.kv.push_back({type,
                            static_cast<double>(config.kv_elements(1)) *
                                static_cast<double>(t.block_bytes) / t.block_elements,
                            block_bytes / kKvBlockTokens});
    }
    report_.kv_type = engine.kv_cache().shape().dtype;
    report_.kv_pool_bytes = engine.kv_cache().bytes();
    report_.kv_pool_tokens = std::int64_t{engine.kv_pools().pool(0).capacity()} * kKvBlockTokens;
    SequenceBlocks sequence(engine.kv_pools());
    if (!sequence.advance(0, kHeldTokens)) return {};  // a context of less
    report_.held_tokens = kHeldTokens;
    report_.held_bytes = kv_bytes_held(engine);
    return {};
  }

  std::string path_;
  const ComplexityOptions& options_;
  ComplexityReport report_;
  double total_ = 0;  ///< that the last length took
};

using Json = nlohmann::ordered_json;

Json growth(const std::vector<GrowthPoint>& points, const GrowthFit& fit,
            const std::optional<double>& exponent) {
  Json j{
      {"points", Json::array()},
      {"fit", {{"constant", fit.constant}, {"linear", fit.linear}, {"quadratic", fit.quadratic}}},
      {"exponent", exponent ? Json(*exponent) : Json(nullptr)}};
  for (const GrowthPoint& p : points)
    j["points"].push_back({{"tokens", p.length}, {"seconds", p.seconds}});
  return j;
}

}  // namespace

Result<ComplexityReport> measure_complexity(const std::string& path,
                                            const ComplexityOptions& options) {
  return Complexity(path, options).run();
}

Json to_json(const ComplexityReport& report) {
  const auto number = [](const std::optional<double>& value) {
    return value ? Json(*value) : Json(nullptr);
  };
  Json j{{"model", report.model},
         {"cpu", report.cpu},
         {"isa", report.isa},
         {"threads", report.threads},
         {"decode_with_cache", growth(report.cached, report.cached_fit, report.cached_exponent)},
         {"decode_without_cache",
          growth(report.recomputed, report.recomputed_fit, report.recomputed_exponent)},
         {"attention", Json::array()},
         {"kv_bytes_per_token", Json::array()}};
  for (const auto& a : report.attention)
    j["attention"].push_back({{"positions", a.positions},
                              {"matrix_bytes", number(a.matrix_bytes)},
                              {"matrix_seconds", number(a.matrix_seconds)},
                              {"tile_bytes", number(a.tile_bytes)},
                              {"tile_seconds", number(a.tile_seconds)}});
  for (const auto& k : report.kv)
    j["kv_bytes_per_token"].push_back(
        {{"type", name(k.dtype)}, {"formula", k.formula}, {"pool", k.pool}});
  j["kv_pool"] = {{"type", name(report.kv_type)},
                  {"bytes", report.kv_pool_bytes},
                  {"tokens", report.kv_pool_tokens},
                  {"sequence_tokens", report.held_tokens},
                  {"sequence_bytes", report.held_bytes}};
  j["notes"] = report.notes;
  return j;
}

}  // namespace ridgeline
