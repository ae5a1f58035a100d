#pragma once

#include <cstddef>

#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/tensor/buffer.h"
#include "ridgeline/tools/roofline.h"

namespace ridgeline {

class ThreadPool;

/// Keeps the buffer for a smaller machine than most out of the way.
inline constexpr std::size_t kProbeBytesMax = std::size_t{256} << 20;

/// Bytes per second at which threads read main memory by a plain sum over a buffer that no
/// cache holds: what decode, which reads every weight once a token, can at best reach.
/// Memory may be bistable, so a figure is worth comparing only with one taken beside it.
class BandwidthProbe {
 public:
  /// Fills the buffer, which takes no more than about `seconds` where the system is slow to
  /// hand out memory. `buffer_bytes_max` keeps it small where that counts for more than a
  /// last-level cache that may flatter the figure.
  BandwidthProbe(ThreadPool& pool, double seconds, std::size_t buffer_bytes_max = kProbeBytesMax);

  /// The best of the passes that fit in `seconds`, and of two however long they take.
  /// 0 if there was no memory for the buffer.
  double measure(double seconds);

 private:
  ThreadPool& pool_;
  Buffer buffer_;
  std::size_t slices_ = 0;
};

/// The same, once; `seconds` include the filling.
double measure_read_bandwidth(ThreadPool& pool, double seconds,
                              std::size_t buffer_bytes_max = kProbeBytesMax);

/// Operations per second of all threads of the pool together, the best of what fits in
/// `seconds`; at least one run.
double measure_peak(ThreadPool& pool, const PeakKernel& kernel, double seconds);

/// Both slopes of the roofline of an ISA, as often as they are wanted.
class MachineProbe {
 public:
  MachineProbe(ThreadPool& pool, const KernelTable& kernels);
  /// Takes about a fifth of a second.
  Ceilings measure();

 private:
  ThreadPool& pool_;
  const KernelTable& kernels_;
  BandwidthProbe bandwidth_;
};

}  // namespace ridgeline
