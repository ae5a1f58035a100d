#include "ridgeline/tools/ptq/sensitivity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ridgeline/model/pack_plan.h"
#include "ridgeline/quant/block_format.h"
#include "ridgeline/quant/block_grid.h"
#include "ridgeline/quant/decode_rows.h"
#include "ridgeline/tools/ptq/type_mixture.h"

namespace ridgeline::ptq {
namespace {

constexpr std::size_t kScoredStep = 4;  // of so many positions one counts
constexpr std::int64_t kHeadRows = 16;
constexpr std::int64_t kSampledRows = 512;  // of a tensor, to compare types by

void to_log_probabilities(std::span<float> logits) {
  const double max = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float l : logits) sum += std::exp(l - max);
  const double shift = max + std::log(sum);
  for (float& l : logits) l = static_cast<float>(l - shift);
}

double kl(std::span<const float> p, std::span<const float> q) {
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i)
    sum += std::exp(double{p[i]}) * (double{p[i]} - double{q[i]});
  return sum;
}

/// The importance of a row's inputs, or nothing where it is not known.
std::vector<float> importance_of(const ImportanceMatrix& matrix, const TensorView& tensor,
                                 std::int64_t row) {
  const ImportanceMatrix::Entry* entry = matrix.find(tensor.name);
  if (entry == nullptr || entry->cols() != tensor.cols()) return {};
  const auto matrices = static_cast<std::int64_t>(entry->counts.size());
  return entry->mean_squares(row * matrices / tensor.rows());
}

/// Blocks of rows [first, first + count), and their weighted error.
double round_rows(const TensorView& tensor, std::int64_t first, std::int64_t count, DType type,
                  const ImportanceMatrix& matrix, std::byte* out) {
  const std::int64_t cols = tensor.cols();
  std::vector<std::byte> scratch;
  std::vector<float> rows(static_cast<std::size_t>(count * cols));
  std::vector<float> decoded(static_cast<std::size_t>(cols));
  decode_rows(tensor, first, count, scratch, rows.data());
  const std::size_t stride = row_bytes(type, cols);
  double error = 0;
  for (std::int64_t r = 0; r < count; ++r, out += stride) {
    const std::vector<float> importance = importance_of(matrix, tensor, first + r);
    const std::span row =
        std::span(rows).subspan(static_cast<std::size_t>(r * cols), static_cast<std::size_t>(cols));
    encode_weighted(type, row.data(), importance.empty() ? nullptr : importance.data(), cols, out);
    decode(type, out, cols, decoded.data());
    for (std::size_t i = 0; i < row.size(); ++i) {
      const double difference = double{row[i]} - double{decoded[i]};
      error += difference * difference * (importance.empty() ? 1.0 : double{importance[i]});
    }
  }
  return error;
}

}  // namespace

Result<std::unique_ptr<Sensitivity>> Sensitivity::measure_from(
    const Checkpoint& model, ModelConfig config, std::vector<std::vector<TokenId>> windows,
    const BackendOptions& backend) {
  std::unique_ptr<Sensitivity> s(new Sensitivity(model, std::move(config)));
  for (const auto& window : windows) {
    const auto rows = static_cast<std::int32_t>(window.size());
    s->batch_.slices.push_back({static_cast<std::int32_t>(s->batch_.rows()), rows, 0, {}});
    s->batch_.tokens.insert(s->batch_.tokens.end(), window.begin(), window.end());
  }
  if (s->batch_.rows() < static_cast<std::int64_t>(kScoredStep))
    return fail("there is too little text to measure sensitivity with");
  RIDGELINE_TRY_STATUS(s->start(backend));
  return s;
}

Result<std::unique_ptr<Model>> Sensitivity::load(const Model::Part& part,
                                                 const TensorView* replaced) {
  Checkpoint::Contents contents;
  contents.path = model_.path();
  for (const TensorView& t : model_.tensors()) {
    const int layer = layer_of(t.name);
    if (layer < 0 ? !part.ends : layer < part.first_layer || layer >= part.end_layer) continue;
    contents.tensors.push_back(replaced != nullptr && replaced->name == t.name ? *replaced : t);
  }
  std::int64_t longest = 0;
  for (const SequenceSlice& slice : batch_.slices)
    longest = std::max<std::int64_t>(longest, slice.rows);
  Model::LoadOptions load;
  load.max_batch_rows = batch_.rows();
  load.max_logit_rows = kHeadRows;
  load.max_positions = longest;
  load.part = part;
  return Model::load(Checkpoint(std::move(contents)), config_, *backend_, load);
}

Status Sensitivity::start(const BackendOptions& backend) {
  RIDGELINE_TRY(backend_, create_backend(backend));
  const auto blocks_of = [](const SequenceSlice& slice) {
    return static_cast<std::size_t>((slice.rows + kKvBlockTokens - 1) / kKvBlockTokens);
  };
  std::size_t blocks = 0;
  for (const SequenceSlice& slice : batch_.slices) blocks += blocks_of(slice);
  block_ids_.resize(blocks);
  std::iota(block_ids_.begin(), block_ids_.end(), 0);
  std::size_t first = 0;
  for (SequenceSlice& slice : batch_.slices) {
    slice.block_tables =
        KvBlockTables(KvBlockTables::Table(block_ids_).subspan(first, blocks_of(slice)));
    first += blocks_of(slice);
  }
  batch_.logit_rows.resize(batch_.tokens.size());
  std::iota(batch_.logit_rows.begin(), batch_.logit_rows.end(), 0);
  RIDGELINE_TRY(kv_cache_,
                backend_->make_kv_cache(config_.kv_shape(DType::kF16, static_cast<int>(blocks))));

  RIDGELINE_TRY(ends_, load({0, 0, true}, nullptr));
  std::vector<float> x(static_cast<std::size_t>(batch_.rows() * config_.hidden_size));
  ends_->embed(batch_, x);
  for (int layer = 0; layer < config_.layers; ++layer) {
    RIDGELINE_TRY(layers_.emplace_back(), load({layer, layer + 1, false}, nullptr));
    before_.push_back(x);
    layers_.back()->run_layer(layer, batch_, *kv_cache_, x);
  }
  for_predictions(*ends_, x, [&](std::size_t, std::span<const float> row) {
    log_probabilities_.insert(log_probabilities_.end(), row.begin(), row.end());
  });
  return {};
}

