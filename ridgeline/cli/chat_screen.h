#pragma once

#include <string>
#include <string_view>

#include "ridgeline/tools/conversation.h"

namespace ridgeline::cli {

/// Writes a conversation to standard output: colours and dim thinking on a terminal, plain
/// text with tags around the thinking elsewhere.
class ChatScreen {
 public:
  ChatScreen(bool on_terminal, bool show_thinking)
      : on_terminal_(on_terminal), show_thinking_(show_thinking) {}

  /// What stands before a line that is typed, and before its continuation.
  std::string prompt(bool continued) const;
  void piece(const Conversation::Piece& piece);
  /// Ends an answer that was shown piece by piece.
  void end_answer(const AnswerStats& stats);
  /// What is said by the program, not by the model: goes to standard error.
  void notice(std::string_view text) const;
  void error(std::string_view text) const;

 private:
  void leave_thinking();

  bool on_terminal_, show_thinking_;
  bool thinking_ = false, any_ = false;
  bool line_begins_ = true;
};

}  // namespace ridgeline::cli
