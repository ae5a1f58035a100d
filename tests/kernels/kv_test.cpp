#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "ridgeline/quant/q8_0.h"
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

  /// What a row of the cache decodes to: of Q8_0 what the file format's row would.
  static std::vector<double> rounded_row(DType dtype, const float* row, int head_dim) {
    std::vector<double> expected;
    if (dtype != DType::kQ8_0) {
      for (int d = 0; d < head_dim; ++d) expected.push_back(rounded(dtype, row[d]));
      return expected;
    }
    const int blocks = (head_dim + 31) / 32;
    std::vector<float> whole(static_cast<std::size_t>(blocks) * 32, 0.0F);
    std::copy(row, row + head_dim, whole.begin());
    std::vector<BlockQ8_0> encoded(static_cast<std::size_t>(blocks));
    auto* bytes = reinterpret_cast<std::byte*>(encoded.data());
    encode_q8_0(whole.data(), blocks * 32, bytes);
    decode_q8_0(bytes, blocks * 32, whole.data());
    expected.assign(whole.begin(), whole.begin() + head_dim);
    return expected;
  }
};

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0};

TEST_P(KvKernels, BlocksAreWholeCacheLines) {
  for (DType dtype : kTypes) {
    const KvKernel* kernel = find_kv_kernel(*table, dtype);
    ASSERT_NE(kernel, nullptr) << name(dtype);
    const DTypeInfo& type = info(dtype);
    for (int head_dim : {2, 8, 16, 64, 80, 128, 256}) {
      EXPECT_EQ(kernel->head_block_bytes(head_dim) % 64, 0U);
      EXPECT_GE(kernel->head_block_bytes(head_dim) * static_cast<std::size_t>(type.block_elements),
                static_cast<std::size_t>(head_dim * 16 * type.block_bytes));
    }
    // Nothing is wasted where the head is a multiple of the vector, or of two scales.
    if (dtype != DType::kQ8_0) {
      EXPECT_EQ(kernel->head_block_bytes(80), static_cast<std::size_t>(80 * 16 * type.block_bytes));
    }
    EXPECT_EQ(kernel->head_block_bytes(192), 16 * row_bytes(dtype, 192));
  }
}

TEST_P(KvKernels, StoresWhatTheLayoutSays) {
  for (DType dtype : kTypes) {
    for (int head_dim : {2, 8, 10, 24, 40, 64, 80, 128, 256}) {
      PagedCache cache(*find_kv_kernel(*table, dtype), head_dim, 40, 5);
      const auto dims = static_cast<std::size_t>(head_dim);
      const auto k = random_floats(40 * dims, 1), v = random_floats(40 * dims, 2);
      // Out of order: a slot is written without disturbing its neighbours.
      for (std::int64_t i = 0; i < 40; ++i) {
        const std::int64_t t = i * 17 % 40;
        cache.store(t, k.data() + t * head_dim, v.data() + t * head_dim);
      }
      for (std::int64_t t = 0; t < 40; ++t) {
        const auto expected_k = rounded_row(dtype, k.data() + t * head_dim, head_dim);
        const auto expected_v = rounded_row(dtype, v.data() + t * head_dim, head_dim);
        for (int d = 0; d < head_dim; ++d) {
          const auto i = static_cast<std::size_t>(d);
          ASSERT_EQ(cache.k_at(t, d), expected_k[i])
              << name(dtype) << head_dim << " " << t << " " << d;
          ASSERT_EQ(cache.v_at(t, d), expected_v[i])
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

TEST_P(KvKernels, QuantizesAsTheFileFormatDoes) {
  // Ties of levels in both signs, one of them in a block of each sign and many sizes; blocks
  // of zeros, of numbers whose scale is 0 or subnormal in F16 or infinite, with infinities.
  std::vector<std::vector<float>> rows;
  for (int exponent : {-140, -126, -30, -17, -14, 0, 9, 20, 100, 121}) {
    for (const float sign : {1.0F, -1.0F}) {
      for (const int first : {0, 32, 64, 96}) {
        std::vector<float> row(32);
        for (int i = 1; i < 32; ++i)
          row[static_cast<std::size_t>(i)] =
              std::ldexp((i % 2 ? 1.0F : -1.0F) * (static_cast<float>(first + i) - 0.5F), exponent);
        row[0] = std::ldexp(sign * 127.0F, exponent);
        rows.push_back(row);
      }
    }
  }
  rows.emplace_back(32, 0.0F);
  rows.emplace_back(32, std::numeric_limits<float>::max());
  rows.push_back(random_floats(32, 3));
  rows.push_back(random_floats(32, 4, 1e-3F));
  PagedCache cache(*find_kv_kernel(*table, DType::kQ8_0), 64, 16, 5);
  for (const std::vector<float>& block : rows) {
    // Beside a block of other size, in both places.
    for (const std::size_t at : {std::size_t{0}, std::size_t{32}}) {
      std::vector<float> row(64, 3.0F);
      std::copy(block.begin(), block.end(), row.begin() + static_cast<std::ptrdiff_t>(at));
      cache.store(3, row.data(), row.data());
      const auto expected = rounded_row(DType::kQ8_0, row.data(), 64);
      for (int d = 0; d < 64; ++d) {
        const double e = expected[static_cast<std::size_t>(d)];
        for (const double actual : {cache.k_at(3, d), cache.v_at(3, d)}) {
          // 0 times an infinite scale is NaN in both.
          ASSERT_EQ(std::isnan(actual), std::isnan(e)) << block[0] << " " << d;
          if (!std::isnan(e)) {
            ASSERT_EQ(actual, e) << block[0] << " " << d;
          }
        }
      }
    }
  }
}

TEST_P(KvKernels, NanStaysNan) {
  const std::vector<float> nan(16, std::numeric_limits<float>::quiet_NaN());
  for (DType dtype : kTypes) {
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
