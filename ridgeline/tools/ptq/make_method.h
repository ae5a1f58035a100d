#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "ridgeline/base/result.h"
#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/tools/ptq/method.h"

namespace ridgeline::ptq {

enum class MethodKind { kNearest, kImportance, kGptq };

/// "nearest", "importance" or "gptq". Error: lists them.
Result<MethodKind> method_kind(std::string_view name);

struct MethodOptions {
  MethodKind kind = MethodKind::kNearest;
  std::string imatrix;      ///< path of an importance matrix
  std::string calibration;  ///< path of a text
  std::int64_t context = 512;
};

/// Model and threads outlive the method. Errors: what the method needs is missing, or given
/// and of no use to it.
Result<std::unique_ptr<Method>> make_method(const MethodOptions& options, const Checkpoint& model,
                                            ThreadPool& threads);

}  // namespace ridgeline::ptq
