#include "ridgeline/tools/ptq/gptq_method.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ridgeline/model/pack_plan.h"
#include "ridgeline/quant/block_format.h"
#include "ridgeline/quant/block_grid.h"
#include "ridgeline/quant/decode_rows.h"
#include "ridgeline/tools/ptq/hessian_observer.h"

namespace ridgeline::ptq {
namespace {

// How a layer's time divides, about: its pass, Hessians among it; factors and rounding; the pass
// of the quantized layer.
constexpr double kAfterPass = 0.6, kAfterRounding = 0.8;

TensorView as_view(const PlannedTensor& tensor, std::span<const std::byte> blocks) {
  TensorView view;
  view.name = tensor.source->name;
  view.dtype = tensor.type;
  view.shape = tensor.source->shape;
  view.data = blocks.data();
  view.bytes = blocks.size();
  return view;
}

/// Keeps what goes into one tensor's product.
class InputRecorder final : public LinearObserver {
 public:
  explicit InputRecorder(std::string tensor) : tensor_(std::move(tensor)) {}
  void observe(Matrix x, std::span<const PackedWeight* const> weights) override {
    const bool is_seen = std::ranges::any_of(weights, [&](const PackedWeight* weight) {
      return weight->origin.tensor == tensor_ && weight->origin.first_row == 0;
    });
    if (!is_seen) return;
    for (std::int64_t r = 0; r < x.rows; ++r)
      rows_.insert(rows_.end(), x.data + r * x.stride, x.data + r * x.stride + x.cols);
  }
  /// What came since the last time, until more comes.
  Matrix take(std::int64_t cols) {
    taken_.swap(rows_);
    rows_.clear();
    return {taken_.data(), static_cast<std::int64_t>(taken_.size()) / cols, cols, cols};
  }

