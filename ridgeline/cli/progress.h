#pragma once

#include <string>

namespace ridgeline::cli {

/// One line on stderr that is drawn over itself; nothing at all where stderr is no
/// terminal. Gone when it is done.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void update(double fraction);  ///< 0 to 1
  void clear();                  ///< before something else is printed

 private:
  std::string label_;
  bool on_terminal_;
  int drawn_percent_ = -1;
};

}  // namespace ridgeline::cli
