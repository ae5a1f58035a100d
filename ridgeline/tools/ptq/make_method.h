#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "ridgeline/base/result.h"
#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/tools/ptq/calibrate.h"
#include "ridgeline/tools/ptq/gptq.h"
#include "ridgeline/tools/ptq/importance_matrix.h"
#include "ridgeline/tools/ptq/method.h"

namespace ridgeline::ptq {

enum class MethodKind { kNearest, kImportance, kGptq };

/// "nearest", "importance" or "gptq". Error: lists them.
Result<MethodKind> method_kind(std::string_view name);

struct MethodOptions {
  MethodKind kind = MethodKind::kNearest;
  std::string imatrix;               ///< path of an importance matrix
  CalibrationOptions calibration{};  ///< no text: none
  std::string save_imatrix;          ///< path: what calibration measured is written there
  GptqOptions gptq{};
};

/// What a method works on; everything outlives it.
struct MethodInputs {
  const Checkpoint& model;
  const QuantizePlan& plan;
  const Calibration* calibration;      ///< null: no text was given
  const ImportanceMatrix* importance;  ///< what find_importance() gave; null: not asked yet
  ThreadPool& threads;
  /// Of the work before the first tensor is asked for, or with GPTQ of all of it.
  std::function<void(double fraction)> progress;
  const std::atomic<bool>* stop = nullptr;
};

/// Whether the options say what the method needs, and nothing that it has no use for.
Status check(const MethodOptions& options);
/// Errors: check()'s; an importance matrix that cannot be read; those of running the model.
Result<std::unique_ptr<Method>> make_method(const MethodOptions& options,
                                            const MethodInputs& inputs);
/// The matrix of options.imatrix, or what the calibration's text gives.
Result<ImportanceMatrix> find_importance(const MethodOptions& options, const MethodInputs& inputs);

}  // namespace ridgeline::ptq
