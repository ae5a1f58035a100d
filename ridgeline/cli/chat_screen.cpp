#include "ridgeline/cli/chat_screen.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace ridgeline::cli {
namespace {

constexpr std::string_view kBold = "\x1b[1;32m", kDim = "\x1b[2m", kRed = "\x1b[31m",
                           kPlain = "\x1b[0m";

void write(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

bool colours_on_stderr() {
  return isatty(STDERR_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
}

}  // namespace

std::string ChatScreen::prompt(bool continued) const {
  if (!on_terminal_) return "";
  // \1 marks what takes no room on the line.
  const char* mark = continued ? "…" : ">";
  if (std::getenv("NO_COLOR") != nullptr) return fmt::format("{} ", mark);
  // The space behind it: libedit drops what takes no room at the end.
  return fmt::format("\1{}\1{}\1{}\1 ", kBold, mark, kPlain);
}

void ChatScreen::piece(const Conversation::Piece& piece) {
  if (piece.thinking && !show_thinking_) return;
  if (piece.thinking && !thinking_) {
    write(on_terminal_ ? kDim : "<think>\n");
    thinking_ = true;
  } else if (!piece.thinking) {
    leave_thinking();
  }
  write(piece.text);
  any_ = true;
  line_begins_ = piece.text.ends_with('\n');
}

void ChatScreen::leave_thinking() {
  if (!thinking_) return;
  thinking_ = false;
  if (on_terminal_) {
    write(kPlain);
    write("\n\n");
  } else {
    write("\n</think>\n\n");
  }
}

void ChatScreen::end_answer(const AnswerStats& stats) {
  leave_thinking();
  if (any_ && !line_begins_) write("\n");
  any_ = false;
  line_begins_ = true;
  if (stats.finish_reason == FinishReason::kLength)
    notice(
        "(stopped: finish_reason length, by -n or at the end of the context; /clear or /undo "
        "makes room)");
  if (stats.finish_reason == FinishReason::kCancelled) notice("(stopped)");
  if (on_terminal_) write("\n");
}

void ChatScreen::notice(std::string_view text) const {
  std::fflush(stdout);
  fmt::print(stderr, "{}{}{}\n", colours_on_stderr() ? kDim : "", text,
             colours_on_stderr() ? kPlain : "");
}

void ChatScreen::error(std::string_view text) const {
  std::fflush(stdout);
  fmt::print(stderr, "{}{}{}\n", colours_on_stderr() ? kRed : "", text,
             colours_on_stderr() ? kPlain : "");
}

}  // namespace ridgeline::cli
