#include "ridgeline/tools/layer_probe.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "ridgeline/model/pack_plan.h"
#include "ridgeline/platform/topology.h"
#include "ridgeline/tools/ptq/type_mixture.h"
#include "ridgeline/tools/repeat_timing.h"

namespace ridgeline {
namespace {

/// Of the last-level cache: as much as its replacement cannot keep from one pass to the next.
constexpr std::size_t kCaches = 3;
constexpr int kLayersMin = 2;

/// Bytes of each layer's matrices in the file.
std::vector<std::size_t> layer_bytes(const Checkpoint& file, int layers) {
  std::vector<std::size_t> bytes(static_cast<std::size_t>(layers));
  for (const TensorView& tensor : file.tensors())
    if (const int layer = ptq::layer_of(tensor.name); layer >= 0 && layer < layers)
      bytes[static_cast<std::size_t>(layer)] +=
          static_cast<std::size_t>(tensor.rows()) * row_bytes(tensor.dtype, tensor.cols());
  return bytes;
}

int enough_layers(const Checkpoint& file, int layers) {
  const std::vector<std::size_t> bytes = layer_bytes(file, layers);
  std::size_t sum = 0;
  int count = 0;
  while (count < layers && (count < kLayersMin || sum < kCaches * topology().l3_bytes))
    sum += bytes[static_cast<std::size_t>(count++)];
  return count;
}

}  // namespace

Result<std::unique_ptr<LayerProbe>> LayerProbe::create(const Checkpoint& file,
                                                       const ModelConfig& config,
                                                       const BackendOptions& options) {
  std::unique_ptr<LayerProbe> probe(new LayerProbe(config));
  probe->activations_ = options.activations;
  probe->part_ = {0, enough_layers(file, config.layers), /*ends=*/false};
  // Half of a short context is before the second look, and half is the chunk.
  probe->many_rows_ = std::min(kManyRows, std::max<std::int64_t>(1, config.context_length / 2));
  probe->far_ = std::min(kFar, config.context_length - probe->many_rows_);
  RIDGELINE_TRY(probe->backend_, create_backend(options));

  Checkpoint::Contents contents;
  contents.path = file.path();
  contents.format = file.format();
  contents.metadata = file.metadata();
  for (const TensorView& tensor : file.tensors())
    if (const int layer = ptq::layer_of(tensor.name); layer >= 0 && layer < probe->layers())
      contents.tensors.push_back(tensor);
  const Checkpoint part(std::move(contents));
  probe->work_ = model_work(config, part.tensors(), options.activations, 0);
  Model::LoadOptions load;
  load.part = probe->part_;
  load.max_batch_rows = probe->many_rows_;
  load.max_logit_rows = 1;
  load.max_positions = probe->far_ + probe->many_rows_;
  RIDGELINE_TRY(probe->model_, Model::load(part, config, *probe->backend_, load));

  probe->x_.resize(static_cast<std::size_t>(probe->many_rows_ * config.hidden_size));
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (float& x : probe->x_) x = normal(random);
  return probe;
}

double LayerProbe::run(KvCache& cache, std::int64_t position, std::int64_t rows, double seconds) {
  std::vector<std::int32_t> blocks(static_cast<std::size_t>(cache.shape().blocks));
  std::iota(blocks.begin(), blocks.end(), 0);
  Batch batch;
  batch.tokens.assign(static_cast<std::size_t>(rows), 0);
  batch.slices = {{0, static_cast<std::int32_t>(rows), position, KvBlockTables(blocks)}};
  batch.logit_rows.resize(static_cast<std::size_t>(rows));  // all, so that no layer drops any
  std::iota(batch.logit_rows.begin(), batch.logit_rows.end(), 0);
  // Other rows each time: in a mixture they choose other experts, whose weights are elsewhere.
  const std::int64_t width = config_.hidden_size;
  std::vector<float> x(static_cast<std::size_t>(rows * width));
  std::int64_t first = 0;
  return seconds_of_call(
      [&] {
        std::copy_n(x_.begin() + first * width, rows * width, x.begin());
        first = (first + 1) % (many_rows_ - rows + 1);
        for (int layer = 0; layer < layers(); ++layer) model_->run_layer(layer, batch, cache, x);
      },
      seconds);
}

Result<LayerRate> LayerProbe::measure(DType kv_type, const SpeedRates& rates,
                                      const std::function<double()>& slowdown, double seconds) {
  constexpr int kTurns = 7;
  const auto blocks = static_cast<int>((far_ + many_rows_ + kKvBlockTokens - 1) / kKvBlockTokens);
  RIDGELINE_TRY(const auto cache, backend_->make_kv_cache(config_.kv_shape(kv_type, blocks)));
  const auto rows = static_cast<double>(many_rows_), far = static_cast<double>(far_);
  const double of_one = products_seconds(work_, rates, 1, 1);
  const double many_far = run(*cache, far_, many_rows_, seconds / 4);
  const double many_near = run(*cache, 0, many_rows_, seconds / 4);
  std::vector<double> rest, further;
  double before = slowdown();
  for (int turn = 0; turn < kTurns; ++turn) {
    const double near = run(*cache, 0, 1, seconds / (4 * kTurns));
    further.push_back(run(*cache, far_, 1, seconds / (4 * kTurns)) - near);
    const double after = slowdown();
    rest.push_back(near - of_one * (before + after) / 2);
    before = after;
  }
  const auto each = [&](double all) { return all / layers(); };
  LayerRate rate;
  if (far_ > 0) {
    rate.seconds_per_position = std::max(0.0, each(median(further))) / far;
    rate.seconds_per_pair = std::max(0.0, each(many_far - many_near)) / (far * rows);
  }
  rate.seconds_one = each(median(rest)) - rate.seconds_per_position;
  const double pairs = rows * (rows + 1) / 2;
  if (many_rows_ > 1)
    rate.seconds_per_row = (each(many_near - products_seconds(work_, rates, rows, rows)) -
                            rate.seconds_per_pair * pairs - rate.seconds_one) /
                           (rows - 1);
  return rate;
}

double LayerProbe::head_seconds() {
  const std::vector<float> logits(static_cast<std::size_t>(config_.vocab_size), 1.0F);
  std::vector<float> out(logits.size());
  return seconds_of_call([&] { std::copy(logits.begin(), logits.end(), out.begin()); }, 0.005);
}

}  // namespace ridgeline
