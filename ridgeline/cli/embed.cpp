#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ridgeline/cli/commands.h"
#include "ridgeline/cli/engine_arguments.h"

namespace ridgeline::cli {
namespace {

using Json = nlohmann::ordered_json;

struct EmbedArguments {
  EngineArguments engine;
  std::string prompt, file, pooling;
  bool has_prompt = false;
  bool no_normalize = false;
  bool json = false;
};

/// One text, or one for each line of a file.
Result<std::vector<std::string>> texts_of(const EmbedArguments& arguments) {
  if (arguments.has_prompt) return std::vector<std::string>{arguments.prompt};
  RIDGELINE_TRY(const std::string all, read_text(arguments.file.empty() ? "-" : arguments.file));
  std::vector<std::string> texts;
  for (std::size_t begin = 0; begin < all.size();) {
    std::size_t end = std::min(all.find('\n', begin), all.size());
    texts.push_back(all.substr(begin, end - begin));
    if (texts.back().ends_with('\r')) texts.back().pop_back();
    begin = end + 1;
  }
  if (texts.empty()) return fail("no text: expected -p TEXT, -f FILE, or lines on standard input");
  return texts;
}

Status embed(EmbedArguments arguments) {
  RIDGELINE_TRY(const std::vector<std::string> texts, texts_of(arguments));
  arguments.engine.embeds = true;
  RIDGELINE_TRY(const std::unique_ptr<Engine> engine, arguments.engine.load());
  EmbedOptions options;
  options.pooling = pooling_from_name(arguments.pooling);
  options.normalize = !arguments.no_normalize;

  std::vector<std::vector<TokenId>> ids;
  ids.reserve(texts.size());
  for (const std::string& text : texts) {
    ids.push_back(engine->tokenizer().encode(text));
    if (ids.back().empty() || static_cast<std::int64_t>(ids.back().size()) > engine->context())
      return fail(fmt::format("text {} has {} tokens, expected 1 to {} (the context, --ctx-size)",
                              ids.size(), ids.back().size(), engine->context()));
  }
  RIDGELINE_TRY(const auto vectors, engine->embed(ids, options));

  if (!arguments.json) {
    for (const std::vector<float>& vector : vectors) fmt::print("{}\n", fmt::join(vector, " "));
    return {};
  }
  Json json{{"architecture", engine->config().architecture},
            {"dimensions", engine->config().hidden_size},
            {"pooling", name(engine->pooling(options))},
            {"normalized", options.normalize}};
  for (std::size_t i = 0; i < vectors.size(); ++i)
    json["embeddings"].push_back(
        {{"index", i}, {"tokens", ids[i].size()}, {"embedding", vectors[i]}});
  fmt::print("{}\n", json.dump());
  return {};
}

}  // namespace

void add_embed(CLI::App& program, Action& action) {
  auto arguments = std::make_shared<EmbedArguments>();
  CLI::App* command = program.add_subcommand(
      "embed", "a vector for a text, from an encoder or from any other model");
  arguments->engine.add_to(*command, /*model_required=*/true);
  auto* prompt = command->add_option("-p,--prompt", arguments->prompt, "the text");
  command->add_option("-f,--file", arguments->file, "a text in each line; -: standard input")
      ->excludes(prompt);
  command
      ->add_option("--pooling", arguments->pooling,
                   "mean of the tokens' hidden states, or that of the first (cls) or the last; "
                   "default: as the model's file says, else mean")
      ->check(CLI::IsMember({"mean", "cls", "last"}));
  command->add_flag("--no-normalize", arguments->no_normalize,
                    "do not scale vectors to a length of 1");
  command->add_flag("--json", arguments->json, "one JSON object");
  command->callback([arguments, prompt, &action] {
    arguments->has_prompt = prompt->count() > 0;
    action = [arguments] { return embed(*arguments); };
  });
}

}  // namespace ridgeline::cli
