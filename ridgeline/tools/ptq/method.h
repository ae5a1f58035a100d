#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/ptq/quantize_plan.h"
#include "ridgeline/tools/ptq/tensor_quality.h"

namespace ridgeline::ptq {

/// How tensors become blocks: rounded to nearest, by an importance matrix, by GPTQ.
class Method {
 public:
  virtual ~Method() = default;
  virtual std::string_view name() const = 0;

  /// The next bytes of the tensor in its new type, in the order of its rows.
  using Append = std::function<Status(std::span<const std::byte>)>;
  /// Called in the plan's order, once for each tensor that is_rounded(). A method may
  /// compute a whole layer when it is asked for its first tensor.
  virtual Status quantize(const PlannedTensor& tensor, const Append& append,
                          TensorQuality& quality) = 0;

  /// What people should know of the result: tensors that the method could not serve.
  virtual std::vector<std::string> notes() const { return {}; }
};

}  // namespace ridgeline::ptq
