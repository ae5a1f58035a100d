#pragma once

#include <memory>
#include <optional>
#include <string>

#include "ridgeline/base/result.h"
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
  MethodOptions method;
  /// Text to measure the new file with; "": what calibration left of its own, if there was one.
  std::string eval_text;
  int threads = 0;  ///< 0: one for each core
};

/// `ridgeline quantize`: a model opened, its types chosen, and then written.
class QuantizeJob {
 public:
  /// Errors: those of opening a model and of QuantizePlan; a target that is the source.
  static Result<QuantizeJob> open(QuantizeOptions options);

  const Checkpoint& model() const { return *model_; }
  const QuantizePlan& plan() const { return plan_; }
  QuantizePlan& plan() { return plan_; }
  const std::vector<std::string>& notes() const { return notes_; }

  /// Writes the file, and measures it where there is a text. Lacks the program's version.
  Result<QuantizeReport> run(const ConvertControl& control);

 private:
  QuantizeJob() = default;
  Result<QuantizeReport> write(const ConvertControl& control);
  Status measure(const ConvertControl& control, QuantizeReport& report);
  Result<std::vector<EvalWindow>> windows_to_measure(const ModelFile& base, QuantizeReport& report);

  QuantizeOptions options_;
  std::unique_ptr<const Checkpoint> model_;  ///< stays where it is: the plan points into it
  QuantizePlan plan_;
  std::optional<Calibration> calibration_;
  std::vector<std::string> notes_;
};

}  // namespace ridgeline::ptq
