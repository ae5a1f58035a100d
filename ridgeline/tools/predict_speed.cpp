#include "ridgeline/tools/predict_speed.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "ridgeline/base/check.h"
#include "ridgeline/model/pack_plan.h"
#include "ridgeline/tools/statistics.h"

namespace ridgeline {
namespace {

/// Linear between knots, proportional to the rows behind the last.
double at_rows(std::span<const ProductRate::Knot> knots, double rows) {
  const auto above = std::ranges::find_if(knots, [&](const auto& k) { return k.rows >= rows; });
  if (above == knots.begin()) return above->seconds_per_weight;
  const ProductRate::Knot& low = *(above - 1);
  if (above == knots.end()) return low.seconds_per_weight * rows / low.rows;
  return std::lerp(low.seconds_per_weight, above->seconds_per_weight,
                   (rows - low.rows) / (above->rows - low.rows));
}

}  // namespace

double ProductRate::seconds_per_weight(double rows, double now) const {
  RIDGELINE_CHECK(!knots.empty());
  const double seconds = at_rows(knots, std::max(rows, 1.0));
  if (now <= 0 || read_bytes_per_second <= 0) return seconds;
  const double memory_then = bytes_per_weight / read_bytes_per_second;
  const double memory_now = bytes_per_weight / now;
  // Reading is behind all of the time where the time is that of reading, and hidden behind
  // arithmetic that takes twice as long.
  const double share = std::clamp(2 - seconds / memory_then, 0.0, 1.0);
  return seconds + share * (memory_now - memory_then);
}

double ProductRate::share_of_memory() const {
  const double seconds = knots.empty() ? 0 : knots.front().seconds_per_weight;
  if (seconds <= 0 || read_bytes_per_second <= 0) return 0;
  return bytes_per_weight / seconds / read_bytes_per_second;
}

double ProductRate::ops_per_second() const {
  if (knots.empty() || knots.back().seconds_per_weight <= 0) return 0;
  return 2 * knots.back().rows / knots.back().seconds_per_weight;
}

const ProductRate* SpeedRates::find(MatrixType type) const {
  const auto it = std::ranges::find(products, type, &ProductRate::type);
  return it == products.end() ? nullptr : &*it;
}

double SpeedRates::memory() const {
  std::vector<double> read;
  for (const ProductRate& p : products)
    if (p.read_bytes_per_second > 0) read.push_back(p.read_bytes_per_second);
  return median(read);
}

MatrixType product_type(const TensorView& tensor, ActivationPrecision activations) {
  return {tensor.dtype, is_int8(activations) && matrix_type(tensor).kept};
}

ModelWork model_work(const ModelConfig& config, std::span<const TensorView> tensors,
                     ActivationPrecision activations, double kv_bytes,
                     std::span<const DType> types) {
  RIDGELINE_CHECK(types.empty() || types.size() == tensors.size());
  ModelWork work;
  work.layers = config.layers;
  work.kv_bytes = kv_bytes / config.layers;
  work.sights = sights_of(config);
  if (config.experts.count > 0)
    work.chosen_share = static_cast<double>(config.experts.routing.chosen) / config.experts.count;
  constexpr std::string_view kEmbedding = "token_embd.weight";
  const bool untied = std::ranges::find(tensors, std::string_view("output.weight"),
                                        &TensorView::name) != tensors.end();
  const std::string last_layer = "blk." + std::to_string(config.layers - 1) + ".";
  std::map<std::tuple<MatrixType, bool, bool>, double> counts;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    TensorView tensor = tensors[i];
    if (matrices_in(tensor) == 0 || (untied && tensor.name == kEmbedding)) continue;
    // Read row by row, like the embedding.
    if (tensor.name == "position_embd.weight" || tensor.name == "token_types.weight") continue;
    if (!types.empty()) tensor.dtype = types[i];
    counts[{product_type(tensor, activations), is_expert_tensor(tensor.name),
            only_for_logits(tensor.name, last_layer)}] += static_cast<double>(tensor.elements());
  }
  for (const auto& [key, count] : counts)
    work.weights.push_back({std::get<0>(key), count, std::get<1>(key), std::get<2>(key)});
  return work;
}

PassTime& PassTime::operator+=(const PassTime& other) {
  products += other.products;
  attention += other.attention;
  rest += other.rest;
  return *this;
}

double products_seconds(const ModelWork& work, const SpeedRates& rates, double rows,
                        double logit_rows, double now) {
  double seconds = 0;
  const double read = now > 0 ? now : rates.memory();
  for (const ModelWork::Weights& weights : work.weights) {
    double through = weights.for_logits ? logit_rows : rows, share = 1;
    if (through == 0) continue;
    if (weights.of_experts) {
      // As many experts as rows choose on average if all are as likely, and the rows of each.
      share = 1 - std::pow(1 - work.chosen_share, through);
      through *= work.chosen_share / share;
    }
    const ProductRate* rate = rates.find(weights.type);
    RIDGELINE_CHECK(rate != nullptr);
    seconds += weights.count * share * rate->seconds_per_weight(through, read);
  }
  return seconds;
}

PassTime predict(const ModelWork& work, const SpeedRates& rates, const Pass& pass, double now) {
  PassTime time;
  const double read = now > 0 ? now : rates.memory();
  double rows = 0, logit_rows = 0;
  for (const Pass::Part& part : pass.parts) {
    const auto n = static_cast<double>(part.rows);
    rows += n;
    logit_rows += part.logits ? 1 : 0;
    for (const ModelCost::Sight& sight : work.sights) {
      const Seen seen =
          positions_seen(static_cast<double>(part.position), n, static_cast<double>(sight.window));
      // Arithmetic for each pair, or the reading of each position, whichever is longer.
      double reading = rates.layer.seconds_per_position * seen.positions;
      if (read > 0 && rates.read_memory())
        reading = std::max(reading, work.kv_bytes * seen.positions / read);
      time.attention +=
          sight.share * work.layers * std::max(rates.layer.seconds_per_pair * seen.pairs, reading);
    }
  }
  time.products = products_seconds(work, rates, rows, logit_rows, now);
  time.rest = work.layers * (rates.layer.seconds_one + (rows - 1) * rates.layer.seconds_per_row);
  if (logit_rows > 0) time.rest += rates.head_seconds;
  return time;
}

PassTime predict(const ModelWork& work, const SpeedRates& rates, std::span<const Pass> passes,
                 double now) {
  PassTime sum;
  for (const Pass& pass : passes) sum += predict(work, rates, pass, now);
  return sum;
}

double predicted_seconds(const ModelWork& work, const SpeedRates& rates, const Workload& workload,
                         std::int64_t batch_tokens, double now) {
  return predict(work, rates, passes_of(workload, batch_tokens), now).seconds();
}

double predicted_tokens_per_second(const ModelWork& work, const SpeedRates& rates,
                                   const Workload& workload, std::int64_t batch_tokens,
                                   double now) {
  return static_cast<double>(workload.total_tokens()) /
         predicted_seconds(work, rates, workload, batch_tokens, now);
}

}  // namespace ridgeline
