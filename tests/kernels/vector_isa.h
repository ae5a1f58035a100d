#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/kernels/kernel_table.h"

namespace ridgeline::test {

/// Runs a test once per ISA that has vector kernels (attention, element-wise, KV) of its
/// own; an ISA that this CPU lacks is skipped.
class VectorKernels : public testing::TestWithParam<std::string_view> {
 protected:
  void SetUp() override {
    table = find_kernels(GetParam());
    if (table == nullptr) GTEST_SKIP() << "this CPU cannot run " << GetParam();
  }
  bool fused_multiply_add() const { return table->name != "generic"; }

  const KernelTable* table = nullptr;
};

/// The others use the vector kernels of the ISA that they extend; avx512vnni has attention of
/// its own on a Q8_0 cache.
inline std::vector<std::string_view> isas_with_vector_kernels() {
  std::vector<std::string_view> found;
  for (std::string_view isa : built_isas())
    if (isa == "generic" || isa == "avx2" || isa == "avx512" || isa == "avx512vnni")
      found.push_back(isa);
  return found;
}

}  // namespace ridgeline::test

#define RIDGELINE_INSTANTIATE_VECTOR_TESTS(suite)                                          \
  INSTANTIATE_TEST_SUITE_P(Isa, suite,                                                     \
                           testing::ValuesIn(ridgeline::test::isas_with_vector_kernels()), \
                           [](const auto& test) { return std::string(test.param); })
