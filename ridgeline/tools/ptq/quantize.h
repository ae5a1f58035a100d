#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/model/gguf_export.h"
#include "ridgeline/tools/ptq/convert.h"
#include "ridgeline/tools/ptq/make_method.h"
#include "ridgeline/tools/ptq/quantize_plan.h"
#include "ridgeline/tools/ptq/quantize_report.h"

namespace ridgeline::ptq {

struct QuantizeOptions {
  std::string source;  ///< a GGUF file, any part of a split one, or a Hugging Face folder
  std::string target;  ///< the GGUF file to be written
  TypeChoice types;    ///< `importance` follows from the method
  bool requantize = false;
  /// In place of types.type: bytes of the new file, or bits per weight, 0 for none. Each tensor's
  /// type is chosen by what rounding it costs on the calibration's text.
  std::uint64_t target_bytes = 0;
  double target_bits = 0;
  MethodOptions method;
  /// Text to measure the new file with; "": what calibration left of its own, if there was one.
  std::string eval_text;
  bool measures = true;  ///< false: neither
  int threads = 0;       ///< 0: one for each core
};

/// `ridgeline quantize`: a model opened, its types chosen, and then written.
class QuantizeJob {
 public:
  /// Errors: those of opening a model and of QuantizePlan; a target that is the source.
  static Result<QuantizeJob> open(QuantizeOptions options);

  const Checkpoint& model() const { return *model_; }
  const QuantizePlan& plan() const { return plan_; }
  QuantizePlan& plan() { return plan_; }
  /// What people should know of the new file, as sentences; all of them after run().
  std::vector<std::string> notes() const;

  /// Writes the file, and measures it where there is a text. Lacks the program's version.
  Result<QuantizeReport> run(const ConvertControl& control);

 private:
  QuantizeJob() = default;
  bool fits_to_size() const { return options_.target_bytes > 0 || options_.target_bits > 0; }
  /// Of all tensors together.
  Result<std::uint64_t> tensor_budget() const;
  /// Chooses the plan's types; leaves the importance matrix that it needed.
  Status choose_types(const ConvertControl& control, ThreadPool& threads);
  MethodInputs inputs(const ConvertControl& control, ThreadPool& threads) const;
  Result<QuantizeReport> write(const ConvertControl& control, ThreadPool& threads);
  /// What a report says of how it was done.
  std::vector<std::pair<std::string, std::string>> settings() const;
  Status measure(const ConvertControl& control, QuantizeReport& report);
  Result<std::vector<EvalWindow>> windows_to_measure(const ModelFile& base, QuantizeReport& report);

  QuantizeOptions options_;
  std::unique_ptr<const Checkpoint> model_;  ///< stays where it is: the plan points into it
  QuantizePlan plan_;
  GgufExport described_;  ///< without what depends on the plan
  std::optional<Calibration> calibration_;
  std::optional<ImportanceMatrix> importance_;
  std::vector<std::string> notes_;  ///< of the work
};

}  // namespace ridgeline::ptq
