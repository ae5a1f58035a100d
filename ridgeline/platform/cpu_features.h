#pragma once

#include <string>

namespace ridgeline {

/// What this CPU and its operating system allow (CPUID and XGETBV, so that a
/// register file the kernel does not save counts as absent).
struct CpuFeatures {
  bool avx2 = false;
  bool fma = false;
  bool f16c = false;
  bool avx_vnni = false;  ///< 256-bit vpdpbusd, VEX coded
  bool avx512 = false;    ///< F, BW, DQ, VL and CD together
  bool avx512_vnni = false;
  bool avx512_bf16 = false;
  std::string brand;  ///< "AMD EPYC ..."; empty if CPUID has none
};

const CpuFeatures& cpu_features();

}  // namespace ridgeline
