#pragma once

#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/platform/cpu_features.h"

namespace ridgeline {

/// One ISA that the library was built with.
struct BuiltIsa {
  std::string_view name;
  bool (*runs_on)(const CpuFeatures& cpu);
  const KernelTable& (*table)();
};

/// Best first; the last one (generic) runs anywhere.
std::span<const BuiltIsa> built_tables();

}  // namespace ridgeline
