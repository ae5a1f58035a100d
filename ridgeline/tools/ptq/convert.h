#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/format/gguf_writer.h"
#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/tools/ptq/method.h"
#include "ridgeline/tools/ptq/quantize_report.h"

namespace ridgeline::ptq {

struct ConvertControl {
  std::function<void(double fraction)> progress;  ///< of the new file's bytes; may be empty
  const std::atomic<bool>* stop = nullptr;        ///< looked at between pieces of a tensor
};

/// Writes the plan's tensors as one GGUF file, front to back: what is_rounded() by `method`, the
/// rest copied or converted between F32, F16 and BF16. The file appears at `target` whole, or
/// not at all. Memory: RowStream's, and the method's own.
Result<std::vector<TensorReport>> convert(const Checkpoint& model, const QuantizePlan& plan,
                                          const GgufMetadata& metadata, const std::string& target,
                                          Method& method, ThreadPool& threads,
                                          const ConvertControl& control);

}  // namespace ridgeline::ptq
