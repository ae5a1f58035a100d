#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <vector>

#include "ridgeline/cli/commands.h"

#ifndef RIDGELINE_VERSION
#error "RIDGELINE_VERSION comes from CMake"
#endif

namespace {

/// llama.cpp writes some long names with one dash; CLI11 takes those for -c with a
/// value, so they are turned into their long forms first.
std::vector<std::string> normalized_arguments(int argc, char** argv) {
  std::vector<std::string> arguments;
  for (int i = argc - 1; i > 0; --i) {  // CLI11 wants them last first
    std::string a = argv[i];
    if (a == "-ctk") a = "--cache-type-k";
    if (a == "-md") a = "--draft-model";
    if (a == "-ctv") a = "--cache-type-v";
    arguments.push_back(std::move(a));
  }
  return arguments;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App program("Ridgeline: LLM inference next to the machine's roofline", "ridgeline");
  program.set_version_flag("--version", "ridgeline " RIDGELINE_VERSION);
  program.require_subcommand(1);
  program.failure_message(CLI::FailureMessage::simple);

  ridgeline::cli::Action action;
  ridgeline::cli::add_run(program, action);
  ridgeline::cli::add_chat(program, action);
  ridgeline::cli::add_serve(program, action);
  ridgeline::cli::add_inspect(program, action);
  ridgeline::cli::add_tokenize(program, action);
  ridgeline::cli::add_embed(program, action);
  ridgeline::cli::add_template(program, action);
  ridgeline::cli::add_eval(program, action);
  ridgeline::cli::add_quantize(program, action);
  ridgeline::cli::add_pull(program, action);
  ridgeline::cli::add_bench(program, action);
  ridgeline::cli::add_doctor(program, action);

  try {
    program.parse(normalized_arguments(argc, argv));
    if (const ridgeline::Status status = action(); !status) {
      fmt::print(stderr, "ridgeline: {}\n", status.error().message);
      return 1;
    }
  } catch (const CLI::ParseError& e) {
    return program.exit(e) == 0 ? 0 : 1;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "ridgeline: out of memory\n");
    return 1;
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}
