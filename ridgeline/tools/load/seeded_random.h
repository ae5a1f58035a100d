#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

#include "ridgeline/engine/random.h"

namespace ridgeline::load {

/// The same numbers from the same seed everywhere, which the distributions of <random> do
/// not promise. Streams of one seed are independent.
class SeededRandom {
 public:
  SeededRandom(std::uint64_t seed, std::uint32_t stream) : seed_(seed), stream_(stream) {}

  /// On [0, 1).
  double uniform() { return random_uniform(seed_, drawn_++, stream_, RandomUse::kToken); }
  /// One of 0 to n - 1.
  std::uint64_t below(std::uint64_t n) {
    return static_cast<std::uint64_t>(uniform() * static_cast<double>(n));
  }
  /// Time to the next event of a Poisson process that has one in the mean.
  double exponential() { return -std::log1p(-uniform()); }
  double normal() {
    const double radius = std::sqrt(2 * exponential());
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }

 private:
  std::uint64_t seed_, drawn_ = 0;
  std::uint32_t stream_;
};

}  // namespace ridgeline::load
