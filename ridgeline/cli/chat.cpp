#include <fmt/format.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>

#include "ridgeline/cli/chat_commands.h"
#include "ridgeline/cli/chat_screen.h"
#include "ridgeline/cli/commands.h"
#include "ridgeline/cli/engine_arguments.h"
#include "ridgeline/cli/line_editor.h"
#include "ridgeline/cli/sampling_arguments.h"
#include "ridgeline/model/load_chat_template.h"
#include "ridgeline/model/model_file.h"
#include "ridgeline/tools/conversation.h"

namespace ridgeline::cli {
namespace {

struct ChatArguments {
  EngineArguments engine;
  SamplingArguments sampling;
  std::string system, first_message, chat_template;
  std::vector<std::string> settings;
  bool no_thinking = false, hide_thinking = false;
};

/// Ctrl-C: stops an answer, or empties the line that is being typed.
std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);
void on_interrupt(int) { interrupted = true; }

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = on_interrupt;  // without SA_RESTART: reading a line ends, too
  sigaction(SIGINT, &action, nullptr);
}

Result<ChatTemplate> load_template(const ChatArguments& arguments, const ModelFile& file,
                                   const Tokenizer& tokenizer) {
  std::string bos = bos_token_text(tokenizer), eos = eos_token_text(tokenizer);
  RIDGELINE_TRY(ChatTemplate chat_template,
                arguments.chat_template.empty()
                    ? load_chat_template(file, /*with_tools=*/false, std::move(bos), std::move(eos))
                    : load_chat_template(arguments.chat_template, std::move(bos), std::move(eos)));
  if (arguments.no_thinking && !chat_template.uses("enable_thinking"))
    return fail(
        "--no-thinking: the chat template has no variable enable_thinking, so that it "
        "cannot ask for an answer without reasoning");
  return chat_template;
}

/// One message: a line, lines that end in a backslash with the next, or everything between
/// lines of three quotation marks. Nullopt at the end of the input.
std::optional<std::string> read_message(LineEditor& editor, const ChatScreen& screen) {
  std::string message;
  bool quoted = false, continued = false;
  for (;;) {
    std::optional<LineEditor::Line> line = editor.read(screen.prompt(continued));
    if (!line) return continued && !message.empty() ? std::optional(message) : std::nullopt;
    if (line->interrupted) {
      interrupted = false;
      screen.notice(continued ? "" : "\n(Ctrl-D or /exit leaves)");
      return "";
    }
    if (!continued && line->text == "\"\"\"") {
      quoted = continued = true;
      continue;
    }
    if (quoted && line->text == "\"\"\"") return message;
    const bool goes_on = !quoted && line->text.ends_with('\\');
    if (goes_on) line->text.pop_back();
    message += line->text;
    if (!quoted && !goes_on) return message;
    message += '\n';
    continued = true;
  }
}

class Chat {
 public:
  Chat(Engine& engine, ChatTemplate chat_template, const ChatArguments& arguments,
       SamplingParams params)
      : conversation_(engine, std::move(chat_template)),
        editor_(state_path("chat_history")),
        screen_(editor_.on_terminal(), !arguments.hide_thinking),
        commands_(engine, conversation_, screen_, params_),
        params_(std::move(params)) {}

  Status prepare(const ChatArguments& arguments) {
    for (const std::string& setting : arguments.settings) {
      const std::size_t equals = setting.find('=');
      if (equals == 0 || equals == std::string::npos)
        return fail(fmt::format("--set {}: expected NAME=JSON", setting));
      conversation_.set_variable(setting.substr(0, equals), setting.substr(equals + 1));
    }
    if (arguments.no_thinking) conversation_.set_variable("enable_thinking", "false");
    conversation_.set_system(arguments.system);
    return {};
  }

