#include "ridgeline/tools/ptq/make_method.h"

#include <fmt/format.h>

#include <utility>

#include "ridgeline/tools/ptq/importance_matrix.h"
#include "ridgeline/tools/ptq/plain_method.h"
#include "ridgeline/tools/ptq/weighted_method.h"

namespace ridgeline::ptq {

Result<MethodKind> method_kind(std::string_view name) {
  if (name == "nearest") return MethodKind::kNearest;
  if (name == "importance") return MethodKind::kImportance;
  if (name == "gptq") return MethodKind::kGptq;
  return fail(fmt::format("--method {}: is not known; expected nearest, importance or gptq", name));
}

Result<std::unique_ptr<Method>> make_method(const MethodOptions& options, const Checkpoint& model,
                                            ThreadPool& threads) {
  if (!options.calibration.empty())
    return fail("--calibration: this program cannot run a model for calibration yet");
  switch (options.kind) {
    case MethodKind::kNearest:
      if (!options.imatrix.empty())
        return fail("--imatrix: --method nearest has no use for it; expected --method importance");
      return std::make_unique<PlainMethod>(model, threads);
    case MethodKind::kImportance: {
      if (options.imatrix.empty())
        return fail("--method importance needs to know what matters: expected --imatrix FILE");
      RIDGELINE_TRY(ImportanceMatrix importance, ImportanceMatrix::read(options.imatrix));
      return std::make_unique<WeightedMethod>(model, threads, std::move(importance),
                                              options.imatrix);
    }
    case MethodKind::kGptq:
      break;
  }
  return fail("--method gptq: this program has no GPTQ yet");
}

}  // namespace ridgeline::ptq
