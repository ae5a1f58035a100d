#include "ridgeline/tools/ptq/importance_observer.h"

namespace ridgeline::ptq {

void ImportanceObserver::expect(const std::string& tensor, std::int64_t matrices,
                                std::int64_t cols) {
  ImportanceMatrix::Entry& entry = into_.entries()[tensor];
  entry.counts.assign(static_cast<std::size_t>(matrices), 0.0);
  entry.sums.assign(static_cast<std::size_t>(matrices * cols), 0.0);
}

void ImportanceObserver::observe(Matrix x, std::span<const PackedWeight* const> weights) {
  for (const PackedWeight* weight : weights)
    if (weight->origin.first_row == 0)  // lower rows of the same matrix have the same input
      add(x, weight->origin.tensor, weight->origin.matrix);
}

void ImportanceObserver::add(Matrix x, const std::string& tensor, std::int64_t matrix) {
  const auto it = into_.entries().find(tensor);
  if (it == into_.entries().end()) return;
  ImportanceMatrix::Entry& entry = it->second;
  const auto index = static_cast<std::size_t>(matrix);
  if (index >= entry.counts.size() || entry.cols() != x.cols) return;
  double* const sums = entry.sums.data() + index * static_cast<std::size_t>(x.cols);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const float* const row = x.data + r * x.stride;
    for (std::int64_t i = 0; i < x.cols; ++i) {
      const double value = row[i];
      sums[i] += value * value;
    }
  }
  entry.counts[index] += static_cast<double>(x.rows);
}

}  // namespace ridgeline::ptq
