#include "ridgeline/tools/bench_roofline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "ridgeline/base/check.h"
#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/platform/topology.h"
#include "ridgeline/tools/statistics.h"

namespace ridgeline {
namespace {

using Kind = RooflineWork::Kind;

constexpr std::int64_t kDecodeTokens = 4;  ///< of a repetition
constexpr int kRepetitionsMax = 5;
/// Of the ceilings around a line, and of looking at one thread's bandwidth.
constexpr double kProbeSeconds = 0.25, kOneThreadSeconds = 0.6;

/// What a workload will take, warm-up and the filling of its cache included, by what a short
/// prompt and a token took. Longer prompts take less per token, so this is rather too much.
struct Pilot {
  double seconds_per_prompt_token = 0, seconds_per_step = 0;

  double seconds(const Workload& w, int repetitions) const {
    const double filling = static_cast<double>(w.depth * w.streams) * seconds_per_prompt_token;
    const auto tokens = static_cast<double>(w.tokens);
    if (w.kind == Workload::Kind::kPrefill)
      return filling + (1 + repetitions) * tokens * w.streams * seconds_per_prompt_token;
    const double step = seconds_per_step + (w.streams - 1) * seconds_per_prompt_token;
    return filling + (1 + repetitions * tokens) * step;
  }
};

/// The one-thread slope, and what the lines have in common, for which the engine is asked.
RooflineReport about(Engine& engine, const ModelCost& cost) {
  RooflineReport report;
  report.isa = engine.backend().isa();
  report.threads = engine.backend().threads();
  report.weights_fit_in_cache =
      cost.per_pass.bytes + cost.per_logit_pass.bytes < static_cast<double>(topology().l3_bytes);
  ThreadPool one(1, /*pin=*/false);
  report.one_thread_bytes_per_second = measure_read_bandwidth(one, kOneThreadSeconds);
  return report;
}

/// Takes away what costs most until the rest fits, the cheapest of each kind excepted.
std::vector<RooflineWork> choose(std::vector<RooflineWork> works, const Pilot& pilot,
                                 double seconds, int& repetitions,
                                 std::vector<std::string>& left_out) {
  const auto total = [&](int times) {
    double sum = 0;
    for (const RooflineWork& w : works) sum += pilot.seconds(w.work, times) + kProbeSeconds;
    return sum;
  };
  repetitions = kRepetitionsMax;
  while (repetitions > 1 && total(repetitions) > seconds) --repetitions;
  std::set<std::pair<Kind, std::string>> out;
  while (total(1) > seconds) {
    auto most = works.end();
    for (auto w = works.begin(); w != works.end(); ++w) {
      const bool is_only = std::ranges::count(works, w->kind, &RooflineWork::kind) == 1;
      if (!is_only &&
          (most == works.end() || pilot.seconds(w->work, 1) > pilot.seconds(most->work, 1)))
        most = w;
    }
    if (most == works.end()) break;
    out.insert({most->kind, describe(*most)});
    works.erase(most);
  }
  for (const auto& [kind, what] : out)
    left_out.push_back(kind == Kind::kStreams ? what : fmt::format("{} ({})", name(kind), what));
  return works;
}

}  // namespace

std::string name(Kind kind) {
  switch (kind) {
    case Kind::kPrefill:
      return "prefill";
    case Kind::kDecode:
      return "decode";
    case Kind::kStreams:
      break;
  }
  return "streams";
}

std::string describe(const RooflineWork& work) {
  switch (work.kind) {
    case Kind::kPrefill:
      return fmt::format("{} tokens", work.work.tokens);
    case Kind::kDecode:
      return fmt::format("depth {}", work.work.depth);
    case Kind::kStreams:
      break;
  }
  return fmt::format("{} stream{}", work.work.streams, work.work.streams == 1 ? "" : "s");
}

std::vector<RooflineWork> roofline_works(const RooflineOptions& options, std::int64_t context) {
  std::vector<RooflineWork> works;
  const auto ascending = [](auto list) {
    std::ranges::sort(list);
    const auto rest = std::ranges::unique(list);
    list.erase(rest.begin(), rest.end());
    return list;
  };
  const auto add = [&](Kind kind, const Workload& work) {
    if (work.depth + work.tokens <= context) works.push_back({kind, work});
  };
  for (const std::int64_t n : ascending(options.prompts))
    add(Kind::kPrefill, {Workload::Kind::kPrefill, n, 0, 1});
  for (const std::int64_t depth : ascending(options.depths))
    add(Kind::kDecode, {Workload::Kind::kDecode, kDecodeTokens, depth, 1});
  for (const int n : ascending(options.streams))
    add(Kind::kStreams, {Workload::Kind::kDecode, kDecodeTokens, 0, n});
  return works;
}

double RooflineReport::Line::ops_per_second() const {
  return measured.cost.total_ops() / measured.median_seconds();
}

double RooflineReport::Line::roof_ops_per_second() const {
  const double seconds = measured.roofline().seconds();
  return seconds > 0 ? measured.cost.total_ops() / seconds : 0;
}

double RooflineReport::least_bytes_per_second() const {
  double least = 0;
  for (const Line& l : lines)
    for (const double b :
         {l.measured.before.read_bytes_per_second, l.measured.after.read_bytes_per_second})
      if (b > 0 && (least == 0 || b < least)) least = b;
  return least;
}

double RooflineReport::most_bytes_per_second() const {
  double most = 0;
  for (const Line& l : lines)
    most = std::max(
        {most, l.measured.before.read_bytes_per_second, l.measured.after.read_bytes_per_second});
  return most;
}

Ceilings RooflineReport::peaks() const {
  Ceilings result;
  const auto median_of = [this](auto&& value) {
    std::vector<double> all;
    for (const Line& l : lines) all.push_back(value(l.measured.ceilings()));
    return median(std::move(all));
  };
  result.read_bytes_per_second =
      median_of([](const Ceilings& c) { return c.read_bytes_per_second; });
  for (std::size_t i = 0; i < result.ops_per_second.size(); ++i)
    result.ops_per_second[i] = median_of([i](const Ceilings& c) { return c.ops_per_second[i]; });
  return result;
}

std::vector<Arithmetic> RooflineReport::arithmetics() const {
  std::vector<Arithmetic> kinds;
  for (const Arithmetic kind : {Arithmetic::kF32, Arithmetic::kBF16, Arithmetic::kInt8})
    if (std::ranges::any_of(lines, [&](const Line& l) {
          return l.measured.cost.ops[static_cast<std::size_t>(kind)] > 0;
        }))
      kinds.push_back(kind);
  return kinds;
}

Result<RooflineReport> measure_roofline(Engine& engine, const ModelCost& cost,
                                        const std::vector<RooflineWork>& works,
                                        const RooflineOptions& options) {
  if (works.empty()) return fail("nothing to measure: every list is empty, or beyond the context");
  const KernelTable* kernels = find_kernels(engine.backend().isa());
  RIDGELINE_CHECK(kernels != nullptr);
  RooflineReport report = about(engine, cost);
  ThreadPool pool(report.threads, options.pin);
  MachineProbe probe(pool, *kernels);

  const std::int64_t pilot_prompt = std::min(kRooflinePilotTokens, engine.context());
  ModelBenchOptions once;
  once.repetitions = 1;
  RIDGELINE_TRY(const std::vector<Measurement> tried,
                benchmark_model(engine, cost, nullptr,
                                {{Workload::Kind::kPrefill, pilot_prompt, 0, 1},
                                 {Workload::Kind::kDecode, 1, 0, 1}},
                                once));
  const Pilot pilot{tried[0].median_seconds() / static_cast<double>(pilot_prompt),
                    tried[1].median_seconds()};
  ModelBenchOptions bench;
  std::vector<std::string> left_out;
  const std::vector<RooflineWork> chosen =
      choose(works, pilot, options.seconds, bench.repetitions, left_out);
  if (!left_out.empty())
    report.notes.push_back(fmt::format("Left out for want of time (--seconds {:g}): {}.",
                                       options.seconds, fmt::join(left_out, ", ")));
  if (report.weights_fit_in_cache)
    report.notes.push_back(
        fmt::format("The weights fit in the {} MiB of last-level cache: what decodes may lie above "
                    "the roof of main memory.",
                    topology().l3_bytes >> 20));
  std::vector<Workload> workloads;
  for (const RooflineWork& w : chosen) workloads.push_back(w.work);
  bench.after_each = options.after_each;
  RIDGELINE_TRY(std::vector<Measurement> measured,
                benchmark_model(engine, cost, &probe, workloads, bench));
  for (std::size_t i = 0; i < chosen.size(); ++i)
    report.lines.push_back({chosen[i], std::move(measured[i])});
  if (report.most_bytes_per_second() > 1.15 * report.least_bytes_per_second())
    report.notes.push_back(
        fmt::format("Memory gave between {:.1f} and {:.1f} GB/s during the measurement; each line "
                    "is compared with what it gave beside it.",
                    report.least_bytes_per_second() * 1e-9, report.most_bytes_per_second() * 1e-9));
  return report;
}

}  // namespace ridgeline
