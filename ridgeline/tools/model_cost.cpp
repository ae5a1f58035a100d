#include "ridgeline/tools/model_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>

#include "ridgeline/base/check.h"
#include "ridgeline/model/pack_plan.h"

namespace ridgeline {
namespace {

constexpr std::string_view kEmbedding = "token_embd.weight", kHead = "output.weight";

/// Bytes of a matrix that a product reads: its file's but for padding and rounding.
double read_bytes(const TensorView& tensor, const WeightKernel& kernel, int panel_width) {
  const std::int64_t matrices = matrices_in(tensor);
  const std::int64_t panels = (tensor.rows() / matrices + panel_width - 1) / panel_width;
  return static_cast<double>(matrices * panels) *
         static_cast<double>(kernel.read_bytes(tensor.cols()));
}

}  // namespace

bool is_expert_tensor(std::string_view name) {
  if (name.ends_with("_exps.weight")) return true;
  const std::size_t number = name.find_first_of("0123456789", name.find(".ffn_"));
  return name.find(".ffn_") != name.npos && number != name.npos && name[number - 1] == '.';
}

bool only_for_logits(std::string_view name, std::string_view last_layer) {
  if (name == kEmbedding || name == kHead) return true;  // tied or not, as the head
  if (!name.starts_with(last_layer)) return false;
  name.remove_prefix(last_layer.size());
  return name.starts_with("attn_output") || name.starts_with("ffn_");
}

Seen positions_seen(double first, double n, double window) {
  if (window == 0 || first + n <= window) return {n * (first + (n + 1) / 2), first + n};
  const double growing = std::max(0.0, window - first);  // rows before the window is full
  return {growing * (first + (growing + 1) / 2) + (n - growing) * window,
          std::min(first + n, window + n - 1)};
}

std::vector<ModelCost::Sight> sights_of(const ModelConfig& config) {
  std::map<std::int64_t, int> layers;
  for (int i = 0; i < config.layers; ++i) ++layers[config.window(i)];
  std::vector<ModelCost::Sight> sights;
  for (const auto& [window, count] : layers)
    sights.push_back({window, static_cast<double>(count) / config.layers});
  return sights;
}

ModelCost model_cost(const ModelConfig& config, std::span<const TensorView> tensors,
                     const KernelTable& kernels, ActivationPrecision activations, double kv_bytes) {
  ModelCost cost;
  cost.kv_bytes = kv_bytes;
  cost.sights = sights_of(config);
  cost.attention_ops = 2.0 * config.layers * (config.q_size() + config.attention_size());
  if (config.experts.count > 0)
    cost.chosen_share = static_cast<double>(config.experts.routing.chosen) / config.experts.count;
  const bool untied = std::ranges::find(tensors, kHead, &TensorView::name) != tensors.end();
  const std::string last_layer = fmt::format("blk.{}.", config.layers - 1);
  const auto treatment = [&](const TensorView& tensor) {
    return is_int8(activations) && matrix_type(tensor).kept ? ActivationPrecision::kFast
                                                            : activations;
  };
  for (const TensorView& tensor : tensors) {
    if (matrices_in(tensor) == 0 || (untied && tensor.name == kEmbedding)) continue;
    const WeightKernel* kernel = find_weight_kernel(kernels, tensor.dtype, treatment(tensor));
    RIDGELINE_CHECK(kernel != nullptr);  // the model was loaded
    const bool skipped = only_for_logits(tensor.name, last_layer);
    if (is_expert_tensor(tensor.name)) {
      Cost& experts = skipped ? cost.logit_experts : cost.experts;
      experts.ops_of(arithmetic_of(kernel->activation)) +=
          2.0 * static_cast<double>(tensor.elements()) * cost.chosen_share;
      experts.bytes += read_bytes(tensor, *kernel, kernels.panel_width);
      continue;
    }
    (skipped ? cost.per_logit_row : cost.per_row).ops_of(arithmetic_of(kernel->activation)) +=
        2.0 * static_cast<double>(tensor.elements());
    (skipped ? cost.per_logit_pass : cost.per_pass).bytes +=
        read_bytes(tensor, *kernel, kernels.panel_width);
  }
  return cost;
}

Cost ModelCost::of(const Pass& pass) const {
  double rows = 0, logit_rows = 0, pairs = 0, positions = 0;
  for (const Pass::Part& part : pass.parts) {
    const auto n = static_cast<double>(part.rows), first = static_cast<double>(part.position);
    rows += n;
    logit_rows += part.logits ? 1 : 0;
    positions += n;  // written
    for (const Sight& sight : sights) {
      const Seen part_seen = positions_seen(first, n, static_cast<double>(sight.window));
      pairs += sight.share * part_seen.pairs;
      positions += sight.share * part_seen.positions;
    }
  }
  Cost cost = per_pass;
  cost += per_row * rows;
  cost += per_logit_row * logit_rows;
  if (logit_rows > 0) cost += per_logit_pass;
  const auto add_experts = [&](const Cost& all, double choosing) {
    for (std::size_t i = 0; i < cost.ops.size(); ++i) cost.ops[i] += all.ops[i] * choosing;
    cost.bytes += all.bytes * (1.0 - std::pow(1.0 - chosen_share, choosing));
  };
  add_experts(experts, rows);
  add_experts(logit_experts, logit_rows);
  cost.ops_of(Arithmetic::kF32) += attention_ops * pairs;
  cost.bytes += kv_bytes * positions;
  return cost;
}

Cost ModelCost::of(std::span<const Pass> passes) const {
  Cost sum;
  for (const Pass& pass : passes) sum += of(pass);
  return sum;
}

}  // namespace ridgeline
