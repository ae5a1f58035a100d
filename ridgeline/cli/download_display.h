#pragma once

#include <chrono>
#include <deque>
#include <string>

#include "ridgeline/tools/hub/downloader.h"

namespace ridgeline::cli {

/// How far a download is, on stderr: on a terminal one line that is drawn over itself,
/// elsewhere a line for every tenth.
class DownloadDisplay {
 public:
  DownloadDisplay();
  ~DownloadDisplay();
  DownloadDisplay(const DownloadDisplay&) = delete;
  DownloadDisplay& operator=(const DownloadDisplay&) = delete;

  void note(const std::string& sentence);
  void update(const hub::DownloadProgress& progress);
  void finish();  ///< says what it came to, if anything was downloaded

 private:
  using Clock = std::chrono::steady_clock;
  struct Sample {
    Clock::time_point time;
    std::uint64_t bytes;
  };
  void clear();
  double bytes_per_second() const;

  bool on_terminal_;
  bool drawn_ = false;
  int tenths_ = -1;  ///< printed
  hub::DownloadProgress last_;
  Clock::time_point start_;
  std::deque<Sample> samples_;  ///< of the last seconds
};

}  // namespace ridgeline::cli
