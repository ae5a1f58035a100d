#pragma once

#include <chrono>
#include <string>

namespace ridgeline::cli {

/// "0:07", "12:30", "2:03:00"; "?" if it takes forever.
std::string duration_text(double seconds);

/// One line on stderr that is drawn over itself; nothing at all where stderr is no
/// terminal. Gone when it is done. What takes more than some seconds shows the time left.
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
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  long drawn_second_ = -1;
  int drawn_percent_ = -1;
};

}  // namespace ridgeline::cli