std::vector<float> Sensitivity::scored_rows(std::span<const float> x) const {
  const auto hidden = static_cast<std::size_t>(config_.hidden_size);
  std::vector<float> rows;
  for (std::size_t r = kScoredStep - 1; r < batch_.tokens.size(); r += kScoredStep) {
    const auto row = x.subspan(r * hidden, hidden);
    rows.insert(rows.end(), row.begin(), row.end());
  }
  return rows;
}

void Sensitivity::for_predictions(
    Model& ends, std::span<const float> x,
    const std::function<void(std::size_t, std::span<const float>)>& body) {
  const std::vector<float> rows = scored_rows(x);
  const auto count = static_cast<std::int64_t>(rows.size()) / config_.hidden_size;
  Batch batch;
  batch.tokens.resize(static_cast<std::size_t>(count));
  ends.finish(batch, rows);
  const auto vocab = static_cast<std::size_t>(config_.vocab_size);
  std::vector<float> logits(static_cast<std::size_t>(kHeadRows) * vocab);
  for (std::int64_t begin = 0; begin < count; begin += kHeadRows) {
    const std::int64_t n = std::min(kHeadRows, count - begin);
    ends.head(begin, n, std::span(logits).first(static_cast<std::size_t>(n) * vocab));
    for (std::int64_t i = 0; i < n; ++i) {
      const auto row = std::span(logits).subspan(static_cast<std::size_t>(i) * vocab, vocab);
      to_log_probabilities(row);
      body(static_cast<std::size_t>(begin + i), row);
    }
  }
}

Result<double> Sensitivity::divergence(const TensorView& tensor, DType type,
                                       const ImportanceMatrix& matrix) {
  const std::size_t stride = row_bytes(type, tensor.cols());
  std::vector<std::byte> blocks(stride * static_cast<std::size_t>(tensor.rows()));
  backend_->host_threads().parallel_for(tensor.rows(), [&](std::int64_t row, int) {
    round_rows(tensor, row, 1, type, matrix,
               blocks.data() + static_cast<std::size_t>(row) * stride);
  });
  TensorView rounded = tensor;
  rounded.dtype = type;
  rounded.convert = nullptr;
  rounded.data = blocks.data();
  rounded.bytes = blocks.size();

  const int layer = layer_of(tensor.name);
  const Model::Part part =
      layer < 0 ? Model::Part{0, 0, true} : Model::Part{layer, layer + 1, false};
  RIDGELINE_TRY(const auto changed, load(part, &rounded));
  std::vector<float> x(static_cast<std::size_t>(batch_.rows() * config_.hidden_size));
  if (layer < 0)
    changed->embed(batch_, x);
  else
    x = before_[static_cast<std::size_t>(layer)];
  for (int i = std::max(layer, 0); i < config_.layers; ++i)
    (i == layer ? *changed : *layers_[static_cast<std::size_t>(i)])
        .run_layer(i, batch_, *kv_cache_, x);

  double sum = 0;
  std::size_t positions = 0;
  const auto vocab = static_cast<std::size_t>(config_.vocab_size);
  for_predictions(layer < 0 ? *changed : *ends_, x,
                  [&](std::size_t position, std::span<const float> row) {
                    sum += kl(std::span(log_probabilities_).subspan(position * vocab, vocab), row);
                    ++positions;
                  });
  const double mean = sum / static_cast<double>(positions);
  if (!std::isfinite(mean))
    return fail(fmt::format("{}: with '{}' as {} the predictions are not finite numbers",
                            model_.path(), tensor.name, name(type)));
  return std::max(mean, 0.0);
}

Result<std::vector<TypeCost>> type_costs(Sensitivity& sensitivity, const TensorView& tensor,
                                         std::span<const DType> candidates, DType probe,
                                         const ImportanceMatrix& matrix) {
  RIDGELINE_TRY(const double measured, sensitivity.divergence(tensor, probe, matrix));
  const std::int64_t step = std::max<std::int64_t>(1, tensor.rows() / kSampledRows);
  const auto error = [&](DType type) {
    std::vector<std::byte> out(row_bytes(type, tensor.cols()));
    double sum = 0;
    for (std::int64_t r = 0; r < tensor.rows(); r += step)
      sum += round_rows(tensor, r, 1, type, matrix, out.data());
    return sum;
  };
  const double of_probe = error(probe);
  std::vector<TypeCost> costs;
  for (const DType type : candidates)
    costs.push_back({type, row_bytes(type, tensor.cols()) * static_cast<std::size_t>(tensor.rows()),
                     of_probe > 0 ? measured * error(type) / of_probe : 0.0});
  return costs;
}

}  // namespace ridgeline::ptq
