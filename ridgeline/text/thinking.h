#pragma once

#include <string>
#include <string_view>

namespace ridgeline {

/// Splits what a model says into its reasoning and its answer while it streams, by the
/// tags around the reasoning ("<think>", "</think>"). Text that may yet turn out to be a
/// tag waits for more. White space around the tags belongs to neither.
class ThinkingSplitter {
 public:
  struct Piece {
    std::string thinking, answer;
  };
  /// Tags that are empty: everything is answer. `inside`: the prompt ended in reasoning.
  ThinkingSplitter(std::string open, std::string close, bool inside);

  Piece push(std::string_view text);
  /// What is still held back.
  Piece finish();

 private:
  enum class State { kStart, kThinking, kBehind, kAnswer };
  void walk(Piece& piece, bool at_end);

  std::string open_, close_, pending_;
  State state_;
  bool fresh_ = true;  ///< nothing but white space since the part began
};

/// The same for gpt-oss's Harmony format, whose parts stand between control tokens:
///
///   <|channel|>analysis<|message|>reasoning<|end|>
///   <|start|>assistant<|channel|>final<|message|>answer<|return|>
///
/// What goes to a tool ("commentary to=...") counts as answer.
class HarmonySplitter {
 public:
  /// A control token's text. False: it is none of Harmony's.
  bool control(std::string_view token);
  ThinkingSplitter::Piece push(std::string_view text);

 private:
  enum class State { kRole, kChannel, kMessage };
  State state_ = State::kRole;  ///< prompts end in <|start|>assistant
  std::string channel_;
};

}  // namespace ridgeline
