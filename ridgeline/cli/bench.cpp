#include "ridgeline/cli/bench.h"

#include <fmt/format.h>

namespace ridgeline::cli {

std::string arithmetic_name(Arithmetic kind) {
  switch (kind) {
    case Arithmetic::kF32:
      return "f32";
    case Arithmetic::kBF16:
      return "bf16";
    case Arithmetic::kInt8:
      break;
  }
  return "int8";
}

std::string describe(const Ceilings& ceilings) {
  std::string text = fmt::format("read {:.1f} GB/s", ceilings.read_bytes_per_second * 1e-9);
  for (const Arithmetic kind : {Arithmetic::kF32, Arithmetic::kBF16, Arithmetic::kInt8})
    if (ceilings.peak(kind) > 0)
      text += fmt::format(", {} {:.0f} GOP/s", arithmetic_name(kind), ceilings.peak(kind) * 1e-9);
  return text;
}

nlohmann::ordered_json to_json(const Ceilings& ceilings) {
  nlohmann::ordered_json j{{"read_bytes_per_second", ceilings.read_bytes_per_second}};
  for (const Arithmetic kind : {Arithmetic::kF32, Arithmetic::kBF16, Arithmetic::kInt8})
    if (ceilings.peak(kind) > 0) j[arithmetic_name(kind) + "_ops_per_second"] = ceilings.peak(kind);
  return j;
}

void add_bench(CLI::App& program, Action& action) {
  CLI::App* command = program.add_subcommand("bench", "measure, beside what the machine can do");
  command->require_subcommand(1);
  add_bench_kernels(*command, action);
  add_bench_model(*command, action);
  add_bench_compare(*command, action);
  add_bench_roofline(*command, action);
  add_bench_serve(*command, action);
  add_bench_speculate(*command, action);
  add_bench_ablation(*command, action);
  add_bench_complexity(*command, action);
}

}  // namespace ridgeline::cli
