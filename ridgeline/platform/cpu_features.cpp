#include "ridgeline/platform/cpu_features.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include <array>
#include <cstdint>
#include <cstring>

namespace ridgeline {
namespace {

#if defined(__x86_64__) || defined(__i386__)

struct Registers {
  std::uint32_t eax = 0;
  std::uint32_t ebx = 0;
  std::uint32_t ecx = 0;
  std::uint32_t edx = 0;
};

/// All zero for a leaf that this CPU does not have.
Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

bool bit(std::uint32_t word, int index) { return ((word >> index) & 1u) != 0; }

/// XCR0: which register files the operating system saves. As an instruction, since
/// the intrinsic wants -mxsave.
std::uint64_t enabled_state() {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (std::uint64_t{high} << 32) | low;
}

std::string brand_string() {
  constexpr std::uint32_t kFirstLeaf = 0x80000002;
  constexpr std::uint32_t kLastLeaf = 0x80000004;
  if (__get_cpuid_max(0x80000000, nullptr) < kLastLeaf) return {};
  std::array<char, 49> text{};
  for (std::uint32_t leaf = kFirstLeaf; leaf <= kLastLeaf; ++leaf) {
    const Registers r = cpuid(leaf, 0);
    std::memcpy(text.data() + (leaf - kFirstLeaf) * sizeof r, &r, sizeof r);
  }
  // Vendors pad with spaces, some in front and some between the words.
  std::string brand;
  for (const char* c = text.data(); *c != '\0'; ++c) {
    if (*c != ' ' || (!brand.empty() && brand.back() != ' ')) brand.push_back(*c);
  }
  if (!brand.empty() && brand.back() == ' ') brand.pop_back();
  return brand;
}

CpuFeatures detect() {
  // Bit numbers: Intel SDM volume 2A, CPUID, leaves 01H and 07H; volume 1, 13.3 for XCR0.
  constexpr std::uint64_t kXmmYmm = 0x06;
  constexpr std::uint64_t kXmmYmmZmm = 0xE6;

  CpuFeatures f;
  f.brand = brand_string();
  const Registers leaf1 = cpuid(1, 0);
  const bool osxsave = bit(leaf1.ecx, 27);
  const bool avx = bit(leaf1.ecx, 28);
  if (!osxsave || !avx) return f;
  const std::uint64_t state = enabled_state();
  if ((state & kXmmYmm) != kXmmYmm) return f;

  const Registers leaf7 = cpuid(7, 0);
  const Registers leaf7_1 = leaf7.eax >= 1 ? cpuid(7, 1) : Registers{};
  f.fma = bit(leaf1.ecx, 12);
  f.f16c = bit(leaf1.ecx, 29);
  f.avx2 = bit(leaf7.ebx, 5);
  f.avx_vnni = f.avx2 && bit(leaf7_1.eax, 4);
  if ((state & kXmmYmmZmm) != kXmmYmmZmm) return f;

  f.avx512 = bit(leaf7.ebx, 16) && bit(leaf7.ebx, 17) && bit(leaf7.ebx, 28) && bit(leaf7.ebx, 30) &&
             bit(leaf7.ebx, 31);
  f.avx512_vnni = f.avx512 && bit(leaf7.ecx, 11);
  f.avx512_bf16 = f.avx512 && bit(leaf7_1.eax, 5);
  return f;
}

#else

CpuFeatures detect() { return {}; }

#endif

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

}  // namespace ridgeline
