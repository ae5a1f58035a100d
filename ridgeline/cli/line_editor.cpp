#include "ridgeline/cli/line_editor.h"

#include <fcntl.h>
#include <histedit.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>

namespace ridgeline::cli {
namespace {

constexpr int kHistoryLines = 1000;

}  // namespace

struct LineEditor::Editor {
  explicit Editor(std::string path) : history_path(std::move(path)) {
    // The bytes of what is typed: UTF-8, also where the environment says nothing.
    if (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1)
      std::setlocale(LC_CTYPE, "C.UTF-8");
    edit = el_init("ridgeline", stdin, stdout, stderr);
    history = history_init();
    HistEvent event;
    ::history(history, &event, H_SETSIZE, kHistoryLines);
    ::history(history, &event, H_SETUNIQUE, 1);
    if (!history_path.empty()) ::history(history, &event, H_LOAD, history_path.c_str());
    el_set(edit, EL_CLIENTDATA, this);
    el_set(edit, EL_PROMPT_ESC, &Editor::prompt_of, '\1');
    el_set(edit, EL_EDITOR, "emacs");
    el_set(edit, EL_HIST, ::history, history);
    el_set(edit, EL_SIGNAL, 0);
    el_source(edit, nullptr);
  }
  ~Editor() {
    el_end(edit);
    history_end(history);
  }
  static char* prompt_of(EditLine* edit) {
    void* self = nullptr;
    el_get(edit, EL_CLIENTDATA, &self);
    return static_cast<Editor*>(self)->prompt.data();
  }

  EditLine* edit = nullptr;
  History* history = nullptr;
  std::string history_path, prompt;
};

LineEditor::LineEditor(std::string history_path) {
  if (isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1)
    editor_ = std::make_unique<Editor>(std::move(history_path));
}

LineEditor::~LineEditor() = default;

std::optional<LineEditor::Line> LineEditor::read(const std::string& prompt) {
  Line line;
  if (editor_ == nullptr) {
    if (!std::getline(std::cin, line.text)) return std::nullopt;
    return line;
  }
  editor_->prompt = prompt;
  int count = 0;
  errno = 0;
  const char* text = el_gets(editor_->edit, &count);
  if (text == nullptr || count <= 0) {
    if (errno != EINTR) return std::nullopt;
    el_reset(editor_->edit);
    line.interrupted = true;
    return line;
  }
  line.text.assign(text, static_cast<std::size_t>(count));
  while (!line.text.empty() && (line.text.back() == '\n' || line.text.back() == '\r'))
    line.text.pop_back();
  return line;
}

void LineEditor::remember(const std::string& text) {
  if (editor_ == nullptr || text.empty()) return;
  HistEvent event;
  ::history(editor_->history, &event, H_ENTER, text.c_str());
  if (editor_->history_path.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(editor_->history_path).parent_path(),
                                      error);
  // What was said to a model is nobody else's business.
  const int fd = open(editor_->history_path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0) close(fd);
  ::history(editor_->history, &event, H_SAVE, editor_->history_path.c_str());
}

std::string state_path(const std::string& name) {
  namespace fs = std::filesystem;
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  if ((state == nullptr || *state == '\0') && (home == nullptr || *home == '\0')) return "";
  const fs::path folder =
      (state != nullptr && *state != '\0' ? fs::path(state) : fs::path(home) / ".local/state") /
      "ridgeline";
  return (folder / name).string();
}

}  // namespace ridgeline::cli
