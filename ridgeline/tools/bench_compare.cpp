#include "ridgeline/tools/bench_compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <set>
#include <thread>

#include "ridgeline/tools/child_process.h"
#include "ridgeline/tools/statistics.h"

namespace ridgeline {
namespace {

struct Figure {
  const char* name;
  const char* unit;
  bool more_is_better;
};
constexpr Figure kPrefill{"prefill", "tok/s", true}, kDecode{"decode", "tok/s", true},
    kFirstToken{"first token", "s", false}, kWholeRun{"whole run", "s", false},
    kPeakMemory{"peak memory", "MB", false};
constexpr std::array kFigures{kPrefill, kDecode, kFirstToken, kWholeRun, kPeakMemory};

/// What one run gave, by the names of figures.
using Sample = std::map<std::string, double>;

Result<ChildResult> run_to_success(const std::vector<std::string>& command, double seconds_max) {
  const ScratchFolder folder;
  RIDGELINE_TRY(ChildResult result, run_child(command, seconds_max, folder.path()));
  if (result.exit_code != 0)
    return fail(fmt::format("exit code {}: {}", result.exit_code, result.last_words()));
  return result;
}

/// llama.cpp's llama-batched-bench ended without its table one time in six.
constexpr int kTries = 3;

/// Runs the command until its report can be read; some builds print it to stderr.
Result<std::vector<ReportedRate>> reported_rates(const EngineCommand& command, double seconds_max) {
  for (int attempt = 1;; ++attempt) {
    RIDGELINE_TRY(const ChildResult result, run_to_success(command.arguments, seconds_max));
    auto rates = command.parse(result.out);
    if (rates) return rates;
    if (auto from_stderr = command.parse(result.err)) return from_stderr;
    if (attempt == kTries) return rates;
  }
}

Result<Sample> measure_rates(const ComparedEngine& engine, const ComparedSetting& setting,
                             const std::string& model, const CompareOptions& options) {
  RIDGELINE_TRY(const EngineCommand command,
                bench_command(engine, setting, model, options.threads));
  RIDGELINE_TRY(const std::vector<ReportedRate> reported,
                reported_rates(command, options.run_seconds_max));
  Sample sample;
  for (const ReportedRate& rate : reported)
    if (setting.wants(rate.work))
      sample[rate.work.kind == Workload::Kind::kPrefill ? kPrefill.name : kDecode.name] =
          rate.tokens_per_second;
  if (sample.empty()) return fail("its report has other tests than those that were asked for");
  return sample;
}

Result<Sample> measure_load(const ComparedEngine& engine, const std::string& model,
                            const CompareOptions& options) {
  RIDGELINE_TRY(const std::vector<std::string> command,
                load_command(engine, model, options.threads, *options.load_context));
  RIDGELINE_TRY(const ChildResult result, run_to_success(command, options.run_seconds_max));
  // The first token may be but a space.
  return Sample{{kFirstToken.name, result.first_output_seconds.value_or(result.seconds)},
                {kWholeRun.name, result.seconds},
                {kPeakMemory.name, static_cast<double>(result.peak_resident_bytes) * 1e-6}};
}

/// Brings the file into the page cache, so that the first engine does not pay for all.
void read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<char> buffer(std::size_t{1} << 20);
  while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()))) {
  }
}

/// All rounds of one setting: by engine's name, the samples in order.
class Rounds {
 public:
  Rounds(const CompareOptions& options, std::string model, ComparedSetting setting)
      : options_(options), model_(std::move(model)), setting_(setting) {}

  /// Errors: kInterrupted alone.
  Status run() {
    for (int round = -options_.warm_up_rounds; round < options_.rounds; ++round)
      for (const ComparedEngine& engine : options_.engines) {
        if (failed_.contains(engine.name)) continue;
        const auto sample = options_.load_context
                                ? measure_load(engine, model_, options_)
                                : measure_rates(engine, setting_, model_, options_);
        if (!sample && sample.error().message == kInterrupted) return fail(sample.error().message);
        if (!sample) {
          failed_.insert(engine.name);
          samples_.erase(engine.name);
          note(engine.name, sample.error().message);
          continue;
        }
        if (round >= 0) samples_[engine.name].push_back(*sample);
        progress(round, engine.name, *sample);
        std::this_thread::sleep_for(std::chrono::duration<double>(options_.pause_seconds));
      }
    return {};
  }

