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
  /// The most driven blocks of inputs first, and in each the most driven inputs, so that what
  /// matters most is rounded while the most can still make up for it. Blocks stay whole, hence
  /// their scales are fitted to what earlier errors made of the weights.
  bool act_order = true;
  /// Times that scales, and then levels, are chosen again, each given all others.
  int refinements = 1;
  /// How much of what the residual stream has lost, against the original model's, a layer's last
  /// matrix is asked to make up for (0.5 was best); 0: nothing, which saves half of the passes.
  double compensation = 0;
  /// Inputs that stay together: a multiple of the block of every type that will be asked for.
  int block_elements = 256;
};

/// GPTQ (Frantar et al. 2022, "GPTQ: Accurate Post-Training Quantization for Generative
/// Pre-trained Transformers", section 3) into GGUF's block layouts. The factor of a Hessian is
/// computed once and serves all matrices that share the input.
class Gptq {
 public:
  /// Takes the finished Hessian. `missing`, [rows][cols] or without rows, is Σ r xᵀ of what the
  /// outputs of a matrix lack: it becomes the change of its weights that gives them the most of
  /// it, r xᵀ (H + λ)⁻¹, for quantize() to round their sum. `what` names it in errors: it stays
  /// singular whatever the damping (no rows, values that are not numbers).
  static Result<std::unique_ptr<Gptq>> prepare(Hessian hessian, const GptqOptions& options,
                                               LinearAlgebra& algebra, const std::string& what,
                                               Matrix missing = {});
  virtual ~Gptq() = default;

  /// w [rows][cols] to blocks of `type` (which has a grid_format(), and whose block divides
  /// cols and the options' block_elements), one row after the other at `out`, on all threads.
  virtual Status quantize(std::span<const float> w, std::int64_t rows, DType type, std::byte* out,
                          TensorQuality& quality) = 0;
  /// Mean squares of the inputs, [cols]: the importance matrix' row.
  virtual std::span<const float> importance() const = 0;
  /// What was added to the Hessian's diagonal in the end, as a fraction of its mean.
  virtual double damping() const = 0;
};

}  // namespace ridgeline::ptq
