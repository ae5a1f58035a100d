#pragma once

#include <memory>
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
  MethodOptions method;
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
  /// What people should know of the new file, as sentences; all of them after run().
  std::vector<std::string> notes() const;

  /// Everything but what is measured with a text, and the program's version.
  Result<QuantizeReport> run(const ConvertControl& control);

 private:
  QuantizeJob() = default;

  QuantizeOptions options_;
  std::unique_ptr<const Checkpoint> model_;  ///< stays where it is: the plan points into it
  QuantizePlan plan_;
  GgufExport described_;            ///< without what depends on the plan
  std::vector<std::string> notes_;  ///< of the method
};

}  // namespace ridgeline::ptq
