#include "ridgeline/model/mixture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace ridgeline {
namespace {

using Stack = MixtureWeights::Stack;

/// The experts of one kind: "blk.3.ffn_gate_exps.weight", or "blk.3.ffn_gate.0.weight" and so on.
Result<Stack> load_stack(WeightLoader& loader, const std::string& stem, std::int64_t experts,
                         std::int64_t rows, std::int64_t cols) {
  const std::string stacked = stem + "_exps.weight";
  if (loader.has(stacked) || !loader.has(stem + ".0.weight"))
    return loader.stack(stacked, experts, rows, cols);
  Stack stack;
  for (std::int64_t e = 0; e < experts; ++e) {
    const std::string name = fmt::format("{}.{}.weight", stem, e);
    RIDGELINE_TRY(stack.emplace_back(), loader.matrix(name, rows, cols));
    if (stack.back()->dtype() != stack.front()->dtype())
      return fail(fmt::format("{}: tensor '{}' is {}, expected {} as that of expert 0",
                              loader.path(), name, ridgeline::name(stack.back()->dtype()),
                              ridgeline::name(stack.front()->dtype())));
  }
  return stack;
}

Status load_experts(WeightLoader& loader, const std::string& prefix, const ModelConfig& c,
                    MixtureWeights& w) {
  const std::int64_t experts = c.experts.count, ffn = c.experts.ffn_size, hidden = c.hidden_size;
  const std::string fused = prefix + "ffn_gate_up_exps.weight";
  if (loader.has(fused)) {
    RIDGELINE_TRY(Stack both, loader.stack(fused, 2 * experts, ffn, hidden));
    for (std::size_t i = 0; i < both.size(); ++i)
      (i % 2 == 0 ? w.gate : w.up).push_back(std::move(both[i]));
  } else {
    RIDGELINE_TRY(w.gate, load_stack(loader, prefix + "ffn_gate", experts, ffn, hidden));
    RIDGELINE_TRY(w.up, load_stack(loader, prefix + "ffn_up", experts, ffn, hidden));
  }
  RIDGELINE_TRY(w.down, load_stack(loader, prefix + "ffn_down", experts, hidden, ffn));
  const auto bias = [&](const char* name, std::int64_t cols,
                        std::unique_ptr<DeviceBuffer>& out) -> Status {
    const std::string full = prefix + name;
    if (!loader.has(full)) return {};
    RIDGELINE_TRY(out, loader.table(full, experts, cols));
    return {};
  };
  RIDGELINE_TRY_STATUS(bias("ffn_gate_exps.bias", ffn, w.gate_bias));
  RIDGELINE_TRY_STATUS(bias("ffn_up_exps.bias", ffn, w.up_bias));
  return bias("ffn_down_exps.bias", hidden, w.down_bias);
}

Status load_shared(WeightLoader& loader, const std::string& prefix, const ModelConfig& c,
                   MixtureWeights& w) {
  const std::int64_t ffn = c.experts.shared_ffn_size, hidden = c.hidden_size;
  if (ffn == 0) return {};
  const auto load = [&](const char* name, std::int64_t rows, std::int64_t cols,
                        Stack& out) -> Status {
    RIDGELINE_TRY(out.emplace_back(), loader.matrix(prefix + name, rows, cols));
    return {};
  };
  RIDGELINE_TRY_STATUS(load("ffn_gate_shexp.weight", ffn, hidden, w.shared_gate));
  RIDGELINE_TRY_STATUS(load("ffn_up_shexp.weight", ffn, hidden, w.shared_up));
  RIDGELINE_TRY_STATUS(load("ffn_down_shexp.weight", hidden, ffn, w.shared_down));
  const std::string router = prefix + "ffn_gate_inp_shexp.weight";
  if (loader.has(router)) {
    RIDGELINE_TRY(w.shared_router, loader.row(router, hidden));
  }
  return {};
}

}  // namespace

Result<MixtureWeights> MixtureWeights::load(WeightLoader& loader, const std::string& prefix,
                                            const ModelConfig& c) {
  MixtureWeights w;
  const std::int64_t experts = c.experts.count;
  RIDGELINE_TRY(w.router, loader.matrix(prefix + "ffn_gate_inp.weight", experts, c.hidden_size));
  RIDGELINE_TRY(w.router_bias, loader.optional_vector(prefix + "ffn_gate_inp.bias", experts));
  RIDGELINE_TRY(w.selection_bias, loader.optional_vector(prefix + "exp_probs_b.bias", experts));
  RIDGELINE_TRY_STATUS(load_experts(loader, prefix, c, w));
  RIDGELINE_TRY_STATUS(load_shared(loader, prefix, c, w));
  return w;
}

