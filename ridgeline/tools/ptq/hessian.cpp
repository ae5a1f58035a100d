#include "ridgeline/tools/ptq/hessian.h"

namespace ridgeline::ptq {

Result<Hessian> Hessian::make(std::int64_t cols) {
  Hessian h;
  h.cols_ = cols;
  RIDGELINE_TRY(h.storage_, Buffer::allocate(static_cast<std::size_t>(cols * cols) * sizeof(float),
                                             "a Hessian"));
  return h;
}

}  // namespace ridgeline::ptq
