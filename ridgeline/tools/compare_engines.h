#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/rival_output.h"

// Who takes part in a comparison, and how each is asked for a figure.

namespace ridgeline {

/// The programs whose arguments and output are known, by the name of their file.
enum class EngineProgram {
  kRidgeline,
  kLlamaBench,
  kBatchedBench,
  kSweepBench,
  kCompletion,  ///< llama-completion, llama-cli: text from a prompt
};

/// One engine: command prefixes, to which arguments are appended.
struct ComparedEngine {
  std::string name;
  /// Paths are absolute: engines run in a folder of their own (bench_compare.h).
  std::map<EngineProgram, std::vector<std::string>> commands;
  std::map<EngineProgram, std::string> help;  ///< what each prints for --help

  bool has(EngineProgram program) const { return commands.contains(program); }
  bool understands(EngineProgram program, std::string_view option) const;
};

/// Engines from "NAME=COMMAND PREFIX" texts; a name that comes again adds a program to the
/// engine. Where llama-bench stands alone in its command, llama-batched-bench and
/// llama-sweep-bench are looked for in its folder. Errors: a text of another form, a
/// program that is not there.
Result<std::vector<ComparedEngine>> parse_engines(const std::vector<std::string>& texts);

/// What is asked of every engine in one run of one program.
struct ComparedSetting {
  std::int64_t prompt = 0;     ///< tokens prefilled; 0: no prefill
  std::int64_t generated = 0;  ///< tokens decoded per stream; 0: no decode
  std::int64_t depth = 0;
  int streams = 1;  ///< several: decode alone

  bool wants(const Workload& work) const;
};

/// A command and who understands its output.
struct EngineCommand {
  std::vector<std::string> arguments;
  Result<std::vector<ReportedRate>> (*parse)(std::string_view output) = nullptr;
};

/// Errors: the engine has no program that can do it.
Result<EngineCommand> bench_command(const ComparedEngine& engine, const ComparedSetting& setting,
                                    const std::string& model, int threads);
/// One token from a prompt, in a context of `context`.
Result<std::vector<std::string>> load_command(const ComparedEngine& engine,
                                              const std::string& model, int threads,
                                              std::int64_t context);

}  // namespace ridgeline
