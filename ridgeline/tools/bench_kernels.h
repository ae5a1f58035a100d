#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/roofline.h"

namespace ridgeline {

class ThreadPool;

/// What `bench kernels` measures, in this order.
enum class KernelSection {
  kCeilings,   ///< reading memory, and the peak of each kind of arithmetic
  kMemory,     ///< loads from addresses that are multiples of 64, and that are not
  kAttention,  ///< prompts by tiles with an online softmax, and through a score matrix
  kMatmul,     ///< matrix by vector and by several rows, in L2 and out of memory
};

/// One figure about one kernel.
struct KernelLine {
  KernelSection section = KernelSection::kCeilings;
  std::string isa, format, what;
  int threads = 1;
  std::int64_t rows = 0;               ///< of activations; positions of a prompt
  double seconds = 0;                  ///< of one call, the median
  Cost cost;                           ///< of one call; bytes where they come from main memory
  double bytes = 0;                    ///< read by one call, wherever they lie
  std::optional<double> share;         ///< of the ceiling
  std::optional<double> over_generic;  ///< times as fast as the portable code
  /// Times as fast as the other way to do it: an aligned load, the score matrix.
  std::optional<double> over_other;
  std::optional<double> memory_bytes;  ///< that it needs beside its operands and result

  std::string key() const;  ///< the same for all ISAs
};

struct KernelBenchOptions {
  std::vector<KernelSection> sections;  ///< none: all
  std::vector<std::string> isas;        ///< of available_kernels(); none: all
  std::vector<DType> formats;           ///< of weights; none: all
  bool exact = false;                   ///< quantized weights with F32 activations too
  int threads = 1;                      ///< where weights come from memory
  bool pin = true;
  double seconds_per_case = 0.02;
  double seconds_max = 60;  ///< what is not begun by then is left out
  std::int64_t longest_prompt = 32768;
  std::function<void(const KernelLine&)> on_line;
  std::function<void(const std::string&)> on_note;
};

/// Each distinct kernel once, under the first ISA that has it, the portable ones first,
/// since the others are compared with them. Every kernel's result is checked against a
/// plain computation before its time counts.
/// Errors: no memory; a kernel whose result is wrong.
Status benchmark_kernels(const KernelBenchOptions& options);

}  // namespace ridgeline
