#include "ridgeline/tools/ptq/make_method.h"

#include <fmt/format.h>

#include <utility>

#include "ridgeline/base/check.h"
#include "ridgeline/tools/ptq/gptq_method.h"
#include "ridgeline/tools/ptq/layerwise_pass.h"
#include "ridgeline/tools/ptq/plain_method.h"
#include "ridgeline/tools/ptq/weighted_method.h"

namespace ridgeline::ptq {

Result<MethodKind> method_kind(std::string_view name) {
  if (name == "nearest") return MethodKind::kNearest;
  if (name == "importance") return MethodKind::kImportance;
  if (name == "gptq") return MethodKind::kGptq;
  return fail(fmt::format("--method {}: is not known; expected nearest, importance or gptq", name));
}

Status check(const MethodOptions& options) {
  const bool has_text = !options.calibration.text.empty(), has_matrix = !options.imatrix.empty();
  if (!options.save_imatrix.empty() && !has_text)
    return fail("--save-imatrix: there is nothing to save; expected --calibration TEXT");
  switch (options.kind) {
    case MethodKind::kNearest:
      if (has_matrix)
        return fail("--imatrix: --method nearest has no use for it; expected --method importance");
      break;
    case MethodKind::kImportance:
      if (!has_text && !has_matrix)
        return fail(
            "--method importance needs to know what matters: expected --calibration TEXT or "
            "--imatrix FILE");
      break;
    case MethodKind::kGptq:
      if (has_matrix)
        return fail(
            "--imatrix: --method gptq needs more than that file holds; expected --calibration "
            "TEXT");
      if (!has_text) return fail("--method gptq learns from a text: expected --calibration TEXT");
      break;
  }
  return {};
}

namespace {

Result<std::unique_ptr<LayerwisePass>> start_pass(const MethodInputs& inputs, bool with_progress) {
  const Calibration& calibration = *inputs.calibration;
  LayerwisePass::Options options;
  options.backend = calibration.backend;
  options.stop = inputs.stop;
  if (with_progress && inputs.progress) {
    std::int64_t tokens = 0;
    for (const auto& window : calibration.windows)
      tokens += static_cast<std::int64_t>(window.size());
    options.progress = [progress = inputs.progress,
                        total = static_cast<double>(tokens * calibration.config.layers)](
                           std::int64_t rows) { progress(static_cast<double>(rows) / total); };
  }
  return LayerwisePass::start(inputs.model, calibration.config, calibration.windows,
                              std::move(options));
}

}  // namespace

Result<ImportanceMatrix> find_importance(const MethodOptions& options, const MethodInputs& inputs) {
  if (!options.imatrix.empty()) return ImportanceMatrix::read(options.imatrix);
  RIDGELINE_CHECK(inputs.calibration != nullptr);
  RIDGELINE_TRY(const auto pass, start_pass(inputs, /*with_progress=*/true));
  RIDGELINE_TRY(ImportanceMatrix matrix, measure_importance(inputs.model, *pass));
  matrix.datasets = {options.calibration.text};
  matrix.chunks = static_cast<std::int64_t>(inputs.calibration->windows.size());
  matrix.chunk_size = options.calibration.context;
  if (!options.save_imatrix.empty()) RIDGELINE_TRY_STATUS(matrix.write(options.save_imatrix));
  return matrix;
}

Result<std::unique_ptr<Method>> make_method(const MethodOptions& options,
                                            const MethodInputs& inputs) {
  RIDGELINE_TRY_STATUS(check(options));
  const bool saves = !options.save_imatrix.empty() && inputs.importance == nullptr;
  if (saves && options.kind != MethodKind::kImportance) {
    RIDGELINE_TRY(const ImportanceMatrix saved, find_importance(options, inputs));
  }
  switch (options.kind) {
    case MethodKind::kNearest:
      break;
    case MethodKind::kImportance: {
      ImportanceMatrix importance;
      if (inputs.importance != nullptr) {
        importance = *inputs.importance;
      } else {
        RIDGELINE_TRY(importance, find_importance(options, inputs));
      }
      return std::make_unique<WeightedMethod>(
          inputs.model, inputs.threads, std::move(importance),
          options.imatrix.empty() ? options.calibration.text : options.imatrix);
    }
    case MethodKind::kGptq: {
      RIDGELINE_TRY(auto algebra, LinearAlgebra::create(options.calibration.threads,
                                                        inputs.calibration->backend.pin));
      RIDGELINE_TRY(auto pass, start_pass(inputs, /*with_progress=*/false));
      std::unique_ptr<LayerwisePass> reference;
      if (options.gptq.compensation > 0) {
        RIDGELINE_TRY(reference, start_pass(inputs, /*with_progress=*/false));
      }
      return GptqMethod::make(inputs.model, inputs.plan, std::move(pass), std::move(reference),
                              std::move(algebra), {options.gptq, inputs.progress});
    }
  }
  return std::make_unique<PlainMethod>(inputs.model, inputs.threads);
}

}  // namespace ridgeline::ptq