 private:
  std::string tensor_;
  std::vector<float> rows_, taken_;
};

/// Rows [first, first + count) as floats.
void read_floats(const TensorView& source, std::int64_t first, std::int64_t count,
                 ThreadPool& threads, std::vector<float>& out) {
  const std::int64_t cols = source.cols();
  out.resize(static_cast<std::size_t>(count * cols));
  constexpr std::int64_t kRows = 64;
  threads.parallel_for((count + kRows - 1) / kRows, [&](std::int64_t i, int) {
    std::vector<std::byte> scratch;
    const std::int64_t begin = i * kRows, rows = std::min(kRows, count - begin);
    decode_rows(source, first + begin, rows, scratch, out.data() + begin * cols);
  });
}

}  // namespace

Result<std::unique_ptr<GptqMethod>> GptqMethod::make(const Checkpoint& model,
                                                     const QuantizePlan& plan,
                                                     std::unique_ptr<LayerwisePass> pass,
                                                     std::unique_ptr<LayerwisePass> reference,
                                                     std::unique_ptr<LinearAlgebra> algebra,
                                                     Options options) {
  return std::unique_ptr<GptqMethod>(new GptqMethod(
      model, plan, std::move(pass), std::move(reference), std::move(algebra), std::move(options)));
}

GptqMethod::GptqMethod(const Checkpoint& model, const QuantizePlan& plan,
                       std::unique_ptr<LayerwisePass> pass,
                       std::unique_ptr<LayerwisePass> reference,
                       std::unique_ptr<LinearAlgebra> algebra, Options options)
    : model_(model),
      plan_(plan),
      pass_(std::move(pass)),
      reference_(std::move(reference)),
      algebra_(std::move(algebra)),
      options_(std::move(options)) {}

bool GptqMethod::is_head(const PlannedTensor& tensor) const {
  return tensor.source->name ==
         (model_.tensor("output.weight") != nullptr ? "output.weight" : "token_embd.weight");
}

Status GptqMethod::quantize(const PlannedTensor& tensor, const Append& append,
                            TensorQuality& quality) {
  const std::string& name = tensor.source->name;
  if (!ready_.contains(name)) {
    const bool has_grid = grid_format(tensor.type) != nullptr;
    if (tensor.layer >= 0) RIDGELINE_TRY_STATUS(compute_until(tensor.layer + 1));
    if (tensor.layer < 0 && has_grid && is_head(tensor) && !pass_->config().is_encoder)
      RIDGELINE_TRY_STATUS(compute_head(tensor));
    if (!ready_.contains(name)) RIDGELINE_TRY_STATUS(round_by_weights(tensor, ready_[name]));
  }
  const auto blocks = ready_.extract(name);
  quality = blocks.mapped().quality;
  return append(blocks.mapped().bytes);
}

void GptqMethod::report(double within_layer) {
  if (options_.progress)
    options_.progress((layers_done_ + within_layer) / (pass_->config().layers + 1));
}

Status GptqMethod::compute_until(int layer) {
  while (layers_done_ < layer) {
    RIDGELINE_TRY_STATUS(compute_layer(layers_done_));
    ++layers_done_;
  }
  return {};
}

Status GptqMethod::compute_layer(int layer) {
  std::map<std::string, const PlannedTensor*, std::less<>> wanted;
  const PlannedTensor* const last = compensating_tensor(layer);
  HessianObserver observer(*algebra_);
  for (const PlannedTensor& t : plan_.tensors()) {
    if (t.layer != layer || !t.changes()) continue;
    wanted[t.source->name] = &t;
    if (&t != last && grid_format(t.type) != nullptr && matrices_in(*t.source) > 0)
      observer.expect(t.source->name);
  }
  using Output = LayerwisePass::Output;
  if (reference_) RIDGELINE_TRY_STATUS(reference_->run(layer, {}, nullptr, Output::kKeep));
  if (wanted.empty()) return pass_->run(layer, {}, nullptr, Output::kKeep);

  RIDGELINE_TRY_STATUS(pass_->run(layer, {}, &observer, Output::kDrop));
  report(kAfterPass);
  const auto solve = [&](Hessian hessian, const std::vector<std::string>& tensors) -> Status {
    GptqOptions gptq = options_.gptq;
    gptq.block_elements = 1;
    for (const std::string& name : tensors)
      gptq.block_elements =
          std::max(gptq.block_elements, info(wanted.at(name)->type).block_elements);
    auto solver = Gptq::prepare(std::move(hessian), gptq, *algebra_, tensors.front());
    if (!solver) {
      notes_.push_back(solver.error().message);
      return {};  // they are rounded below
    }
    for (const std::string& name : tensors)
      RIDGELINE_TRY_STATUS(round(*wanted.at(name), **solver, ready_[name]));
    return {};
  };
  RIDGELINE_TRY_STATUS(observer.consume(solve));
  LayerwisePass::Replacements replacements;
  for (const auto& [name, tensor] : wanted) {
    if (tensor == last) continue;
    if (!ready_.contains(name)) RIDGELINE_TRY_STATUS(round_by_weights(*tensor, ready_[name]));
    replacements.emplace(name, as_view(*tensor, ready_[name].bytes));
  }
  if (last != nullptr) {
    const std::string& name = last->source->name;
    RIDGELINE_TRY_STATUS(compute_compensating(layer, *last, replacements));
    replacements.emplace(name, as_view(*last, ready_[name].bytes));
  }
  report(kAfterRounding);
  return pass_->run(layer, replacements, nullptr, Output::kKeep);
}

const PlannedTensor* GptqMethod::compensating_tensor(int layer) const {
  // Only where its outputs go to the residual stream as they are.
  const ModelConfig& config = pass_->config();
  if (!reference_ || config.is_encoder || config.residual_scale != 1.0F ||
      model_.tensor(fmt::format("blk.{}.post_ffw_norm.weight", layer)) != nullptr)
    return nullptr;
  const std::string name = fmt::format("blk.{}.ffn_down.weight", layer);
  for (const PlannedTensor& t : plan_.tensors())
    if (t.source->name == name && t.changes() && grid_format(t.type) != nullptr &&
        matrices_in(*t.source) == 1)
      return &t;
  return nullptr;
}

Status GptqMethod::compute_compensating(int layer, const PlannedTensor& tensor,
                                        const LayerwisePass::Replacements& replacements) {
  const std::string& name = tensor.source->name;
  const std::int64_t cols = tensor.source->cols(), rows = tensor.source->rows();
  RIDGELINE_TRY(Hessian hessian, Hessian::make(cols));
  std::vector<float> change_values(static_cast<std::size_t>(rows * cols));
  const Matrix change{change_values.data(), rows, cols, cols};

  InputRecorder recorder(name);
  std::vector<float> lost;
  const auto add_batch = [&](std::int64_t first_row, Matrix out) -> Status {
    const Matrix x = recorder.take(cols);
    if (x.rows != out.rows)
      return fail(fmt::format("{}: {} rows reached it, expected {}", name, x.rows, out.rows));
    const Matrix wanted = reference_->rows(first_row, out.rows);
    lost.resize(static_cast<std::size_t>(out.rows * out.cols));
    for (std::size_t i = 0; i < lost.size(); ++i) lost[i] = wanted.data[i] - out.data[i];
    RIDGELINE_TRY_STATUS(algebra_->add_outer_products(x, hessian));
    return algebra_->add_cross_products({lost.data(), out.rows, out.cols, out.cols}, x, change);
  };
  RIDGELINE_TRY_STATUS(
      pass_->run(layer, replacements, &recorder, LayerwisePass::Output::kDrop, add_batch));
  algebra_->finish(hessian);
  for (float& v : change_values) v *= static_cast<float>(options_.gptq.compensation);

  GptqOptions gptq = options_.gptq;
  gptq.block_elements = info(tensor.type).block_elements;
  auto solver = Gptq::prepare(std::move(hessian), gptq, *algebra_, name, change);
  if (!solver) {
    notes_.push_back(solver.error().message);
    return round_by_weights(tensor, ready_[name]);
  }
  return round(tensor, **solver, ready_[name], change);
}

Status GptqMethod::compute_head(const PlannedTensor& head) {
  RIDGELINE_TRY_STATUS(compute_until(pass_->config().layers));
  RIDGELINE_TRY(Hessian hessian, Hessian::make(pass_->config().hidden_size));
  RIDGELINE_TRY_STATUS(
      pass_->finish([&](Matrix rows) { return algebra_->add_outer_products(rows, hessian); }));
  algebra_->finish(hessian);
  GptqOptions gptq = options_.gptq;
  gptq.block_elements = info(head.type).block_elements;
  auto solver = Gptq::prepare(std::move(hessian), gptq, *algebra_, head.source->name);
  if (!solver) {
    notes_.push_back(solver.error().message);
    return {};
  }
  return round(head, **solver, ready_[head.source->name]);
}

Status GptqMethod::round(const PlannedTensor& tensor, Gptq& solver, Blocks& out, Matrix change) {
  const TensorView& source = *tensor.source;
  const std::int64_t matrices = std::max<std::int64_t>(1, matrices_in(source));
  const std::int64_t rows = source.rows() / matrices;
  const std::size_t bytes = row_bytes(tensor.type, source.cols()) * static_cast<std::size_t>(rows);
  out.bytes.resize(bytes * static_cast<std::size_t>(matrices));
  std::vector<float> weights;
  for (std::int64_t m = 0; m < matrices; ++m) {
    read_floats(source, m * rows, rows, algebra_->threads(), weights);
    std::byte* const to = out.bytes.data() + static_cast<std::size_t>(m) * bytes;
    if (change.rows == 0) {
      RIDGELINE_TRY_STATUS(solver.quantize(weights, rows, tensor.type, to, out.quality));
      continue;
    }
    std::vector<float> changed(weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i) changed[i] = weights[i] + change.data[i];
    TensorQuality of_changed;  // what counts is the distance from the original
    RIDGELINE_TRY_STATUS(solver.quantize(changed, rows, tensor.type, to, of_changed));
    decode(tensor.type, to, rows * source.cols(), changed.data());
    out.quality.add(weights, changed);
  }
  model_.release(source);
  return {};
}

Status GptqMethod::round_by_weights(const PlannedTensor& tensor, Blocks& out) {
  const TensorView& source = *tensor.source;
  const std::int64_t cols = source.cols(), rows = source.rows();
  const std::size_t stride = row_bytes(tensor.type, cols);
  out.bytes.resize(stride * static_cast<std::size_t>(rows));
  constexpr std::int64_t kRows = 1024;
  std::vector<float> weights, decoded;
  for (std::int64_t first = 0; first < rows; first += kRows) {
    const std::int64_t count = std::min(kRows, rows - first);
    read_floats(source, first, count, algebra_->threads(), weights);
    decoded.resize(weights.size());
    algebra_->threads().parallel_for(count, [&](std::int64_t r, int) {
      std::byte* const to = out.bytes.data() + static_cast<std::size_t>(first + r) * stride;
      const float* const from = weights.data() + r * cols;
      if (grid_format(tensor.type) != nullptr)
        encode_weighted(tensor.type, from, nullptr, cols, to);
      else
        encode(tensor.type, from, cols, to);
      decode(tensor.type, to, cols, decoded.data() + r * cols);
    });
    out.quality.add(weights, decoded);
  }
  model_.release(source);
  return {};
}

}  // namespace ridgeline::ptq
