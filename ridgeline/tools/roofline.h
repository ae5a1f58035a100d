#pragma once

#include <array>
#include <cstddef>

#include "ridgeline/kernels/kernel_table.h"

// The roofline model (Williams, Waterman and Patterson 2009): a piece of work takes at
// least as long as its operations take at the peak rate, and as its bytes take at the
// memory's; whichever is longer is its ceiling.

namespace ridgeline {

/// What a machine can do at best.
struct Ceilings {
  double read_bytes_per_second = 0;
  /// By Arithmetic; 0 where the ISA has none of its own.
  std::array<double, kArithmetics> ops_per_second{};

  double peak(Arithmetic kind) const { return ops_per_second[static_cast<std::size_t>(kind)]; }
};

/// Halfway between what was measured before and after some work.
Ceilings mean(const Ceilings& before, const Ceilings& after);

/// What a piece of work asks of the machine. A multiplication and an addition are two
/// operations.
struct Cost {
  std::array<double, kArithmetics> ops{};  ///< by Arithmetic
  double bytes = 0;                        ///< to and from main memory

  double& ops_of(Arithmetic kind) { return ops[static_cast<std::size_t>(kind)]; }
  double total_ops() const;
  Cost& operator+=(const Cost& other);
  Cost operator*(double times) const;
};

/// Where a piece of work stands in the picture.
struct RooflinePoint {
  double intensity = 0;  ///< operations per byte
  /// The intensity from which on arithmetic is the limit, for its mixture of operations.
  double ridge = 0;
  double memory_seconds = 0;
  double compute_seconds = 0;  ///< the sum over kinds of operations / peak

  bool memory_bound() const { return memory_seconds > compute_seconds; }
  double seconds() const { return memory_bound() ? memory_seconds : compute_seconds; }
};
RooflinePoint place(const Cost& cost, const Ceilings& ceilings);

}  // namespace ridgeline
