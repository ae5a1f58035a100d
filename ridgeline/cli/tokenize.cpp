#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ridgeline/cli/commands.h"
#include "ridgeline/cli/engine_arguments.h"
#include "ridgeline/cli/model_argument.h"
#include "ridgeline/model/model_file.h"

namespace ridgeline::cli {
namespace {

struct TokenizeArguments {
  std::string model;
  bool decode = false;
  bool special = false;
  bool bos = false, no_bos = false;
};

Result<std::vector<TokenId>> parse_ids(const std::string& text, const Tokenizer& tokenizer) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) return fail("standard input: expected a JSON array of token ids");
  std::vector<TokenId> ids;
  for (const auto& item : json) {
    if (!item.is_number_integer() || item < 0 || item >= tokenizer.vocab_size())
      return fail(
          fmt::format("standard input: {} is no token id of this vocabulary, expected 0 to {}",
                      item.dump(), tokenizer.vocab_size() - 1));
    ids.push_back(item.get<TokenId>());
  }
  return ids;
}

Status tokenize(const TokenizeArguments& arguments) {
  RIDGELINE_TRY(const std::string path, resolve_model(arguments.model));
  RIDGELINE_TRY(const ModelFile file, ModelFile::open(path));
  RIDGELINE_TRY(const std::unique_ptr<Tokenizer> tokenizer, file.tokenizer());
  RIDGELINE_TRY(const std::string input, read_text("-"));
  if (arguments.decode) {
    RIDGELINE_TRY(const std::vector<TokenId> ids, parse_ids(input, *tokenizer));
    const std::string text = tokenizer->decode(ids, arguments.special);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return {};
  }
  Tokenizer::EncodeOptions options;
  options.parse_special = arguments.special;
  if (arguments.bos) options.add_bos = true;
  if (arguments.no_bos) options.add_bos = false;
  fmt::print("{}\n", nlohmann::json(tokenizer->encode(input, options)).dump());
  return {};
}

}  // namespace

void add_tokenize(CLI::App& program, Action& action) {
  auto arguments = std::make_shared<TokenizeArguments>();
  CLI::App* command =
      program.add_subcommand("tokenize", "token ids of standard input as JSON, or back");
  command->add_option("-m,--model", arguments->model, kModelHelp)->required();
  command->add_flag("--decode", arguments->decode, "ids (a JSON array) on standard input to text");
  command->add_flag("--special,!--no-special", arguments->special,
                    "special tokens' texts become their ids; with --decode: are printed");
  auto* bos =
      command->add_flag("--bos", arguments->bos, "begin with BOS (default: as the file says)");
  command->add_flag("--no-bos", arguments->no_bos, "do not begin with BOS")->excludes(bos);
  command->callback(
      [arguments, &action] { action = [arguments] { return tokenize(*arguments); }; });
}

}  // namespace ridgeline::cli
