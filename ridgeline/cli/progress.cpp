#include "ridgeline/cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace ridgeline::cli {

std::string duration_text(double seconds) {
  if (!(seconds < 1e7)) return "?";
  const auto s = static_cast<long>(std::ceil(seconds));
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)), on_terminal_(isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() { clear(); }

void ProgressBar::clear() {
  if (drawn_percent_ >= 0) fmt::print(stderr, "\r\x1b[K");
  drawn_percent_ = -1;
}

void ProgressBar::update(double fraction) {
  if (!on_terminal_) return;
  fraction = std::clamp(fraction, 0.0, 1.0);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
  const auto second = static_cast<long>(spent.count());
  const int percent = static_cast<int>(fraction * 100);
  if (percent == drawn_percent_ && second == drawn_second_) return;
  drawn_percent_ = percent;
  drawn_second_ = second;
  constexpr int kWidth = 40;
  constexpr long kSecondsToJudge = 3;  // before them the rate is not known
  const int filled = percent * kWidth / 100;
  const std::string left =
      second < kSecondsToJudge || fraction <= 0
          ? ""
          : fmt::format("  {} left", duration_text(spent.count() * (1 - fraction) / fraction));
  fmt::print(stderr, "\r\x1b[K{} [{:=<{}}{:<{}}] {:3} %{}", label_, "", filled, "", kWidth - filled,
             percent, left);
  std::fflush(stderr);
}

}  // namespace ridgeline::cli
