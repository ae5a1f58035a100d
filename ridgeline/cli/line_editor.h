#pragma once

#include <memory>
#include <optional>
#include <string>

namespace ridgeline::cli {

/// Reads lines from a person: with editing and a history across sessions where standard
/// input and output are terminals (libedit), plainly where not.
class LineEditor {
 public:
  /// `history_path`: made if it is not there, readable by its owner only; "": none.
  explicit LineEditor(std::string history_path);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  bool on_terminal() const { return editor_ != nullptr; }

  struct Line {
    std::string text;          ///< without the line's end
    bool interrupted = false;  ///< by Ctrl-C; text is empty
  };
  /// Nullopt at the end of the input.
  std::optional<Line> read(const std::string& prompt);
  /// What Up brings back, lines of a longer message together.
  void remember(const std::string& text);

 private:
  struct Editor;
  std::unique_ptr<Editor> editor_;
};

/// Where a history is kept: $XDG_STATE_HOME/ridgeline/NAME, in ~/.local/state as a rule;
/// "" without a home.
std::string state_path(const std::string& name);

}  // namespace ridgeline::cli
