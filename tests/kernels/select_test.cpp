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
#if defined(RIDGELINE_EVEX_VNNI)
  GTEST_SKIP() << "avx2vnni is built for AVX-512 VNNI here";
#endif
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
      const WeightKernel* best = find_weight_kernel(*table, type.dtype, ActivationPrecision::kFast);
      const WeightKernel* exact =
          find_weight_kernel(*table, type.dtype, ActivationPrecision::kExact);
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
      const WeightKernel& best =
          *find_weight_kernel(*table, type.dtype, ActivationPrecision::kFast);
      const WeightKernel& exact =
          *find_weight_kernel(*table, type.dtype, ActivationPrecision::kExact);
      for (const std::int64_t k : {256, 512, 768}) {
        EXPECT_EQ(best.panel_bytes(k), exact.panel_bytes(k));
        EXPECT_EQ(best.panel_bytes(k) % 64, 0u);
      }
    }
}

TEST(Select, Int8IsForSixteenBitWeightsAndOthersKeepTheirBest) {
  for (const KernelTable* table : available_kernels())
    for (const DTypeInfo& type : all_dtypes()) {
      SCOPED_TRACE(std::string(table->name) + " " + std::string(type.name));
      const WeightKernel& best =
          *find_weight_kernel(*table, type.dtype, ActivationPrecision::kFast);
      const WeightKernel& plain =
          *find_weight_kernel(*table, type.dtype, ActivationPrecision::kInt8);
      const WeightKernel& mixed =
          *find_weight_kernel(*table, type.dtype, ActivationPrecision::kLlmInt8);
      if (type.dtype == DType::kF16 || type.dtype == DType::kBF16) {
        EXPECT_EQ(plain.activation, ActivationFormat::kInt8Row);
        EXPECT_EQ(mixed.activation, ActivationFormat::kInt8RowOutliers);
        EXPECT_NE(find_activation_kernel(*table, plain.activation), nullptr);
        EXPECT_NE(find_activation_kernel(*table, mixed.activation), nullptr);
        // One layout for both, of which products read a byte for each weight.
        EXPECT_EQ(plain.panel_bytes(512), mixed.panel_bytes(512));
        EXPECT_EQ(plain.panel_bytes(512), 64u + 3 * 512 * 16);
        EXPECT_EQ(plain.read_bytes(512), 64u + 512 * 16);
      } else {
        EXPECT_EQ(&plain, &best);
        EXPECT_EQ(&mixed, &best);
        EXPECT_EQ(best.read_bytes(512), best.panel_bytes(512));
      }
    }
}

}  // namespace
}  // namespace ridgeline
