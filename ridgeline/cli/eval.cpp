#include "ridgeline/tools/eval.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "ridgeline/cli/commands.h"
#include "ridgeline/cli/engine_arguments.h"
#include "ridgeline/cli/progress.h"
#include "ridgeline/model/model_file.h"

namespace ridgeline::cli {
namespace {

/// The base is the yardstick, so that unless asked otherwise nothing in it is rounded but its
/// weights.
struct EvalArguments {
  EngineArguments engine;
  std::string base, base_kv_type_k = "f32", base_kv_type_v, base_activations = "f32";
  std::string text, tokens;
  std::int64_t context = 512;
  bool json = false;

  /// Those of the base: threads and the like are the model's.
  EngineArguments base_engine() const {
    EngineArguments b = engine;
    b.model = base;
    b.quantize.clear();
    b.kv_type_k = base_kv_type_k;
    b.kv_type_v = base_kv_type_v.empty() ? base_kv_type_k : base_kv_type_v;
    b.activations = base_activations;
    return b;
  }
};

Result<ModelFile> open_model(const EngineArguments& arguments) {
  RIDGELINE_TRY(const std::string path, arguments.model_path());
  RIDGELINE_TRY(const EngineOptions options, arguments.options());
  return ModelFile::open(path, {.quantize = options.quantize, .rope = options.rope});
}

Result<std::vector<EvalWindow>> windows_of(const ModelFile& file, const std::string& text,
                                           std::int64_t context) {
  RIDGELINE_TRY(const std::unique_ptr<Tokenizer> tokenizer, file.tokenizer());
  return text_windows(*tokenizer, text, context);
}

/// Before anything is loaded: the windows say how long a context the engines must hold, and
/// what cannot be compared is said at once.
Result<std::vector<EvalWindow>> read_windows(const EvalArguments& arguments) {
  RIDGELINE_TRY(const ModelFile file, open_model(arguments.engine));
  RIDGELINE_TRY(const ModelConfig config, file.config());
  std::vector<EvalWindow> windows;
  std::string text;
  if (!arguments.tokens.empty()) {
    RIDGELINE_TRY(const std::string lines, read_text(arguments.tokens));
    RIDGELINE_TRY(windows,
                  token_windows(lines, arguments.tokens, config.vocab_size, arguments.context));
  } else if (!arguments.text.empty()) {
    RIDGELINE_TRY(text, read_text(arguments.text));
    RIDGELINE_TRY(windows, windows_of(file, text, arguments.context));
  } else {
    return fail("nothing to score: expected --text FILE or --tokens FILE");
  }
  if (arguments.base.empty()) return windows;

  const auto base_file = open_model(arguments.base_engine());
  if (!base_file) return fail("the base: " + base_file.error().message);
  const ModelFile& base = *base_file;
  RIDGELINE_TRY_STATUS(check_both_fit(base, file));
  if (arguments.tokens.empty()) {
    RIDGELINE_TRY(const auto base_windows, windows_of(base, text, arguments.context));
    RIDGELINE_TRY_STATUS(check_same_windows(base_windows, windows));
  }
  return windows;
}

nlohmann::ordered_json describe(Engine& engine, const EngineArguments& arguments) {
  return {{"isa", engine.backend().isa()},
          {"activations", arguments.activations},
          {"kv_type", arguments.kv_type_k}};
}

void print_json(const EvalResult& result, nlohmann::ordered_json about,
                const nlohmann::ordered_json& comparison) {
  nlohmann::ordered_json json = to_json(result);
  json["predicted_tokens"] = result.predicted_tokens;
  json["windows"] = result.windows;
  json.update(about);
  json.update(comparison);
  fmt::print("{}\n", json.dump(2));
}

void print(const char* label, const EvalResult& result) {
  fmt::print(
      "{}nll {:.4f} ± {:.4f} nats per token, perplexity {:.4f}, over {} tokens in {} windows\n",
      label, result.nll, result.nll_stderr, result.perplexity, result.predicted_tokens,
      result.windows);
}

void print(const DivergenceResult& d) {
  fmt::print(
      "KL(base || model): mean {:.4g} ± {:.1g}, median {:.4g}, 99 % {:.4g}, max {:.4g} nats\n",
      d.kl_mean, d.kl_stderr, d.kl_median, d.kl_p99, d.kl_max);
  fmt::print("same top token {:.2f} ± {:.2f} %, ln(perplexity / base's) {:+.6f} ± {:.6f}\n",
             100 * d.top1, 100 * d.top1_stderr, d.log_perplexity_ratio,
             d.log_perplexity_ratio_stderr);
  fmt::print(
      "probability of the token that came: mean change {:+.3f} %, root mean square "
      "{:.3f} %\n",
      100 * d.delta_p_mean, 100 * d.delta_p_rms);
}

Status eval_against_base(const EvalArguments& arguments, EngineArguments base_arguments,
                         const std::vector<EvalWindow>& windows) {
  base_arguments.context = arguments.engine.context;
  RIDGELINE_TRY(const std::unique_ptr<Engine> base, base_arguments.load());
  RIDGELINE_TRY(const std::unique_ptr<Engine> engine, arguments.engine.load());
  ComparedEval result;
  {
    ProgressBar bar("comparing");
    RIDGELINE_TRY(result,
                  evaluate_against(*base, *engine, windows, [&bar](double f) { bar.update(f); }));
  }
  if (arguments.json) {
    nlohmann::ordered_json comparison = {{"base", {{"model", base_arguments.model}}}};
    comparison["base"].update(to_json(result.base));
    comparison["base"].update(describe(*base, base_arguments));
    comparison.update(to_json(result.divergence));
    print_json(result.model, describe(*engine, arguments.engine), comparison);
  } else {
    print("model: ", result.model);
    print("base:  ", result.base);
    print(result.divergence);
  }
  return {};
}

Status eval(EvalArguments arguments) {
  RIDGELINE_TRY(const std::vector<EvalWindow> windows, read_windows(arguments));
  std::size_t longest = 0;
  for (const EvalWindow& w : windows) longest = std::max(longest, w.tokens.size());
  arguments.engine.context = static_cast<std::int64_t>(longest);
  if (!arguments.base.empty())
    return eval_against_base(arguments, arguments.base_engine(), windows);

  RIDGELINE_TRY(const std::unique_ptr<Engine> engine, arguments.engine.load());
  EvalResult result;
  {
    ProgressBar bar("scoring");
    RIDGELINE_TRY(result, evaluate(*engine, windows, [&bar](double f) { bar.update(f); }));
  }
  if (arguments.json)
    print_json(result, describe(*engine, arguments.engine), nlohmann::ordered_json::object());
  else
    print("", result);
  return {};
}

}  // namespace

void add_eval(CLI::App& program, Action& action) {
  auto arguments = std::make_shared<EvalArguments>();
  CLI::App* command = program.add_subcommand(
      "eval", "perplexity of a model on a text, and its divergence from another");
  arguments->engine.add_to(*command, /*model_required=*/false, /*with_context=*/false);
  auto* text =
      command->add_option("--text", arguments->text, "a text, cut into windows of --context");
  auto* tokens =
      command->add_option("--tokens", arguments->tokens,
                          "token ids: one independent sequence a line, its length first");
  text->excludes(tokens);
  auto* base = command->add_option(
      "--base", arguments->base,
      "the original: KL divergence, top-1 agreement and perplexity against it; may be the same "
      "file, for what --cache-type-k, --activations or --quantize cost");
  command
      ->add_option("--base-ctk,--base-cache-type-k", arguments->base_kv_type_k,
                   "KV cache type of the base")
      ->needs(base)
      ->capture_default_str();
  command
      ->add_option("--base-ctv,--base-cache-type-v", arguments->base_kv_type_v,
                   "that of its V: the same as K's")
      ->needs(base);
  command->add_option("--base-activations", arguments->base_activations, "those of the base")
      ->check(CLI::IsMember({"fast", "f32"}))
      ->needs(base)
      ->capture_default_str();
  command
      ->add_option("-c,--context,--ctx-size", arguments->context,
                   "tokens of a window, or of a sequence at most")
      ->check(CLI::Range(std::int64_t{4}, std::int64_t{1} << 24))
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "one JSON object");
  command->callback([arguments, &action] { action = [arguments] { return eval(*arguments); }; });
}

}  // namespace ridgeline::cli
