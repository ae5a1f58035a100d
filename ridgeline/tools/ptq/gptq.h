#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/ptq/hessian.h"
#include "ridgeline/tools/ptq/tensor_quality.h"

namespace ridgeline::ptq {

struct GptqOptions {
  double damping = 0.01;  ///< of the Hessian's mean diagonal, added to its diagonal
  bool act_order = true;  ///< the most driven inputs first, with scales that are fixed before
  int refinements = 0;    ///< sweeps over the levels afterwards, each given all others
};

/// GPTQ (Frantar et al. 2022, "GPTQ: Accurate Post-Training Quantization for Generative
/// Pre-trained Transformers", section 3) into GGUF's block layouts. The factor of a Hessian is
/// computed once and serves all matrices that share the input.
class Gptq {
 public:
  /// Takes the Hessian. `what` names it in errors: it stays singular whatever the damping (no
  /// rows, values that are not numbers).
  static Result<std::unique_ptr<Gptq>> prepare(Hessian hessian, const GptqOptions& options,
                                               LinearAlgebra& algebra, const std::string& what);
  virtual ~Gptq() = default;

  /// w [rows][cols] to blocks of `type` (which has a grid_format(), and whose block divides
  /// cols), one row after the other at `out`, on all threads.
  virtual Status quantize(std::span<const float> w, std::int64_t rows, DType type, std::byte* out,
                          TensorQuality& quality) = 0;
  /// Mean squares of the inputs, [cols]: the importance matrix' row.
  virtual std::span<const float> importance() const = 0;
};

}  // namespace ridgeline::ptq
