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

struct EvalArguments {
  EngineArguments engine;
  std::string text, tokens;
  std::int64_t context = 512;
  bool json = false;
};

/// The windows first: they say how long a context the engine must hold.
Result<std::vector<EvalWindow>> read_windows(const EvalArguments& arguments,
                                             const std::string& model) {
  RIDGELINE_TRY(const ModelFile file, ModelFile::open(model));
  RIDGELINE_TRY(const ModelConfig config, file.config());
  if (!arguments.tokens.empty()) {
    RIDGELINE_TRY(const std::string lines, read_text(arguments.tokens));
    return token_windows(lines, arguments.tokens, config.vocab_size, arguments.context);
  }
  if (arguments.text.empty())
    return fail("nothing to score: expected --text FILE or --tokens FILE");
  RIDGELINE_TRY(const std::string text, read_text(arguments.text));
  RIDGELINE_TRY(const std::unique_ptr<Tokenizer> tokenizer, file.tokenizer());
  return text_windows(*tokenizer, text, arguments.context);
}

Status eval(EvalArguments arguments) {
  RIDGELINE_TRY(const std::string model, arguments.engine.model_path());
  RIDGELINE_TRY(const std::vector<EvalWindow> windows, read_windows(arguments, model));
  std::size_t longest = 0;
  for (const EvalWindow& w : windows) longest = std::max(longest, w.tokens.size());
  arguments.engine.context = static_cast<std::int64_t>(longest);
  RIDGELINE_TRY(const std::unique_ptr<Engine> engine, arguments.engine.load());

  EvalResult result;
  {
    ProgressBar bar("scoring");
    RIDGELINE_TRY(result, evaluate(*engine, windows, [&bar](double f) { bar.update(f); }));
  }
  if (arguments.json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"nll", result.nll},
                                              {"nll_stderr", result.nll_stderr},
                                              {"perplexity", result.perplexity},
                                              {"predicted_tokens", result.predicted_tokens},
                                              {"windows", result.windows},
                                              {"isa", engine->backend().isa()},
                                              {"activations", arguments.engine.activations},
                                              {"kv_type", arguments.engine.kv_type_k}}
                           .dump(2));
  } else {
    fmt::print(
        "nll {:.4f} ± {:.4f} nats per token, perplexity {:.4f}, over {} tokens in {} windows\n",
        result.nll, result.nll_stderr, result.perplexity, result.predicted_tokens, result.windows);
  }
  return {};
}

}  // namespace

void add_eval(CLI::App& program, Action& action) {
  auto arguments = std::make_shared<EvalArguments>();
  CLI::App* command = program.add_subcommand("eval", "perplexity of a model on a text");
  arguments->engine.add_to(*command, /*model_required=*/false, /*with_context=*/false);
  auto* text =
      command->add_option("--text", arguments->text, "a text, cut into windows of --context");
  auto* tokens =
      command->add_option("--tokens", arguments->tokens,
                          "token ids: one independent sequence a line, its length first");
  text->excludes(tokens);
  command
      ->add_option("-c,--context,--ctx-size", arguments->context,
                   "tokens of a window, or of a sequence at most")
      ->check(CLI::Range(std::int64_t{4}, std::int64_t{1} << 24))
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "one JSON object");
  command->callback([arguments, &action] { action = [arguments] { return eval(*arguments); }; });
}

}  // namespace ridgeline::cli
