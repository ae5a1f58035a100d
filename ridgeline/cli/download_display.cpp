#include "ridgeline/cli/download_display.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "ridgeline/cli/progress.h"
#include "ridgeline/tools/hub/choose_files.h"

namespace ridgeline::cli {
namespace {

constexpr std::chrono::seconds kRateWindow{5};

std::string rate_text(double bytes_per_second) {
  return hub::size_text(static_cast<std::uint64_t>(bytes_per_second)) + "/s";
}

}  // namespace

DownloadDisplay::DownloadDisplay() : on_terminal_(isatty(STDERR_FILENO) == 1) {}

DownloadDisplay::~DownloadDisplay() { clear(); }

void DownloadDisplay::clear() {
  if (drawn_) fmt::print(stderr, "\r\x1b[K");
  drawn_ = false;
}

void DownloadDisplay::note(const std::string& sentence) {
  clear();
  fmt::print(stderr, "ridgeline: {}\n", sentence);
}

double DownloadDisplay::bytes_per_second() const {
  const double seconds =
      std::chrono::duration<double>(samples_.back().time - samples_.front().time).count();
  const auto bytes =
      samples_.back().bytes - std::min(samples_.front().bytes, samples_.back().bytes);
  return seconds > 0 ? static_cast<double>(bytes) / seconds : 0;
}

void DownloadDisplay::update(const hub::DownloadProgress& progress) {
  const auto now = Clock::now();
  if (samples_.empty()) start_ = now;
  last_ = progress;
  samples_.push_back({now, progress.bytes});
  while (now - samples_.front().time > kRateWindow) samples_.pop_front();
  const double share = progress.bytes_total == 0 ? 1.0
                                                 : static_cast<double>(progress.bytes) /
                                                       static_cast<double>(progress.bytes_total);
  const std::string done =
      fmt::format("{:3.0f} %  {} of {}", std::floor(100 * share), hub::size_text(progress.bytes),
                  hub::size_text(progress.bytes_total));
  if (!on_terminal_) {
    if (const int tenths = static_cast<int>(10 * share); tenths > tenths_) {
      tenths_ = tenths;
      fmt::print(stderr, "ridgeline: {}\n", done);
    }
    return;
  }
  const double rate = bytes_per_second();
  const double left = static_cast<double>(progress.bytes_total - progress.bytes) / rate;
  constexpr int kWidth = 24;
  const int filled = static_cast<int>(share * kWidth);
  fmt::print(stderr, "\r\x1b[K[{:=<{}}{:<{}}] {}  {}  {} left", "", filled, "", kWidth - filled,
             done, rate_text(rate), duration_text(left));
  std::fflush(stderr);
  drawn_ = true;
}

void DownloadDisplay::finish() {
  clear();
  if (samples_.empty()) return;
  const double seconds = std::chrono::duration<double>(samples_.back().time - start_).count();
  const std::uint64_t bytes = last_.bytes - std::min(last_.bytes_before, last_.bytes);
  fmt::print(stderr, "ridgeline: downloaded {} in {:.1f} s ({}), and checked it\n",
             hub::size_text(bytes), seconds,
             rate_text(seconds > 0 ? static_cast<double>(bytes) / seconds : 0));
}

}  // namespace ridgeline::cli
