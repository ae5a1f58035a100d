#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/kernels/paged_cache.h"
#include "tests/kernels/vector_isa.h"

namespace ridgeline::test {
namespace {

class KvKernels : public VectorKernels {
 protected:
  static double rounded(DType dtype, float x) {
    if (dtype == DType::kF16) return static_cast<double>(f16_to_f32(f32_to_f16(x)));
    if (dtype == DType::kBF16) return static_cast<double>(bf16_to_f32(f32_to_bf16(x)));
    return static_cast<double>(x);
  }
};

TEST_P(KvKernels, BlocksAreWholeCacheLines) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const KvKernel* kernel = find_kv_kernel(*table, dtype);
    ASSERT_NE(kernel, nullptr) << name(dtype);
    const std::size_t element = dtype == DType::kF32 ? 4 : 2;
    for (int head_dim : {2, 8, 16, 64, 80, 128, 256}) {
      EXPECT_EQ(kernel->head_block_bytes(head_dim) % 64, 0U);
      EXPECT_GE(kernel->head_block_bytes(head_dim),
                static_cast<std::size_t>(head_dim) * 16 * element);
    }
    // Nothing is wasted where the head is a multiple of the vector.
    EXPECT_EQ(kernel->head_block_bytes(80), 80 * 16 * element);
  }
}

TEST_P(KvKernels, StoresWhatTheLayoutSays) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (int head_dim : {2, 8, 10, 64, 80, 128}) {
      PagedCache cache(*find_kv_kernel(*table, dtype), head_dim, 40, 5);
      const auto dims = static_cast<std::size_t>(head_dim);
      const auto k = random_floats(40 * dims, 1), v = random_floats(40 * dims, 2);
      // Out of order: a slot is written without disturbing its neighbours.
      for (std::int64_t i = 0; i < 40; ++i) {
        const std::int64_t t = i * 17 % 40;
        cache.store(t, k.data() + t * head_dim, v.data() + t * head_dim);
      }
      for (std::int64_t t = 0; t < 40; ++t) {
        for (int d = 0; d < head_dim; ++d) {
          const auto i = static_cast<std::size_t>(t * head_dim + d);
          ASSERT_EQ(cache.k_at(t, d), rounded(dtype, k[i]))
              << name(dtype) << head_dim << " " << t << " " << d;
          ASSERT_EQ(cache.v_at(t, d), rounded(dtype, v[i]))
              << name(dtype) << head_dim << " " << t << " " << d;
        }
        for (int d = head_dim; d < (head_dim + 15) / 16 * 16; ++d) {
          ASSERT_EQ(cache.k_at(t, d), 0.0);
          ASSERT_EQ(cache.v_at(t, d), 0.0);
        }
      }
    }
  }
}

TEST_P(KvKernels, RoundsAsTheScalarConversionsDo) {
  // Every exponent; ties, neighbours of ties, subnormals of F16, overflow, infinity.
  std::vector<float> values = {0.0F,
                               -0.0F,
                               65504.0F,
                               65519.9F,
                               65520.0F,
                               1e30F,
                               std::numeric_limits<float>::infinity(),
                               std::numeric_limits<float>::denorm_min()};
  for (int exponent = -140; exponent <= 127; ++exponent)
    for (int mantissa : {0x000000, 0x000fff, 0x001000, 0x001001, 0x003000, 0x007fff, 0x008000,
                         0x008001, 0x018000, 0x7fffff})
      for (int sign : {1, -1})
        values.push_back(
            std::ldexp(static_cast<float>(sign * (0x800000 + mantissa)), exponent - 23));
  while (values.size() % 16 != 0) values.push_back(1.0F);
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    PagedCache cache(*find_kv_kernel(*table, dtype), 16, 16, 5);
    for (std::size_t i = 0; i < values.size(); i += 16) {
      cache.store(3, &values[i], &values[i]);
      for (int d = 0; d < 16; ++d) {
        const double expected = rounded(dtype, values[i + static_cast<std::size_t>(d)]);
        ASSERT_EQ(cache.k_at(3, d), expected) << name(dtype);
        ASSERT_EQ(cache.v_at(3, d), expected) << name(dtype);
        ASSERT_EQ(std::signbit(cache.v_at(3, d)), std::signbit(expected)) << name(dtype);
      }
    }
  }
}

TEST_P(KvKernels, NanStaysNan) {
  const std::vector<float> nan(16, std::numeric_limits<float>::quiet_NaN());
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    PagedCache cache(*find_kv_kernel(*table, dtype), 16, 16, 5);
    const std::vector<float> zero(16, 0.0F);
    for (std::int64_t t = 0; t < 16; ++t) cache.store(t, zero.data(), zero.data());
    cache.store(2, nan.data(), nan.data());
    for (int d = 0; d < 16; ++d) {
      EXPECT_TRUE(std::isnan(cache.k_at(2, d)));
      EXPECT_TRUE(std::isnan(cache.v_at(2, d)));
    }
  }
}

RIDGELINE_INSTANTIATE_VECTOR_TESTS(KvKernels);

}  // namespace
}  // namespace ridgeline::test
