#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "ridgeline/base/result.h"

namespace ridgeline::cli {

/// A command registers itself with the program and sets `action`, which runs after the
/// arguments were parsed. An error becomes one line on stderr and exit code 1.
using Action = std::function<Status()>;

void add_run(CLI::App& program, Action& action);
void add_chat(CLI::App& program, Action& action);
void add_serve(CLI::App& program, Action& action);
void add_inspect(CLI::App& program, Action& action);
void add_tokenize(CLI::App& program, Action& action);
void add_embed(CLI::App& program, Action& action);
void add_template(CLI::App& program, Action& action);
void add_eval(CLI::App& program, Action& action);
void add_quantize(CLI::App& program, Action& action);
void add_pull(CLI::App& program, Action& action);
void add_bench(CLI::App& program, Action& action);
void add_doctor(CLI::App& program, Action& action);

}  // namespace ridgeline::cli
