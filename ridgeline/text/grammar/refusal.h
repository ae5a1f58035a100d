#pragma once

#include <chrono>
#include <cstddef>
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
  /// An instrumented build is some ten times slower, and stays within a test's patience.
  static constexpr std::chrono::milliseconds kTime{1000};
  static constexpr std::size_t kUnits = std::size_t{1} << 25;  // transitions and the like
  static constexpr std::size_t kSourceBytesMax = std::size_t{4} << 20;
  static constexpr int kNestingMax = 256;

  /// `units` of about 8 bytes or 10 ns.
  void spend(std::size_t units) {
    spent_ += units;
    if (spent_ > kUnits) refuse("the grammar is too large when compiled: simplify it");
    if (spent_ < next_look_) return;
    next_look_ = spent_ + 4096;
    if (std::chrono::steady_clock::now() - start_ > kTime) {
      refuse("compiling the grammar takes more than a second: simplify it");
    }
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::size_t spent_ = 0;
  std::size_t next_look_ = 4096;
};

}  // namespace ridgeline::grammar
