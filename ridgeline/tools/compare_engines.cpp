#include "ridgeline/tools/compare_engines.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>

#include "ridgeline/tools/child_process.h"

namespace ridgeline {
namespace {

constexpr double kHelpSecondsMax = 30;

struct KnownProgram {
  std::string_view name;
  EngineProgram program;
};
constexpr std::array kPrograms{
    KnownProgram{"ridgeline", EngineProgram::kRidgeline},
    KnownProgram{"llama-bench", EngineProgram::kLlamaBench},
    KnownProgram{"llama-batched-bench", EngineProgram::kBatchedBench},
    KnownProgram{"llama-sweep-bench", EngineProgram::kSweepBench},
    KnownProgram{"llama-completion", EngineProgram::kCompletion},
    KnownProgram{"llama-cli", EngineProgram::kCompletion},
};

std::string file_name(const std::string& word) {
  return std::filesystem::path(word).filename().string();
}

/// Which word of a command is a program that is known here; others may stand before it
/// (env, taskset, nice).
std::optional<EngineProgram> known_program(const std::string& word) {
  const auto it = std::ranges::find(kPrograms, file_name(word), &KnownProgram::name);
  return it == kPrograms.end() ? std::nullopt : std::optional(it->program);
}

/// The other benchmarks of a llama-bench that is all of its command.
void add_neighbours(ComparedEngine& engine) {
  const auto bench = engine.commands.find(EngineProgram::kLlamaBench);
  if (bench == engine.commands.end() || bench->second.size() != 1) return;
  const std::string path = bench->second.front();
  const std::string folder = path.substr(0, path.size() - file_name(path).size());
  for (const KnownProgram& known : kPrograms) {
    if (known.program != EngineProgram::kBatchedBench &&
        known.program != EngineProgram::kSweepBench)
      continue;
    const std::string neighbour = folder + std::string(known.name);
    if (!engine.has(known.program) && can_run(neighbour))
      engine.commands[known.program] = {neighbour};
  }
}

/// Options differ from build to build, and only asking tells.
Status ask_for_help(ComparedEngine& engine) {
  const ScratchFolder folder;
  for (const auto& [program, command] : engine.commands) {
    if (program != EngineProgram::kLlamaBench && program != EngineProgram::kSweepBench) continue;
    std::vector<std::string> arguments = command;
    arguments.push_back("--help");
    RIDGELINE_TRY(const ChildResult result, run_child(arguments, kHelpSecondsMax, folder.path()));
    engine.help[program] = result.out + result.err;
  }
  return {};
}

std::vector<std::string> with(std::vector<std::string> command,
                              const std::vector<std::string>& more) {
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

template <class T>
std::string text(T number) {
  return std::to_string(number);
}

std::int64_t round_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

/// llama-sweep-bench steps by its micro-batch up to the end of the context.
EngineCommand sweep_command(const ComparedEngine& engine, const ComparedSetting& s,
                            const std::string& model, int threads) {
  const auto generated = std::max<std::int64_t>(s.generated, 1);
  auto arguments =
      with(engine.commands.at(EngineProgram::kSweepBench),
           {"-m", model, "-c", text(s.depth + round_up(std::max(s.prompt, generated), s.prompt)),
            "-ub", text(s.prompt), "-n", text(generated), "-t", text(threads)});
  if (s.depth > 0 && engine.understands(EngineProgram::kSweepBench, "--sweep-stride"))
    arguments = with(arguments, {"--sweep-stride", text(s.depth / s.prompt)});
  return {arguments, parse_sweep_bench};
}

}  // namespace

bool ComparedEngine::understands(EngineProgram program, std::string_view option) const {
  const auto it = help.find(program);
  return it != help.end() && it->second.find(option) != std::string::npos;
}

bool ComparedSetting::wants(const Workload& work) const {
  const std::int64_t tokens = work.kind == Workload::Kind::kPrefill ? prompt : generated;
  return tokens > 0 && work.tokens == tokens && work.depth == depth && work.streams == streams;
}

Result<std::vector<ComparedEngine>> parse_engines(const std::vector<std::string>& texts) {
  std::vector<ComparedEngine> engines;
  for (const std::string& entry : texts) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(fmt::format("'{}': expected NAME=COMMAND", entry));
    const std::string engine_name = entry.substr(0, equals);
    RIDGELINE_TRY(std::vector<std::string> words, split_words(entry.substr(equals + 1)));
    const auto word =
        std::ranges::find_if(words, [](const auto& w) { return known_program(w).has_value(); });
    if (word == words.end())
      return fail(
          fmt::format("'{}': expected a command with ridgeline, llama-bench, llama-batched-bench, "
                      "llama-sweep-bench, llama-completion or llama-cli",
                      entry));
    for (std::string* program : {&words.front(), &*word}) {
      if (!can_run(*program))
        return fail(fmt::format("'{}': there is no program {}", entry, *program));
      if (program->find('/') != std::string::npos)
        *program = std::filesystem::absolute(*program).string();
    }
    auto engine = std::ranges::find(engines, engine_name, &ComparedEngine::name);
    if (engine == engines.end()) {
      engines.push_back({engine_name, {}, {}});
      engine = engines.end() - 1;
    }
    if (!engine->commands.emplace(*known_program(*word), words).second)
      return fail(fmt::format("'{}': {} has a {} already", entry, engine_name, file_name(*word)));
  }
  for (ComparedEngine& engine : engines) {
    add_neighbours(engine);
    RIDGELINE_TRY_STATUS(ask_for_help(engine));
  }
  return engines;
}

Result<EngineCommand> bench_command(const ComparedEngine& engine, const ComparedSetting& s,
                                    const std::string& model, int threads) {
  using enum EngineProgram;
  const std::vector<std::string> common{"-m", model, "-t", text(threads)};
  if (engine.has(kRidgeline))
    return EngineCommand{
        with(with(engine.commands.at(kRidgeline), {"bench", "model"}),
             with(common, {"-p", text(s.prompt), "-n", text(s.generated), "-d", text(s.depth), "-b",
                           text(s.streams), "-r", "1", "--no-ceilings", "--output", "json"})),
        parse_bench_model};
  if (s.streams > 1) {
    if (!engine.has(kBatchedBench))
      return fail(
          fmt::format("{} has no llama-batched-bench for {} streams", engine.name, s.streams));
    // Contexts are divided among the streams, and each part is a multiple of 256.
    return EngineCommand{
        with(engine.commands.at(kBatchedBench),
             with(common, {"-c", text(s.streams * round_up(s.depth + s.generated, 256)), "-npp",
                           text(s.depth), "-ntg", text(s.generated), "-npl", text(s.streams)})),
        parse_batched_bench};
  }
  if (!engine.has(kLlamaBench)) return fail(fmt::format("{} has no llama-bench", engine.name));
  std::vector<std::string> bench =
      with(engine.commands.at(kLlamaBench), with(common, {"-r", "1", "-o", "json"}));
  if (s.depth == 0)
    return EngineCommand{with(bench, {"-p", text(s.prompt), "-n", text(s.generated)}),
                         parse_llama_bench};
  if (engine.understands(kLlamaBench, "--n-depth"))
    return EngineCommand{
        with(bench, {"-p", text(s.prompt), "-n", text(s.generated), "-d", text(s.depth)}),
        parse_llama_bench};
  if (s.prompt > 0 && s.depth % s.prompt == 0 && engine.has(kSweepBench))
    return sweep_command(engine, s, model, threads);
  if (s.generated > 0 && engine.understands(kLlamaBench, "-gp"))
    return EngineCommand{
        with(bench, {"-p", "0", "-n", "0", "-gp", fmt::format("{},{}", s.depth, s.generated)}),
        parse_llama_bench};
  return fail(fmt::format(
      "{} has neither a llama-bench with -d nor a llama-sweep-bench that steps to depth {} by {}",
      engine.name, s.depth, s.prompt));
}

Result<std::vector<std::string>> load_command(const ComparedEngine& engine,
                                              const std::string& model, int threads,
                                              std::int64_t context) {
  using enum EngineProgram;
  const std::vector<std::string> common{
      "-m",
      model,
      "-t",
      text(threads),
      "-c",
      text(context),
      "-p",
      "The old ferryman counted his coins twice and looked at the river.",
      "-n",
      "1",
      "--temp",
      "0",
      "--no-display-prompt"};
  if (engine.has(kRidgeline)) return with(with(engine.commands.at(kRidgeline), {"run"}), common);
  if (engine.has(kCompletion)) return with(engine.commands.at(kCompletion), common);
  return fail(fmt::format("{} has no llama-completion or llama-cli", engine.name));
}

}  // namespace ridgeline
