#pragma once

#include <gtest/gtest.h>

#include <string>

#include "ridgeline/kernels/kernel_table.h"

namespace ridgeline {

/// A test that runs once for every ISA that was built, and is skipped, visibly, for
/// those that this CPU lacks.
class IsaTest : public ::testing::TestWithParam<std::string_view> {
 protected:
  void SetUp() override {
    kernels_ = find_kernels(GetParam());
    if (kernels_ == nullptr) GTEST_SKIP() << "this CPU lacks " << GetParam();
  }
  const KernelTable& kernels() const { return *kernels_; }

 private:
  const KernelTable* kernels_ = nullptr;
};

inline std::string isa_name(const ::testing::TestParamInfo<std::string_view>& param) {
  return std::string(param.param);
}

}  // namespace ridgeline

#define RIDGELINE_INSTANTIATE_ISAS(suite) \
  INSTANTIATE_TEST_SUITE_P(Isa, suite, ::testing::ValuesIn(built_isas()), isa_name)
