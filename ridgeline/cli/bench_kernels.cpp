#include "ridgeline/tools/bench_kernels.h"

#include <fmt/format.h>

#include <array>
#include <memory>
#include <optional>

#include "ridgeline/cli/bench.h"
#include "ridgeline/cli/table.h"
#include "ridgeline/platform/cpu_features.h"
#include "ridgeline/platform/topology.h"

namespace ridgeline::cli {
namespace {

struct SectionName {
  KernelSection section;
  const char* name;
};
constexpr std::array kSections{SectionName{KernelSection::kCeilings, "ceilings"},
                               SectionName{KernelSection::kMatmul, "matmul"},
                               SectionName{KernelSection::kMemory, "memory"},
                               SectionName{KernelSection::kAttention, "attention"}};

const char* name_of(KernelSection section) {
  return std::ranges::find(kSections, section, &SectionName::section)->name;
}

struct BenchKernelsArguments {
  std::vector<std::string> isas, formats, sections;
  OutputArguments output;
  int threads = 0;
  bool no_pin = false, exact = false;
  double seconds_per_case = 0.02, seconds_max = 60;
  std::int64_t longest_prompt = 32768;
};

Result<KernelBenchOptions> options_of(const BenchKernelsArguments& a) {
  KernelBenchOptions options;
  for (const std::string& section : a.sections)
    options.sections.push_back(std::ranges::find(kSections, section, &SectionName::name)->section);
  for (const std::string& format : a.formats) {
    const auto dtype = dtype_from_name(format);
    if (!dtype) return fail(fmt::format("--format {}: there is no such type of weights", format));
    options.formats.push_back(*dtype);
  }
  for (const std::string& isa : a.isas)
    if (isa.empty() || find_kernels(isa) == nullptr)
      return fail(fmt::format("--isa {}: this CPU has no such instruction set", isa));
  options.isas = a.isas;
  options.exact = a.exact;
  options.threads = a.threads > 0 ? a.threads : topology().default_threads();
  options.pin = !a.no_pin;
  options.seconds_per_case = a.seconds_per_case;
  options.seconds_max = a.seconds_max;
  options.longest_prompt = a.longest_prompt;
  return options;
}

std::vector<Table::Column> columns() {
  return {{"section", ""},
          {"isa", "ISA", 0, 1, 10},
          {"format", "format"},
          {"what", "what", 0, 1, 30},
          {"rows", "rows"},
          {"threads", "threads"},
          {"seconds", "µs", 1, 1e6},
          {"bytes_per_second", "GB/s", 1, 1e-9},
          {"ops_per_second", "GOP/s", 1, 1e-9},
          {"share_of_ceiling", "ceiling, %", 1, 1e2},
          {"times_generic", "× generic", 1},
          {"times_other", "× other", 2},
          {"memory_bytes", "MB", 2, 1e-6}};
}

std::vector<Table::Cell> cells(const KernelLine& line) {
  const auto rate = [&line](double amount) {
    return amount > 0 ? Table::Cell(amount / line.seconds) : Table::Cell();
  };
  // A ceiling's time is that of no piece of work.
  const bool timed = line.section != KernelSection::kCeilings;
  return {std::string(name_of(line.section)),
          line.isa,
          line.format,
          line.what,
          line.rows > 0 ? Table::Cell(line.rows) : Table::Cell(),
          std::int64_t{line.threads},
          timed ? Table::Cell(line.seconds) : Table::Cell(),
          rate(line.bytes),
          rate(line.cost.total_ops()),
          Table::cell(line.share),
          Table::cell(line.over_generic),
          Table::cell(line.over_other),
          Table::cell(line.memory_bytes)};
}

Status bench_kernels(const BenchKernelsArguments& a) {
  RIDGELINE_TRY(KernelBenchOptions options, options_of(a));
  Table table(a.output.value(), columns());
  nlohmann::ordered_json notes = nlohmann::ordered_json::array();
  table.note(fmt::format(
      "{}, {} threads. × generic: times as fast as portable code; × other: times as fast as the "
      "aligned load, or as the score matrix",
      cpu_features().brand, options.threads));
  options.on_line = [&](const KernelLine& line) { table.row(cells(line)); };
  options.on_note = [&](const std::string& sentence) {
    notes.push_back(sentence);
    fmt::print(stderr, "{}\n", sentence);
  };
  RIDGELINE_TRY_STATUS(benchmark_kernels(options));
  table.finish({{"cpu", cpu_features().brand}, {"threads", options.threads}, {"left_out", notes}});
  return {};
}

}  // namespace

void add_bench_kernels(CLI::App& bench, Action& action) {
  auto a = std::make_shared<BenchKernelsArguments>();
  CLI::App* command =
      bench.add_subcommand("kernels", "every kernel of every instruction set beside its ceiling");
  std::vector<std::string> sections;
  for (const SectionName& s : kSections) sections.emplace_back(s.name);
  command->add_option("--only", a->sections, "ceilings, matmul, memory, attention")
      ->delimiter(',')
      ->check(CLI::IsMember(sections));
  command->add_option("--isa", a->isas, "instruction sets, e.g. avx2,avx512vnni (default: all)")
      ->delimiter(',');
  command->add_option("--format", a->formats, "types of weights, e.g. q4_0,q8_0 (default: all)")
      ->delimiter(',');
  command->add_flag("--exact", a->exact, "quantized weights with F32 activations too");
  command
      ->add_option("-t,--threads", a->threads,
                   "threads where weights come from memory (default: physical cores)")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--no-pin", a->no_pin, "do not bind threads to CPUs");
  command->add_option("--seconds-per-case", a->seconds_per_case, "time for each figure")
      ->check(CLI::Range(1e-4, 60.0))
      ->capture_default_str();
  command->add_option("--seconds-max", a->seconds_max, "begin nothing after so long")
      ->check(CLI::Range(0.1, 1e5))
      ->capture_default_str();
  command->add_option("--longest-prompt", a->longest_prompt, "of attention")
      ->check(CLI::Range(std::int64_t{512}, std::int64_t{1} << 20))
      ->capture_default_str();
  a->output.add_to(*command);
  command->callback([a, &action] { action = [a] { return bench_kernels(*a); }; });
}

}  // namespace ridgeline::cli
