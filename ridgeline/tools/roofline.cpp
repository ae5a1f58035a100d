#include "ridgeline/tools/roofline.h"

#include <numeric>

namespace ridgeline {

Ceilings mean(const Ceilings& before, const Ceilings& after) {
  Ceilings m;
  m.read_bytes_per_second = (before.read_bytes_per_second + after.read_bytes_per_second) / 2;
  for (std::size_t i = 0; i < m.ops_per_second.size(); ++i)
    m.ops_per_second[i] = (before.ops_per_second[i] + after.ops_per_second[i]) / 2;
  return m;
}

double Cost::total_ops() const { return std::accumulate(ops.begin(), ops.end(), 0.0); }

Cost& Cost::operator+=(const Cost& other) {
  for (std::size_t i = 0; i < ops.size(); ++i) ops[i] += other.ops[i];
  bytes += other.bytes;
  return *this;
}

Cost Cost::operator*(double times) const {
  Cost product = *this;
  for (double& n : product.ops) n *= times;
  product.bytes *= times;
  return product;
}

RooflinePoint place(const Cost& cost, const Ceilings& ceilings) {
  RooflinePoint point;
  if (ceilings.read_bytes_per_second > 0)
    point.memory_seconds = cost.bytes / ceilings.read_bytes_per_second;
  for (std::size_t i = 0; i < cost.ops.size(); ++i)
    if (ceilings.ops_per_second[i] > 0)
      point.compute_seconds += cost.ops[i] / ceilings.ops_per_second[i];
  if (cost.bytes > 0) point.intensity = cost.total_ops() / cost.bytes;
  if (point.compute_seconds > 0 && ceilings.read_bytes_per_second > 0)
    point.ridge = cost.total_ops() / point.compute_seconds / ceilings.read_bytes_per_second;
  return point;
}

}  // namespace ridgeline
