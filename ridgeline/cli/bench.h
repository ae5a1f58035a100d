#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "ridgeline/cli/commands.h"
#include "ridgeline/tools/roofline.h"

namespace ridgeline::cli {

void add_bench_kernels(CLI::App& bench, Action& action);
void add_bench_model(CLI::App& bench, Action& action);
void add_bench_compare(CLI::App& bench, Action& action);
void add_bench_roofline(CLI::App& bench, Action& action);
void add_bench_serve(CLI::App& bench, Action& action);
void add_bench_speculate(CLI::App& bench, Action& action);
void add_bench_ablation(CLI::App& bench, Action& action);
void add_bench_complexity(CLI::App& bench, Action& action);

/// "f32", "bf16", "int8".
std::string arithmetic_name(Arithmetic kind);
/// "read 47.1 GB/s, f32 226 GOP/s, int8 908 GOP/s"
std::string describe(const Ceilings& ceilings);
nlohmann::ordered_json to_json(const Ceilings& ceilings);

}  // namespace ridgeline::cli
