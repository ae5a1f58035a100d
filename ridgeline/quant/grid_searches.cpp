#include "ridgeline/platform/cpu_features.h"
#include "ridgeline/quant/grid_search.h"

namespace ridgeline {

const std::vector<const GridSearches*>& grid_searches() {
  static const std::vector<const GridSearches*> searches = [] {
    const CpuFeatures& cpu = cpu_features();
    std::vector<const GridSearches*> found;
    if (cpu.avx512) found.push_back(&avx512::kGridSearches);
    if (cpu.avx2 && cpu.fma && cpu.f16c) found.push_back(&avx2::kGridSearches);
    found.push_back(&generic::kGridSearches);
    return found;
  }();
  return searches;
}

}  // namespace ridgeline
