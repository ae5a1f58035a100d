#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/tensor/dtype.h"
#include "ridgeline/tools/eval.h"
#include "ridgeline/tools/ptq/tensor_quality.h"

namespace ridgeline::ptq {

/// What `quantize` did to one tensor.
struct TensorReport {
  std::string name;
  DType from = DType::kF32, to = DType::kF32;
  std::vector<std::int64_t> shape;  ///< outermost first
  std::size_t bytes = 0;            ///< in the new file
  TensorQuality quality;            ///< no elements: it was copied
  double seconds = 0;

  std::int64_t elements() const;
};

struct QuantizeReport {
  std::string source, target;  ///< paths
  std::string type;            ///< as asked for: "Q4_K_M"
  std::string method;          ///< "nearest", "importance", "gptq"
  std::string calibration;     ///< path of the text, or of the imatrix; "" if none
  /// Further choices, as a person reads them: {"calibration tokens", "32768"}.
  std::vector<std::pair<std::string, std::string>> settings;
  std::string version, isa;  ///< of the program
  std::string date;          ///< "2026-11-23 04:05 UTC"; "" if it is not to be told
  std::size_t source_bytes = 0, target_bytes = 0;
  double bits_per_weight = 0;  ///< of all tensors of the new file
  double seconds = 0;
  std::vector<TensorReport> tensors;
  /// Where there was a text to measure with: the original, and the new file against it.
  std::string eval_text;
  std::int64_t eval_context = 0;  ///< tokens of a window
  std::optional<EvalResult> before, after;
  std::optional<DivergenceResult> divergence;

  /// Of the tensors that were changed.
  TensorQuality total() const;
};

/// One object; a number that is none (nothing was lost, nothing measured) is null:
///
///   schema           1
///   source, target   {path, bytes}, {path, bytes, type, bits_per_weight}
///   method, calibration, settings {..}, program {version, isa}, date, seconds
///   total            {elements, sqnr_db, max_error} of the tensors that were changed
///   eval             null, or {text, context, windows, predicted_tokens,
///                    before {nll, nll_stderr, perplexity}, after {..}, and of DivergenceResult
///                    kl {mean, stderr, median, p99, max}, top1, top1_stderr,
///                    delta_p {mean, rms}, log_perplexity_ratio {mean, stderr}, positions}
///   tensors          [{name, from, to, shape [..], bytes, bits_per_weight, sqnr_db, max_error,
///                    seconds}], in the order of the file; a copied one has sqnr_db null,
///                    max_error 0
///
/// Keys may be added; those that exist keep their meaning while schema is 1.
std::string to_json(const QuantizeReport& report);

/// One page without any other file or script, readable on a phone, in print, light and dark: the
/// summary, what was done, SQNR by layer and kind of tensor, bytes by type, every tensor.
std::string to_html(const QuantizeReport& report);

}  // namespace ridgeline::ptq