ExpertChoice Mixture::Choice::get() const {
  return {reinterpret_cast<std::int32_t*>(experts->data()), weights->floats(), per_row};
}

Result<Mixture::Choice> Mixture::allocate_choice(std::int64_t max_rows, int per_row) {
  Choice choice;
  const std::size_t bytes = static_cast<std::size_t>(max_rows * per_row) * sizeof(float);
  RIDGELINE_TRY(choice.experts, ops_->allocate(bytes, "the choice of experts"));
  RIDGELINE_TRY(choice.weights, ops_->allocate(bytes, "the experts' weights"));
  choice.per_row = per_row;
  return choice;
}

Status Mixture::allocate(Backend& ops, const ModelConfig& config, std::int64_t max_rows) {
  const ExpertConfig& experts = config.experts;
  if (experts.count == 0) return {};
  ops_ = &ops;
  routing_ = experts.routing;
  const auto floats = [&](std::int64_t cols) {
    return static_cast<std::size_t>(max_rows * cols) * sizeof(float);
  };
  RIDGELINE_TRY(logits_, ops.allocate(floats(experts.count), "the router's logits"));
  RIDGELINE_TRY(choice_, allocate_choice(max_rows, routing_.chosen));
  RIDGELINE_TRY(shared_choice_, allocate_choice(max_rows, 1));
  if (experts.shared_ffn_size > 0) {
    RIDGELINE_TRY(shared_,
                  ops.allocate(floats(experts.shared_ffn_size), "the shared expert's activations"));
  }
  return {};
}

void Mixture::extend(const ModelConfig& config, Backend::Limits& limits) {
  const ExpertConfig& e = config.experts;
  if (e.count == 0) return;
  limits.experts = e.count;
  limits.experts_per_row = e.routing.chosen;
  limits.expert_cols = std::max({config.hidden_size, e.ffn_size, e.shared_ffn_size});
  limits.expert_hidden =
      std::max(std::int64_t{e.routing.chosen} * e.ffn_size, std::int64_t{e.shared_ffn_size});
  limits.max_cols = std::max<std::int64_t>(limits.max_cols, e.shared_ffn_size);
}

std::size_t Mixture::bytes() const {
  std::size_t bytes = 0;
  for (const DeviceBuffer* b :
       {logits_.get(), shared_.get(), choice_.experts.get(), choice_.weights.get(),
        shared_choice_.experts.get(), shared_choice_.weights.get()})
    if (b != nullptr) bytes += b->bytes();
  return bytes;
}

void Mixture::add(Matrix h, const MixtureWeights& w, Matrix x) {
  const auto matrix = [&](const std::unique_ptr<DeviceBuffer>& buffer, std::int64_t cols) {
    return Matrix{buffer->floats(), h.rows, cols, cols};
  };
  const Matrix logits = matrix(logits_, w.router->rows());
  ops_->linear(h, std::array{LinearOutput{w.router.get(), logits, floats(w.router_bias)}});
  ops_->route(logits, routing_, floats(w.selection_bias), choice_.get());
  ops_->experts(h, choice_.get(),
                {.gate = w.gate,
                 .up = w.up,
                 .down = w.down,
                 .gate_bias = floats(w.gate_bias),
                 .up_bias = floats(w.up_bias),
                 .down_bias = floats(w.down_bias),
                 .activation = w.activation},
                x);
  if (w.shared_gate.empty()) return;

  if (!w.shared_router) {
    const Matrix ffn = matrix(shared_, w.shared_gate.front()->rows());
    ops_->gated_linear(h, *w.shared_gate.front(), *w.shared_up.front(), ffn);
    ops_->linear(ffn, std::array{LinearOutput{w.shared_down.front().get(), x, nullptr, true}});
    return;
  }
  // A mixture of one expert, whose weight is a sigmoid.
  const Matrix logit = matrix(logits_, 1);
  ops_->linear(h, std::array{LinearOutput{w.shared_router.get(), logit}});
  ops_->route(logit, {.scores = RoutingRule::Scores::kSigmoid, .chosen = 1}, nullptr,
              shared_choice_.get());
  ops_->experts(h, shared_choice_.get(),
                {.gate = w.shared_gate, .up = w.shared_up, .down = w.shared_down}, x);
}

}  // namespace ridgeline
