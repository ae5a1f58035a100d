#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/kernels/tables.h"

namespace ridgeline {
namespace {

TEST(Select, BuiltIsasAreOrderedBestFirst) {
  EXPECT_THAT(built_isas(), ::testing::ElementsAre("avx512bf16", "avx512vnni", "avx512", "avx2vnni",
                                                   "avx2", "generic"));
}

TEST(Select, GenericIsAlwaysAvailableAndLast) {
  ASSERT_FALSE(available_kernels().empty());
  EXPECT_EQ(available_kernels().back()->name, "generic");
}

TEST(Select, EmptyNameMeansTheBest) { EXPECT_EQ(find_kernels(""), available_kernels().front()); }

TEST(Select, NamesFindTheirTableOrNothing) {
  for (const KernelTable* table : available_kernels()) EXPECT_EQ(find_kernels(table->name), table);
  EXPECT_EQ(find_kernels("avx1024"), nullptr);
}

TEST(Select, EachExtensionOfTheCpuCounts) {
  const auto runs = [](const CpuFeatures& cpu) {
    std::vector<std::string_view> names;
    for (const BuiltIsa& isa : built_tables())
      if (isa.runs_on(cpu)) names.push_back(isa.name);
    return names;
  };
  CpuFeatures cpu;
  EXPECT_THAT(runs(cpu), ::testing::ElementsAre("generic"));
  cpu.avx2 = cpu.fma = true;
  EXPECT_THAT(runs(cpu), ::testing::ElementsAre("generic"));
  cpu.f16c = true;
  EXPECT_THAT(runs(cpu), ::testing::ElementsAre("avx2", "generic"));
  cpu.avx_vnni = true;
  EXPECT_THAT(runs(cpu), ::testing::ElementsAre("avx2vnni", "avx2", "generic"));
  cpu.avx_vnni = false;
  cpu.avx512 = true;
  EXPECT_THAT(runs(cpu), ::testing::ElementsAre("avx512", "avx2", "generic"));
  cpu.avx512_bf16 = true;
  EXPECT_THAT(runs(cpu), ::testing::ElementsAre("avx512", "avx2", "generic"));
  cpu.avx512_vnni = true;
  EXPECT_THAT(runs(cpu),
              ::testing::ElementsAre("avx512bf16", "avx512vnni", "avx512", "avx2", "generic"));
}

TEST(Select, EveryTypeHasAKernelAndAnExactOne) {
  for (const KernelTable* table : available_kernels())
    for (const DTypeInfo& type : all_dtypes()) {
      SCOPED_TRACE(std::string(table->name) + " " + std::string(type.name));
      const WeightKernel* best = find_weight_kernel(*table, type.dtype, false);
      const WeightKernel* exact = find_weight_kernel(*table, type.dtype, true);
      ASSERT_NE(best, nullptr);
      ASSERT_NE(exact, nullptr);
      EXPECT_EQ(exact->activation, ActivationFormat::kF32);
      EXPECT_NE(find_activation_kernel(*table, best->activation), nullptr);
      EXPECT_NE(find_activation_kernel(*table, exact->activation), nullptr);
      EXPECT_EQ(
          best->activation != ActivationFormat::kF32,
          type.block_elements > 1 || (type.dtype == DType::kBF16 && table->name == "avx512bf16"));
    }
}

TEST(Select, PanelsAreTheSameForBothTreatments) {
  for (const KernelTable* table : available_kernels())
    for (const DTypeInfo& type : all_dtypes()) {
      const WeightKernel& best = *find_weight_kernel(*table, type.dtype, false);
      const WeightKernel& exact = *find_weight_kernel(*table, type.dtype, true);
      for (const std::int64_t k : {256, 512, 768}) {
        EXPECT_EQ(best.panel_bytes(k), exact.panel_bytes(k));
        EXPECT_EQ(best.panel_bytes(k) % 64, 0u);
      }
    }
}

}  // namespace
}  // namespace ridgeline
