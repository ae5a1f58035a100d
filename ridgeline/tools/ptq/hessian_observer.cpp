#include "ridgeline/tools/ptq/hessian_observer.h"

#include <algorithm>
#include <utility>

namespace ridgeline::ptq {

void HessianObserver::observe(Matrix x, std::span<const PackedWeight* const> weights) {
  std::shared_ptr<Hessian> hessian;
  for (const PackedWeight* weight : weights) {
    const auto it = of_tensor_.find(weight->origin.tensor);
    if (it == of_tensor_.end()) continue;
    if (!it->second && !hessian) {
      auto made = Hessian::make(x.cols);
      if (!made) {
        outcome_ = tl::unexpected(made.error());
        return;
      }
      hessian = std::make_shared<Hessian>(*std::move(made));
    }
    if (it->second)
      hessian = it->second;
    else
      it->second = hessian;
  }
  // A tensor's second matrix (the lower rows of a fused one) has the same input again.
  const bool counted = std::ranges::any_of(
      weights, [](const PackedWeight* weight) { return weight->origin.first_row == 0; });
  if (!hessian || !counted) return;
  if (auto status = algebra_.add_outer_products(x, *hessian); !status) outcome_ = status;
}

Status HessianObserver::consume(
    const std::function<Status(Hessian hessian, const std::vector<std::string>& tensors)>& body) {
  RIDGELINE_TRY_STATUS(outcome_);
  std::map<std::shared_ptr<Hessian>, std::vector<std::string>> groups;
  for (auto& [tensor, hessian] : of_tensor_)
    if (hessian) groups[std::move(hessian)].push_back(tensor);
  of_tensor_.clear();
  while (!groups.empty()) {
    const auto smallest =
        std::ranges::min_element(groups, {}, [](const auto& group) { return group.first->cols(); });
    auto node = groups.extract(smallest);
    algebra_.finish(*node.key());
    Hessian hessian = std::move(*node.key());
    node.key().reset();
    RIDGELINE_TRY_STATUS(body(std::move(hessian), node.mapped()));
  }
  return {};
}

}  // namespace ridgeline::ptq
