#pragma once

#include <cstddef>
#include <ctime>
#include <string>
#include <utility>

namespace ridgeline::grammar {

/// Thrown inside this folder when a source cannot be compiled; what grammar.h declares
/// catches it and returns the sentence.
struct Refusal {
  std::string message;
};

[[noreturn]] inline void refuse(std::string message) { throw Refusal{std::move(message)}; }

/// What compiling one source may take. A schema of a hundred lines can ask for an automaton
/// of any size; these stop it early, whatever the reason.
class Budget {
 public:
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  static constexpr double kCpuSeconds = 10;  // as much work, some ten times slower
#else
  static constexpr double kCpuSeconds = 1;
#endif
  static constexpr std::size_t kUnits = std::size_t{1} << 25;
  static constexpr std::size_t kSourceBytesMax = std::size_t{4} << 20;
  static constexpr int kNestingMax = 256;

  /// `units` of about 8 bytes or 10 ns.
  void spend(std::size_t units) {
    spent_ += units;
    if (spent_ > kUnits) refuse("the grammar is too large when compiled: simplify it");
    if (spent_ < next_look_) return;
    next_look_ = spent_ + 4096;
    if (cpu_seconds() - start_ > kCpuSeconds) {
      refuse("compiling the grammar takes more than a second: simplify it");
    }
  }

 private:
  // Of this thread, so that a busy machine does not decide which schemas are refused.
  static double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  }

  double start_ = cpu_seconds();
  std::size_t spent_ = 0;
  std::size_t next_look_ = 4096;
};

}  // namespace ridgeline::grammar
