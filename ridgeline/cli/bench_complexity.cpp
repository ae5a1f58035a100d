#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "ridgeline/cli/ablation_tables.h"
#include "ridgeline/cli/bench.h"
#include "ridgeline/cli/engine_arguments.h"
#include "ridgeline/tools/ablation/complexity.h"

namespace ridgeline::cli {
namespace {

struct BenchComplexityArguments {
  EngineArguments engine;
  ComplexityOptions options;
  std::string json;
};

std::string exponent_text(const std::optional<double>& exponent) {
  return exponent
             ? fmt::format("; from a quarter of the longest on it grows as n^{:.2f}", *exponent)
             : std::string();
}

std::string complexity_tables(const ComplexityReport& report) {
  std::string text = fmt::format("{}: {}, {}, {} threads\n\nA token behind n others:\n\n",
                                 report.model, report.cpu, report.isa, report.threads);
  std::vector<TextCells> decode{{"n", "with a KV cache, ms", "without, ms", "times"}};
  for (std::size_t i = 0; i < std::max(report.cached.size(), report.recomputed.size()); ++i) {
    const auto ms = [&](const std::vector<GrowthPoint>& points) {
      return i < points.size() ? figure_text(1e3 * points[i].seconds) : "–";
    };
    const bool both = i < std::min(report.cached.size(), report.recomputed.size());
    decode.push_back(
        {fmt::format("{:.0f}",
                     (i < report.cached.size() ? report.cached : report.recomputed)[i].length),
         ms(report.cached), ms(report.recomputed),
         both ? figure_text(report.recomputed[i].seconds / report.cached[i].seconds) : "–"});
  }
  text += markdown_table(decode);
  text +=
      fmt::format("\nWith a cache: {:.3g} + {:.3g} n s{}.\nWithout: {:.3g} n + {:.3g} n² s{}.\n",
                  report.cached_fit.constant, report.cached_fit.linear,
                  exponent_text(report.cached_exponent), report.recomputed_fit.linear,
                  report.recomputed_fit.quadratic, exponent_text(report.recomputed_exponent));

  text += "\nAttention of one head over a prompt, head_dim 64, one thread:\n\n";
  std::vector<TextCells> attention{
      {"positions", "score matrix, MB", "ms", "tiles, MB", "ms", "times as fast"}};
  const auto cell = [](const std::optional<double>& value, double scale) {
    return value ? figure_text(*value * scale) : "–";
  };
  for (const auto& a : report.attention)
    attention.push_back(
        {std::to_string(a.positions), cell(a.matrix_bytes, 1e-6), cell(a.matrix_seconds, 1e3),
         cell(a.tile_bytes, 1e-6), cell(a.tile_seconds, 1e3),
         a.matrix_seconds && a.tile_seconds ? figure_text(*a.matrix_seconds / *a.tile_seconds)
                                            : "–"});
  text += markdown_table(attention);

  text +=
      "\nBytes of KV cache for a token, by (K and V) x layers x KV heads x head_dim x bytes:\n\n";
  std::vector<TextCells> kv{{"type", "formula", "block / 16"}};
  for (const auto& k : report.kv)
    kv.push_back({std::string(name(k.dtype)), fmt::format("{:.0f}", k.formula),
                  fmt::format("{:.0f}", k.pool)});
  text += markdown_table(kv);
  text += fmt::format("\nThe pool of this run, {}: {} bytes for {} tokens.", name(report.kv_type),
                      report.kv_pool_bytes, report.kv_pool_tokens);
  if (report.held_tokens > 0)
    text += fmt::format(" A sequence of {} tokens holds {} bytes of it.", report.held_tokens,
                        report.held_bytes);
  text += " Scales of Q8_0 fill whole cache lines.\n";
  for (const std::string& note : report.notes) text += note + "\n";
  return text;
}

Status bench_complexity(const BenchComplexityArguments& arguments) {
  RIDGELINE_TRY(const std::string path, arguments.engine.model_path());
  ComplexityOptions options = arguments.options;
  RIDGELINE_TRY(options.engine, arguments.engine.options());
  options.progress = [](const std::string& what) { fmt::print(stderr, "{}\n", what); };
  RIDGELINE_TRY(const ComplexityReport report, measure_complexity(path, options));
  if (arguments.json != "-") fmt::print("{}", complexity_tables(report));
  if (!arguments.json.empty())
    RIDGELINE_TRY_STATUS(write_output(arguments.json, to_json(report).dump(2) + "\n"));
  return {};
}

}  // namespace

void add_bench_complexity(CLI::App& bench, Action& action) {
  auto a = std::make_shared<BenchComplexityArguments>();
  CLI::App* command = bench.add_subcommand(
      "complexity", "how time and memory grow with the context, with and without the KV cache");
  a->engine.add_to(*command, /*model_required=*/false, /*with_context=*/false);
  command->add_option("-c,--ctx-size", a->options.longest, "tokens of context at most")
      ->check(CLI::Range(std::int64_t{32}, std::int64_t{1} << 24))
      ->capture_default_str();
  command
      ->add_option("--longest-prompt", a->options.longest_attention,
                   "positions of one head's attention at most")
      ->check(CLI::Range(std::int64_t{512}, std::int64_t{1} << 20))
      ->capture_default_str();
  command
      ->add_option("--seconds", a->options.seconds_per_part,
                   "for decoding with a cache, without one, and attention, each")
      ->check(CLI::Range(0.05, 1e5))
      ->capture_default_str();
  command->add_option("--json", a->json, "file for everything as JSON; -: in place of the tables");
  command->callback([a, &action] { action = [a] { return bench_complexity(*a); }; });
}

}  // namespace ridgeline::cli
