#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/tensor/dtype.h"
#include "ridgeline/tools/eval.h"
#include "ridgeline/tools/ptq/tensor_quality.h"

namespace ridgeline::ptq {

/// What `quantize` did to one tensor.
struct TensorReport {
  std::string name;
  DType from, to;
  std::vector<std::int64_t> shape;  ///< outermost first
  std::size_t bytes = 0;            ///< in the new file
  TensorQuality quality;            ///< no elements: it was copied
  double seconds = 0;
};

struct QuantizeReport {
  std::string source, target;  ///< paths
  std::string type;            ///< as asked for: "Q4_K_M"
  std::string method;          ///< "nearest", "importance", "gptq"
  std::string calibration;     ///< path of the text, or of the imatrix; "" if none
  std::string version, isa;    ///< of the program
  std::size_t source_bytes = 0, target_bytes = 0;
  double bits_per_weight = 0;  ///< of all tensors of the new file
  double seconds = 0;
  std::vector<TensorReport> tensors;
  /// Where there was a text to measure with: the original, and the new file against it.
  std::string eval_text;
  std::optional<EvalResult> before, after;
  std::optional<DivergenceResult> divergence;

  TensorQuality total() const;
};

std::string to_json(const QuantizeReport& report);
/// One page, no external asset, readable on a phone, in print, light and dark: the summary, a
/// plot of SQNR by layer and kind of tensor, bits by tensor, the table.
std::string to_html(const QuantizeReport& report);

}  // namespace ridgeline::ptq
