#include "ridgeline/cli/chat_commands.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <utility>

#include "ridgeline/cli/engine_arguments.h"
#include "ridgeline/platform/atomic_file.h"

namespace ridgeline::cli {
namespace {

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

}  // namespace

Status ChatCommands::run(const std::string& line) {
  const std::size_t space = line.find(' ');
  const std::string name = line.substr(1, space == std::string::npos ? space : space - 1);
  const std::string argument = space == std::string::npos ? "" : trimmed(line.substr(space));
  if (name == "help" || name == "?") {
    show_help();
  } else if (name == "exit" || name == "quit" || name == "bye") {
    leave_ = true;
  } else if (name == "system") {
    conversation_.set_system(argument);
    screen_.notice(argument.empty() ? "(no system prompt)" : "(system prompt set)");
  } else if (name == "clear") {
    conversation_.clear();
    screen_.notice("(a new conversation)");
  } else if (name == "undo") {
    return undo();
  } else if (name == "regen") {
    return regenerate();
  } else if (name == "save") {
    return save(argument);
  } else if (name == "load") {
    return load(argument);
  } else if (name == "params") {
    return set_parameter(argument);
  } else if (name == "stats") {
    show_stats();
  } else {
    return fail(fmt::format("/{}: is no command; /help lists them", name));
  }
  return {};
}

bool ChatCommands::take_answer_request() { return std::exchange(answer_wanted_, false); }

Status ChatCommands::undo() {
  if (!conversation_.drop_last(/*question=*/true)) return fail("/undo: nothing was asked yet");
  screen_.notice("(the last question and its answer are gone)");
  return {};
}

Status ChatCommands::regenerate() {
  const auto& messages = conversation_.messages();
  if (messages.empty() || messages.back().role == "system")
    return fail("/regen: nothing was asked yet");
  if (messages.back().role == "assistant") conversation_.drop_last(/*question=*/false);
  answer_wanted_ = true;
  return {};
}

Status ChatCommands::save(const std::string& path) const {
  if (path.empty()) return fail("/save: expected a file");
  const std::string json = conversation_.to_json();
  RIDGELINE_TRY(AtomicFile file, AtomicFile::create(path, json.size()));
  RIDGELINE_TRY_STATUS(file.write(0, std::as_bytes(std::span(json))));
  RIDGELINE_TRY(const MappedFile written, file.publish());
  screen_.notice(fmt::format("({} messages in {})", conversation_.messages().size(), path));
  return {};
}

Status ChatCommands::load(const std::string& path) {
  if (path.empty()) return fail("/load: expected a file");
  RIDGELINE_TRY(const std::string text, read_text(path));
  RIDGELINE_TRY_STATUS(conversation_.from_json(text, path));
  screen_.notice(fmt::format("({} messages from {})", conversation_.messages().size(), path));
  return {};
}

/// "", or "temp 0.7".
Status ChatCommands::set_parameter(const std::string& argument) {
  if (argument.empty()) {
    show_parameters();
    return {};
  }
  const std::size_t space = argument.find(' ');
  const std::string name = argument.substr(0, space);
  const std::string text = space == std::string::npos ? "" : trimmed(argument.substr(space));
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    return fail(fmt::format("/params {}: expected a name and a number, as temp 0.7", argument));
  if (!(std::abs(value) <= 2147483647.0))
    return fail(fmt::format("/params {}: expected a number of at most 2147483647", argument));
  SamplingParams changed = params_;
  if (name == "temp" || name == "temperature")
    changed.temperature = value;
  else if (name == "top-k")
    changed.top_k = static_cast<int>(value);
  else if (name == "top-p")
    changed.top_p = value;
  else if (name == "min-p")
    changed.min_p = value;
  else if (name == "repeat-penalty")
    changed.repetition_penalty = value;
  else if (name == "seed")
    changed.seed = static_cast<std::uint64_t>(std::abs(value));
  else if (name == "predict" || name == "n")
    changed.max_tokens = static_cast<int>(value);
  else
    return fail(fmt::format("/params {}: is no parameter; /params lists them", name));
  RIDGELINE_TRY_STATUS(validate(changed));
  params_ = std::move(changed);
  show_parameters();
  return {};
}

void ChatCommands::show_parameters() const {
  screen_.notice(
      fmt::format("temp {} · top-k {} · top-p {} · min-p {} · repeat-penalty {} · "
                  "predict {} · seed {}",
                  params_.temperature, params_.top_k, params_.top_p, params_.min_p,
                  params_.repetition_penalty, params_.max_tokens, params_.seed));
}

void ChatCommands::show_stats() const {
  if (!last_) {
    screen_.notice("(nothing was answered yet)");
    return;
  }
  const AnswerStats& s = *last_;
  const std::int64_t computed = s.prompt_tokens - s.reused_tokens;
  const double rate = s.answer_tokens > 1 && s.decode_seconds > 0
                          ? static_cast<double>(s.answer_tokens - 1) / s.decode_seconds
                          : 0.0;
  screen_.notice(fmt::format(
      "prompt {} tokens, {} of them from the cache, {} computed · first "
      "token after {:.3f} s · {} tokens at {:.1f} tok/s · finish_reason {} · "
      "{} of {} tokens of context used",
      s.prompt_tokens, s.reused_tokens, computed, s.first_token_seconds, s.answer_tokens, rate,
      name(s.finish_reason), s.prompt_tokens + s.answer_tokens, engine_.context()));
}

void ChatCommands::show_help() const {
  screen_.notice(
      "/system TEXT   set the system prompt (no text: none)\n"
      "/regen         answer the last question again\n"
      "/undo          take the last question and its answer back\n"
      "/clear         begin a new conversation\n"
      "/save FILE     write the conversation as JSON\n"
      "/load FILE     go on with a saved one\n"
      "/params        show how tokens are chosen; /params temp 0.7 changes it\n"
      "/stats         what the last answer took\n"
      "/exit          leave (or Ctrl-D)\n"
      "A line that ends in \\ goes on with the next; \"\"\" on a line of its own begins and ends\n"
      "a message of several lines. Ctrl-C stops an answer.");
}

}  // namespace ridgeline::cli
