#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/ops/backend.h"
#include "ridgeline/tools/ptq/hessian.h"

namespace ridgeline::ptq {

/// Adds up the outer products of the inputs of some tensors. Products that share their input
/// share a Hessian; so do all matrices of a stack, because those of every expert would not fit.
class HessianObserver final : public LinearObserver {
 public:
  explicit HessianObserver(LinearAlgebra& algebra) : algebra_(algebra) {}
  /// Only these are watched.
  void expect(const std::string& tensor) { of_tensor_.try_emplace(tensor); }
  void observe(Matrix x, std::span<const PackedWeight* const> weights) override;

  /// What went wrong in observe(), which cannot say.
  Status status() const { return outcome_; }
  /// Calls body(Hessian, tensors) for each, largest last, and frees it.
  Status consume(
      const std::function<Status(Hessian hessian, const std::vector<std::string>& tensors)>& body);

 private:
  LinearAlgebra& algebra_;
  std::map<std::string, std::shared_ptr<Hessian>, std::less<>> of_tensor_;
  Status outcome_{};
};

}  // namespace ridgeline::ptq
