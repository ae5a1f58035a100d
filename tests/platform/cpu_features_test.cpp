#include "ridgeline/platform/cpu_features.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

namespace ridgeline {
namespace {

#if defined(__x86_64__)

/// The kernel's own reading of CPUID: the "flags" line, with a space on either side.
std::string kernel_flags() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("flags")) return line.substr(line.find(':') + 1) + " ";
  }
  return {};
}

TEST(CpuFeatures, AgreesWithTheKernel) {
  const std::string flags = kernel_flags();
  if (flags.empty()) GTEST_SKIP() << "/proc/cpuinfo has no flags";
  const auto has = [&](const char* flag) {
    return flags.find(std::string(" ") + flag + " ") != std::string::npos;
  };
  const CpuFeatures& f = cpu_features();
  EXPECT_EQ(f.avx2, has("avx2"));
  EXPECT_EQ(f.fma, has("fma"));
  EXPECT_EQ(f.f16c, has("f16c"));
  EXPECT_EQ(f.avx_vnni, has("avx_vnni"));
  EXPECT_EQ(f.avx512, has("avx512f") && has("avx512bw") && has("avx512dq") && has("avx512vl") &&
                          has("avx512cd"));
  EXPECT_EQ(f.avx512_vnni, f.avx512 && has("avx512_vnni"));
  EXPECT_EQ(f.avx512_bf16, f.avx512 && has("avx512_bf16"));
}

TEST(CpuFeatures, AgreesWithTheCompilersRuntime) {
  const CpuFeatures& f = cpu_features();
  EXPECT_EQ(f.avx2, __builtin_cpu_supports("avx2") != 0);
  EXPECT_EQ(f.fma, __builtin_cpu_supports("fma") != 0);
  EXPECT_EQ(f.avx512,
            __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                __builtin_cpu_supports("avx512dq") != 0 &&
                __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512cd") != 0);
  EXPECT_EQ(f.avx512_vnni, f.avx512 && __builtin_cpu_supports("avx512vnni") != 0);
  EXPECT_EQ(f.avx512_bf16, f.avx512 && __builtin_cpu_supports("avx512bf16") != 0);
}

TEST(CpuFeatures, BrandIsOneTidyLine) {
  const std::string& brand = cpu_features().brand;
  EXPECT_EQ(brand.find("  "), std::string::npos) << brand;
  EXPECT_EQ(brand.find('\0'), std::string::npos);
  if (!brand.empty()) {
    EXPECT_NE(brand.front(), ' ');
    EXPECT_NE(brand.back(), ' ');
  }
}

#else

TEST(CpuFeatures, NoneOfX86OnOtherMachines) {
  const CpuFeatures& f = cpu_features();
  EXPECT_FALSE(f.avx2 || f.fma || f.f16c || f.avx_vnni || f.avx512);
}

#endif

}  // namespace
}  // namespace ridgeline
