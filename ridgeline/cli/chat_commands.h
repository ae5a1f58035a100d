#pragma once

#include <optional>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/cli/chat_screen.h"
#include "ridgeline/engine/engine.h"
#include "ridgeline/tools/conversation.h"

namespace ridgeline::cli {

/// What begins with a slash in `chat`.
class ChatCommands {
 public:
  ChatCommands(const Engine& engine, Conversation& conversation, const ChatScreen& screen,
               SamplingParams& params)
      : engine_(engine), conversation_(conversation), screen_(screen), params_(params) {}

  /// One line, "/save talk.json". Errors: an unknown command, a file that cannot be read.
  Status run(const std::string& line);
  bool wants_to_leave() const { return leave_; }
  /// True once after a command that wants the last question answered.
  bool take_answer_request();
  void remember(const AnswerStats& stats) { last_ = stats; }

 private:
  Status undo();
  Status regenerate();
  Status save(const std::string& path) const;
  Status load(const std::string& path);
  Status set_parameter(const std::string& argument);
  void show_parameters() const;
  void show_stats() const;
  void show_help() const;

  const Engine& engine_;
  Conversation& conversation_;
  const ChatScreen& screen_;
  SamplingParams& params_;
  std::optional<AnswerStats> last_;
  bool leave_ = false, answer_wanted_ = false;
};

}  // namespace ridgeline::cli
