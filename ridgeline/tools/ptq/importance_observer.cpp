#include "ridgeline/tools/ptq/importance_observer.h"

namespace ridgeline::ptq {

void ImportanceObserver::expect(const std::string& tensor, std::int64_t matrices,
                                std::int64_t cols) {
  ImportanceMatrix::Entry& entry = into_.entries()[tensor];
  entry.counts.assign(static_cast<std::size_t>(matrices), 0.0);
  entry.sums.assign(static_cast<std::size_t>(matrices * cols), 0.0);
}

void ImportanceObserver::observe(Matrix x, std::span<const PackedWeight* const> weights) {
  for (const PackedWeight* weight : weights) {
    if (weight->origin.first_row != 0) continue;  // it was counted with the first rows
    const auto it = into_.entries().find(weight->origin.tensor);
    const auto matrix = static_cast<std::size_t>(weight->origin.matrix);
    if (it == into_.entries().end() || matrix >= it->second.counts.size() ||
        it->second.cols() != x.cols)
      continue;
    double* const sums =
        it->second.sums.data() + matrix * static_cast<std::size_t>(it->second.cols());
    for (std::int64_t r = 0; r < x.rows; ++r) {
      const float* row = x.data + r * x.stride;
      for (std::int64_t i = 0; i < x.cols; ++i) {
        const double value = row[i];
        sums[i] += value * value;
      }
    }
    it->second.counts[matrix] += static_cast<double>(x.rows);
  }
}

}  // namespace ridgeline::ptq