  /// An error only where no person is there to go on.
  Status run(const std::string& first_message) {
    if (editor_.on_terminal())
      screen_.notice("/help lists the commands; Ctrl-C stops an answer, Ctrl-D ends the chat.\n");
    if (!first_message.empty()) RIDGELINE_TRY_STATUS(say(first_message));
    while (!commands_.wants_to_leave()) {
      const std::optional<std::string> message = read_message(editor_, screen_);
      if (!message) break;
      if (message->find_first_not_of(" \t\n") == std::string::npos) continue;
      editor_.remember(*message);
      if (message->starts_with('/') && message->find('\n') == std::string::npos) {
        const Status status = commands_.run(*message);
        if (!status) RIDGELINE_TRY_STATUS(report(status));
        if (commands_.take_answer_request()) RIDGELINE_TRY_STATUS(answer());
      } else {
        RIDGELINE_TRY_STATUS(say(*message));
      }
    }
    if (editor_.on_terminal()) screen_.notice("");
    return {};
  }

 private:
  Status report(const Status& status) {
    if (!editor_.on_terminal()) return status;
    screen_.error(status.error().message);
    return {};
  }

  Status say(const std::string& message) {
    conversation_.add({"user", message, ""});
    return answer();
  }

  Status answer() {
    interrupted = false;
    const Result<AnswerStats> stats = conversation_.answer(
        params_, [this](const Conversation::Piece& piece) { screen_.piece(piece); }, interrupted);
    interrupted = false;
    if (!stats) {
      // The question that cannot be answered should not stand in the way of the next.
      conversation_.drop_last(/*question=*/true);
      return report(tl::make_unexpected(stats.error()));
    }
    screen_.end_answer(*stats);
    commands_.remember(*stats);
    ++params_.seed;  // another text for the same question
    return {};
  }

  Conversation conversation_;
  LineEditor editor_;
  ChatScreen screen_;
  ChatCommands commands_;
  SamplingParams params_;
};

Status chat(ChatArguments arguments) {
  RIDGELINE_TRY(const std::string path, arguments.engine.model_path());
  RIDGELINE_TRY(const ModelFile file, ModelFile::open(path));
  RIDGELINE_TRY_STATUS(arguments.sampling.check());
  RIDGELINE_TRY(const std::unique_ptr<Tokenizer> tokenizer, file.tokenizer());
  RIDGELINE_TRY(ChatTemplate chat_template, load_template(arguments, file, *tokenizer));
  arguments.engine.prefix_cache = true;
  RIDGELINE_TRY(const std::unique_ptr<Engine> engine, arguments.engine.load());
  arguments.sampling.adopt(engine->generation_defaults());
  RIDGELINE_TRY(SamplingParams params, arguments.sampling.sampling_params());
  Chat session(*engine, std::move(chat_template), arguments, std::move(params));
  RIDGELINE_TRY_STATUS(session.prepare(arguments));
  catch_interrupts();
  return session.run(arguments.first_message);
}

}  // namespace

void add_chat(CLI::App& program, Action& action) {
  auto arguments = std::make_shared<ChatArguments>();
  CLI::App* command = program.add_subcommand("chat", "talk with a model, turn by turn");
  arguments->engine.add_to(*command, /*model_required=*/false);
  arguments->engine.speculation.drafters = {"lookup", "recent"};
  arguments->engine.speculation.add_to(*command);
  arguments->sampling.add_to(*command);
  command->add_option("--system", arguments->system, "the system prompt");
  command->add_option("-p,--prompt", arguments->first_message, "the first message");
  command->add_option("--chat-template", arguments->chat_template,
                      "a Jinja file or a built-in template, in place of the model's own");
  command
      ->add_option("--set", arguments->settings,
                   "NAME=JSON: a variable of the template, as enable_thinking=false")
      ->allow_extra_args(false);
  command->add_flag("--no-thinking", arguments->no_thinking,
                    "ask for an answer without reasoning (enable_thinking=false)");
  command->add_flag("--hide-thinking", arguments->hide_thinking, "do not show the reasoning");
  command->callback([arguments, &action] { action = [arguments] { return chat(*arguments); }; });
}

}  // namespace ridgeline::cli
