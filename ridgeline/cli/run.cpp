#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "ridgeline/cli/commands.h"
#include "ridgeline/cli/engine_arguments.h"
#include "ridgeline/cli/sampling_arguments.h"
#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/platform/topology.h"
#include "ridgeline/tools/machine_probe.h"

namespace ridgeline::cli {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

constexpr double kProbeSeconds = 0.1;
/// Twice a usual last-level cache: the probe should not be what the process is known by.
constexpr std::size_t kProbeBytes = std::size_t{64} << 20;
/// What the demo model goes on from when nobody says anything else.
constexpr const char* kDemoPrompt = "Once upon a time";

struct RunArguments {
  EngineArguments engine;
  SamplingArguments sampling;
  std::string prompt, file;
  bool has_prompt = false;
  bool json = false;
  bool echo = true;
};

/// What one generation came to.
struct Outcome {
  std::vector<TokenId> prompt_ids, ids;
  std::string text;
  FinishReason finish_reason = FinishReason::kStop;
  double load_seconds = 0, first_token_seconds = 0, decode_seconds = 0;
  SpeculationCounts speculation;

  double prefill_rate() const {
    return static_cast<double>(prompt_ids.size()) / first_token_seconds;
  }
  double decode_rate() const {
    return ids.size() > 1 ? static_cast<double>(ids.size() - 1) / decode_seconds : 0.0;
  }
};

struct Measurements {
  MemoryUse memory;
  std::uint64_t peak_resident_bytes = 0;
  double bandwidth = 0;         ///< bytes/s of a plain read, taken after the generation
  double decode_bandwidth = 0;  ///< bytes/s at which decoding read weights and cache
};

Result<std::string> prompt_text(const RunArguments& arguments) {
  if (arguments.has_prompt) return arguments.prompt;
  if (!arguments.file.empty()) return read_text(arguments.file);
  std::string piped;
  if (isatty(STDIN_FILENO) == 0) {
    RIDGELINE_TRY(piped, read_text("-"));
  }
  if (!piped.empty()) return piped;
  if (arguments.engine.model.empty()) return std::string(kDemoPrompt);
  return fail("no prompt: expected -p TEXT, -f FILE, or text on standard input");
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Streams to stdout, the prompt first where `echo`, unless `quiet`.
Result<Outcome> generate(Engine& engine, const std::string& prompt, const SamplingParams& params,
                         bool echo, bool quiet) {
  const auto print = [quiet](const std::string& text) {
    if (quiet || text.empty()) return;
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  Outcome outcome;
  Tokenizer::EncodeOptions options;
  options.parse_special = true;
  outcome.prompt_ids = engine.tokenizer().encode(prompt, options);
  const auto start = Clock::now();
  auto first = start;
  RIDGELINE_TRY_STATUS(engine.submit(outcome.prompt_ids, params));
  if (echo) print(prompt);
  while (!engine.idle()) {
    for (const TokenEvent& event : engine.step()) {
      if (event.token) {
        if (outcome.ids.empty()) first = Clock::now();
        outcome.ids.push_back(*event.token);
      }
      outcome.text += event.text;
      print(event.text);
      if (event.finished) outcome.finish_reason = *event.finished;
      if (event.summary) outcome.speculation = event.summary->speculation;
      if (event.finished == FinishReason::kError) {
        print("\n");
        return fail(event.error);
      }
    }
  }
  const double total = seconds_since(start);
  outcome.first_token_seconds =
      outcome.ids.empty() ? total : std::chrono::duration<double>(first - start).count();
  outcome.decode_seconds = total - outcome.first_token_seconds;
  return outcome;
}

/// Bytes that a pass of decoding reads: all weights, and the KV cache of the tokens
/// before it.
double bytes_per_pass(const Engine& engine, const Outcome& outcome) {
  const MemoryUse memory = engine.memory_use();
  const double depth =
      static_cast<double>(outcome.prompt_ids.size()) + static_cast<double>(outcome.ids.size()) / 2;
  return static_cast<double>(memory.weight_bytes) +
         engine.kv_sizes().bytes_seen(static_cast<std::int64_t>(depth));
}

void print_summary(const Outcome& o, const Measurements& m) {
  std::string decode;
  if (o.ids.size() > 1)
    decode = fmt::format(
        " · decode {:.1f} tok/s ({} tokens), {:.1f} GB/s = {:.0f} % of the {:.1f} measured",
        o.decode_rate(), o.ids.size() - 1, m.decode_bandwidth * 1e-9,
        100 * m.decode_bandwidth / m.bandwidth, m.bandwidth * 1e-9);
  fmt::print(stderr, "\nTTFT {:.3f} s · prefill {:.1f} tok/s ({} tokens){}\n",
             o.first_token_seconds, o.prefill_rate(), o.prompt_ids.size(), decode);
  const SpeculationCounts& s = o.speculation;
  if (s.drafted > 0)
    fmt::print(stderr,
               "drafts: {} of {} tokens accepted · {:.2f} tokens a pass · about {:.2f}x as fast as "
               "one at a time\n",
               s.accepted, s.drafted, s.tokens_per_check(), s.speedup());
}

Json to_json(const Outcome& o, const Measurements& m, std::uint64_t seed) {
  return Json{{"prompt_ids", o.prompt_ids},
              {"ids", o.ids},
              {"text", o.text},
              {"finish_reason", name(o.finish_reason)},
              {"seed", seed},
              {"timings",
               {{"load_ms", o.load_seconds * 1e3},
                {"ttft_ms", o.first_token_seconds * 1e3},
                {"decode_ms", o.decode_seconds * 1e3},
                {"prefill_tokens_per_second", o.prefill_rate()},
                {"decode_tokens_per_second", o.decode_rate()},
                {"decode_bytes_per_second", m.decode_bandwidth},
                {"measured_bandwidth_bytes_per_second", m.bandwidth}}},
              {"speculation",
               {{"passes", o.speculation.checks},
                {"tokens", o.speculation.tokens},
                {"drafted_tokens", o.speculation.drafted},
                {"accepted_tokens", o.speculation.accepted},
                {"estimated_speedup", o.speculation.speedup()}}},
              {"memory",
               {{"weight_bytes", m.memory.weight_bytes},
                {"kv_bytes", m.memory.kv_bytes},
                {"workspace_bytes", m.memory.workspace_bytes},
                {"peak_resident_bytes", m.peak_resident_bytes}}}};
}

Status run(RunArguments arguments) {
  RIDGELINE_TRY_STATUS(arguments.sampling.check());
  RIDGELINE_TRY(const std::string prompt, prompt_text(arguments));
  if (prompt.empty()) return fail("the prompt is empty: expected some text");
  const auto start = Clock::now();
  RIDGELINE_TRY(std::unique_ptr<Engine> engine, arguments.engine.load());
  const double load_seconds = seconds_since(start);
  arguments.sampling.adopt(engine->generation_defaults());
  RIDGELINE_TRY(const SamplingParams params, arguments.sampling.sampling_params());

  RIDGELINE_TRY(Outcome outcome,
                generate(*engine, prompt, params, arguments.echo, /*quiet=*/arguments.json));
  outcome.load_seconds = load_seconds;

  // What is left to say does not need the model, whose memory the probe should not add to.
  Measurements m;
  m.memory = engine->memory_use();
  m.peak_resident_bytes = peak_resident_bytes();
  if (outcome.ids.size() > 1) {
    m.decode_bandwidth = outcome.decode_rate() / outcome.speculation.tokens_per_check() *
                         bytes_per_pass(*engine, outcome);
    const int threads = engine->backend().threads();
    engine.reset();
    ThreadPool pool(threads, !arguments.engine.no_pin);
    m.bandwidth = measure_read_bandwidth(pool, kProbeSeconds, kProbeBytes);
  }
  if (arguments.json) {
    fmt::print(
        "{}\n",
        to_json(outcome, m, params.seed).dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    fmt::print("\n");
    std::fflush(stdout);
    print_summary(outcome, m);
  }
  return {};
}

}  // namespace

void add_run(CLI::App& program, Action& action) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App* command = program.add_subcommand("run", "generate text from a prompt");
  arguments->engine.add_to(*command, /*model_required=*/false);
  arguments->engine.speculation.drafters = {"lookup"};
  arguments->engine.speculation.add_to(*command);
  arguments->sampling.add_to(*command);
  auto* prompt = command->add_option("-p,--prompt", arguments->prompt, "the prompt");
  auto* file = command->add_option("-f,--file", arguments->file, "a file that holds the prompt");
  prompt->excludes(file);
  command->add_flag("--json", arguments->json, "one JSON object in place of the streamed text");
  command->add_flag("!--no-display-prompt", arguments->echo,
                    "do not print the prompt before the text");
  command->callback([arguments, prompt, &action] {
    arguments->has_prompt = prompt->count() > 0;
    action = [arguments] { return run(*arguments); };
  });
}

}  // namespace ridgeline::cli
