#include <fmt/format.h>

#include "ridgeline/cli/commands.h"
#include "ridgeline/cli/engine_arguments.h"
#include "ridgeline/cli/model_argument.h"
#include "ridgeline/model/load_chat_template.h"
#include "ridgeline/model/model_file.h"
#include "ridgeline/text/chat_template.h"

namespace ridgeline::cli {
namespace {

struct TemplateArguments {
  std::string model, template_file;
  std::string input = "-", tools;
  std::string bos, eos;
  bool no_generation_prompt = false;
  std::vector<std::string> settings;  ///< NAME=JSON
};

Result<ChatTemplate> load(const TemplateArguments& arguments, bool with_tools) {
  if (arguments.model.empty()) {
    if (arguments.template_file.empty())
      return fail("expected a model (-m) or a template (--template-file)");
    return load_chat_template(arguments.template_file, arguments.bos, arguments.eos);
  }
  RIDGELINE_TRY(const std::string path, resolve_model(arguments.model));
  RIDGELINE_TRY(const ModelFile file, ModelFile::open(path));
  RIDGELINE_TRY(const std::unique_ptr<Tokenizer> tokenizer, file.tokenizer());
  std::string bos = arguments.bos.empty() ? bos_token_text(*tokenizer) : arguments.bos;
  std::string eos = arguments.eos.empty() ? eos_token_text(*tokenizer) : arguments.eos;
  if (arguments.template_file.empty())
    return load_chat_template(file, with_tools, std::move(bos), std::move(eos));
  return load_chat_template(arguments.template_file, std::move(bos), std::move(eos));
}

Status print_prompt(const TemplateArguments& arguments) {
  RIDGELINE_TRY(const std::string json, read_text(arguments.input));
  RIDGELINE_TRY(ChatInput input, parse_chat_input(json));
  if (!arguments.tools.empty()) {
    RIDGELINE_TRY(input.tools, read_text(arguments.tools));
  }
  if (arguments.no_generation_prompt) input.add_generation_prompt = false;
  for (const std::string& setting : arguments.settings) {
    const std::size_t equals = setting.find('=');
    if (equals == 0 || equals == setting.npos)
      return fail(fmt::format("--set {}: expected NAME=JSON", setting));
    input.variables.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
  }
  RIDGELINE_TRY(const ChatTemplate chat, load(arguments, input.tools.has_value()));
  RIDGELINE_TRY(const std::string prompt, chat.render(input));
  std::fwrite(prompt.data(), 1, prompt.size(), stdout);
  return {};
}

}  // namespace

void add_template(CLI::App& program, Action& action) {
  auto arguments = std::make_shared<TemplateArguments>();
  CLI::App* command = program.add_subcommand("template", "the prompt that a conversation becomes");
  command->add_option("-m,--model", arguments->model,
                      fmt::format("{}, whose chat template is used", kModelHelp));
  command->add_option(
      "--template-file,--chat-template", arguments->template_file,
      "a Jinja file, or a built-in template: " + [] {
        std::string names;
        for (const auto name : builtin_chat_template_names())
          names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
        return names;
      }());
  command->add_option("conversation", arguments->input,
                      "JSON file: messages, or an object with messages, tools, "
                      "add_generation_prompt and variables (default: standard input)");
  command->add_option("--tools", arguments->tools, "JSON file with the tools to offer");
  command->add_flag("--no-generation-prompt", arguments->no_generation_prompt,
                    "do not begin the assistant's answer");
  command
      ->add_option("--set", arguments->settings,
                   "NAME=JSON: a variable of the template, as enable_thinking=false")
      ->allow_extra_args(false);
  command->add_option("--bos", arguments->bos, "text of bos_token (default: the model's)");
  command->add_option("--eos", arguments->eos, "text of eos_token (default: the model's)");
  command->callback(
      [arguments, &action] { action = [arguments] { return print_prompt(*arguments); }; });
}

}  // namespace ridgeline::cli
