#pragma once

#include <algorithm>

#include "ridgeline/ops/cpu/cpu_backend.h"
#include "ridgeline/ops/cpu/tiling.h"

namespace ridgeline {

template <class Body>
void CpuBackend::for_rows(std::int64_t rows, std::int64_t cols, Body&& body) {
  if (rows * cols <= kSerialFloats || pool_.size() == 1) {
    if (rows > 0) body(std::int64_t{0}, rows);
    return;
  }
  const std::int64_t grain =
      std::max<std::int64_t>(1, kSerialFloats / 2 / std::max<std::int64_t>(cols, 1));
  pool_.parallel_for((rows + grain - 1) / grain, [&](std::int64_t i, int) {
    body(i * grain, std::min(rows, (i + 1) * grain));
  });
}

}  // namespace ridgeline