  std::vector<ComparedLine> lines() const {
    std::vector<ComparedLine> all;
    for (const Figure& figure : kFigures) {
      std::vector<ComparedLine> lines = lines_of(figure);
      all.insert(all.end(), lines.begin(), lines.end());
    }
    return all;
  }

 private:
  void note(const std::string& engine, const std::string& sentence) const {
    if (options_.on_note) options_.on_note(fmt::format("{}: {}", engine, sentence));
  }
  void progress(int round, const std::string& engine, const Sample& sample) const {
    if (!options_.on_progress) return;
    std::string text =
        fmt::format("{} {}:", round < 0 ? "warm-up" : fmt::format("round {}", round + 1), engine);
    for (const auto& [figure, value] : sample) text += fmt::format(" {} {:.4g}", figure, value);
    options_.on_progress(text);
  }

  /// By round; empty where the engine has not got them.
  std::vector<double> values(const std::string& engine, const Figure& figure) const {
    std::vector<double> list;
    const auto it = samples_.find(engine);
    if (it == samples_.end()) return list;
    for (const Sample& sample : it->second)
      if (const auto value = sample.find(figure.name); value != sample.end())
        list.push_back(value->second);
    return list.size() == it->second.size() ? list : std::vector<double>{};
  }

  static std::optional<double> advantage(const std::vector<double>& ours,
                                         const std::vector<double>& theirs, const Figure& figure) {
    if (ours.empty() || ours.size() != theirs.size()) return std::nullopt;
    std::vector<double> ratios;
    for (std::size_t i = 0; i < ours.size(); ++i)
      ratios.push_back(figure.more_is_better ? ours[i] / theirs[i] : theirs[i] / ours[i]);
    return median(ratios);
  }

  std::vector<ComparedLine> lines_of(const Figure& figure) const {
    std::vector<ComparedLine> lines;
    const std::string& first = options_.engines.front().name;
    const std::vector<double> ours = values(first, figure);
    std::vector<double> best;
    int rivals = 0;
    const auto line = [&](const std::string& engine, const std::vector<double>& samples) {
      lines.push_back({model_, figure.name, figure.unit, setting_, engine, samples, {}});
      return &lines.back();
    };
    for (const ComparedEngine& engine : options_.engines) {
      const std::vector<double> theirs = values(engine.name, figure);
      if (theirs.empty()) continue;
      ComparedLine* added = line(engine.name, theirs);
      if (engine.name == first) continue;
      added->advantage = advantage(ours, theirs, figure);
      ++rivals;
      if (best.empty()) best = theirs;
      for (std::size_t i = 0; i < best.size(); ++i)
        best[i] =
            figure.more_is_better ? std::max(best[i], theirs[i]) : std::min(best[i], theirs[i]);
    }
    if (rivals > 1) line("best of them", best)->advantage = advantage(ours, best, figure);
    return lines;
  }

  const CompareOptions& options_;
  std::string model_;
  ComparedSetting setting_;
  std::map<std::string, std::vector<Sample>> samples_;
  std::set<std::string> failed_;
};

}  // namespace

Result<std::vector<ComparedLine>> compare_engines(const CompareOptions& options) {
  std::vector<ComparedLine> all;
  std::vector<ComparedSetting> settings = options.settings;
  if (options.load_context) settings.assign(1, ComparedSetting{});
  for (const std::string& given : options.models) {
    const std::string model = std::filesystem::absolute(given).string();
    read_file(model);
    for (const ComparedSetting& setting : settings) {
      Rounds rounds(options, model, setting);
      RIDGELINE_TRY_STATUS(rounds.run());
      const std::vector<ComparedLine> lines = rounds.lines();
      if (!lines.empty() && options.on_lines) options.on_lines(lines);
      all.insert(all.end(), lines.begin(), lines.end());
    }
  }
  if (all.empty()) return fail("no engine could be measured");
  return all;
}

double busy_share(double seconds) {
  const auto ticks = [] {
    std::ifstream stat("/proc/stat");
    std::string cpu;
    stat >> cpu;
    std::array<double, 8> t{};  // user, nice, system, idle, iowait, irq, softirq, steal
    for (double& x : t) stat >> x;
    return std::pair(std::accumulate(t.begin(), t.end(), 0.0), t[3] + t[4]);
  };
  const auto [total_before, idle_before] = ticks();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  const auto [total_after, idle_after] = ticks();
  const double total = total_after - total_before;
  return total > 0 ? 1 - (idle_after - idle_before) / total : 0;
}

}  // namespace ridgeline
