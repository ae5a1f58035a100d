#include "ridgeline/cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace ridgeline::cli {

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)), on_terminal_(isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() { clear(); }

void ProgressBar::clear() {
  if (drawn_percent_ >= 0) fmt::print(stderr, "\r\x1b[K");
  drawn_percent_ = -1;
}

void ProgressBar::update(double fraction) {
  if (!on_terminal_) return;
  const int percent = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * 100);
  if (percent == drawn_percent_) return;
  drawn_percent_ = percent;
  constexpr int kWidth = 40;
  const int filled = percent * kWidth / 100;
  fmt::print(stderr, "\r{} [{:=<{}}{:<{}}] {:3} %", label_, "", filled, "", kWidth - filled,
             percent);
  std::fflush(stderr);
}

}  // namespace ridgeline::cli
