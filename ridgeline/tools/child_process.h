#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"

namespace ridgeline {

/// What a program did until it ended by itself.
struct ChildResult {
  int exit_code = 0;  ///< 128 + the signal's number if one ended it
  std::string out, err;
  double seconds = 0;
  std::optional<double> first_output_seconds;  ///< until something other than space came
  std::uint64_t peak_resident_bytes = 0;

  /// The last line that it wrote to stderr, or else to stdout: what it complains of.
  std::string last_words() const;
};

/// Runs a program (found along PATH) without a shell, with nothing to read, in `folder`. It
/// leads a process group, which is killed when `seconds_max` are over or when this process
/// gets SIGINT or SIGTERM meanwhile. For programs with one thread at the time.
/// Errors: the program cannot be started; it ran too long; kInterrupted.
Result<ChildResult> run_child(const std::vector<std::string>& arguments, double seconds_max,
                              const std::string& folder = ".");

/// An empty folder, where programs may leave their log files; it goes with them.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  /// "." where no folder could be made.
  const std::string& path() const { return path_; }

 private:
  std::string path_ = ".";
};

/// The error's sentence after SIGINT or SIGTERM: stop, rather than go on with the next.
inline constexpr std::string_view kInterrupted = "interrupted";

/// The words of a command line: separated by spaces, kept together by single or double
/// quotes, a backslash taking the next character as it is. Errors: an open quote.
Result<std::vector<std::string>> split_words(std::string_view text);

/// Does this program exist: as a path if it has a slash, along PATH otherwise?
bool can_run(const std::string& program);

}  // namespace ridgeline
