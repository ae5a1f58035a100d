#include "ridgeline/quant/isa.h"

#include "ridgeline/platform/cpu_features.h"

namespace ridgeline {

const std::vector<QuantIsa>& quant_isas() {
  static const std::vector<QuantIsa> isas = [] {
    const CpuFeatures& cpu = cpu_features();
    std::vector<QuantIsa> found;
    if (cpu.avx512 && cpu.f16c)
      found.push_back({"avx512", &avx512::kRowCoders, &avx512::kGridSearches});
    if (cpu.avx2 && cpu.f16c) found.push_back({"avx2", &avx2::kRowCoders, &avx2::kGridSearches});
    found.push_back({"generic", &generic::kRowCoders, &generic::kGridSearches});
    return found;
  }();
  return isas;
}

const RowCoders& row_coders() {
  static const RowCoders& coders = *quant_isas().front().rows;
  return coders;
}

}  // namespace ridgeline
