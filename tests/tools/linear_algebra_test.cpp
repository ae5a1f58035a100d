#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "ridgeline/tools/ptq/hessian.h"

namespace ridgeline::ptq {
namespace {

std::vector<float> random_values(std::int64_t n, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& v : values) v = normal(random);
  return values;
}

std::unique_ptr<LinearAlgebra> make_algebra(int threads = 2) {
  return *LinearAlgebra::create(threads, false);
}

double dot(const float* a, const float* b, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

/// a aᵀ + ridge, [n][n]: positive definite.
std::vector<float> gram(std::int64_t n, std::int64_t inner, float ridge, std::uint32_t seed) {
  const auto x = random_values(n * inner, seed);
  std::vector<float> a(static_cast<std::size_t>(n * n));
  for (std::int64_t r = 0; r < n; ++r)
    for (std::int64_t c = 0; c <= r; ++c)
      a[static_cast<std::size_t>(r * n + c)] = a[static_cast<std::size_t>(c * n + r)] =
          static_cast<float>(dot(&x[static_cast<std::size_t>(r * inner)],
                                 &x[static_cast<std::size_t>(c * inner)], inner)) +
          (r == c ? ridge : 0.0F);
  return a;
}

TEST(LinearAlgebra, ProductsOfAwkwardSizesAndStrides) {
  auto algebra = make_algebra();
  // More rows than a product takes at once, more inputs than a stretch has.
  for (const auto& [rows, outputs, inputs] :
       {std::array<std::int64_t, 3>{1, 1, 1}, {3, 17, 5}, {37, 130, 33}, {520, 40, 2100}}) {
    const std::int64_t stride = inputs + 3, out_stride = outputs + 2;
    auto x = random_values(rows * stride, 1), m = random_values(outputs * stride, 2);
    auto out = random_values(rows * out_stride, 3);
    const auto before = out;
    PackedMatrix packed;
    ASSERT_TRUE(algebra->pack(Matrix{m.data(), outputs, inputs, stride}, packed));
    algebra->add_product(Matrix{x.data(), rows, inputs, stride}, packed, -2.0F,
                         Matrix{out.data(), rows, outputs, out_stride});
    for (std::int64_t r = 0; r < rows; r += 13)
      for (std::int64_t c = 0; c < out_stride; ++c) {
        const auto at = static_cast<std::size_t>(r * out_stride + c);
        double expected = static_cast<double>(before[at]);
        if (c < outputs)
          expected -= 2 * dot(&x[static_cast<std::size_t>(r * stride)],
                              &m[static_cast<std::size_t>(c * stride)], inputs);
        // Sums of n products of normal numbers: n^½ large, and as many roundings of 2^-24.
        EXPECT_NEAR(static_cast<double>(out[at]), expected, 1e-6 * static_cast<double>(inputs + 10))
            << rows << "x" << outputs << "x" << inputs << " at " << r << ", " << c;
      }
  }
}

TEST(LinearAlgebra, ProductsWithTheFirstRowsOfAMatrix) {
  auto algebra = make_algebra();
  constexpr std::int64_t kRows = 300, kInputs = 2050, kFirst = 2 * LinearAlgebra::kRowGroup;
  auto m = random_values(kRows * kInputs, 1), x = random_values(kInputs, 2);
  PackedMatrix packed;
  ASSERT_TRUE(algebra->pack(Matrix{m.data(), kRows, kInputs, kInputs}, packed));
  std::vector<float> out(kFirst);
  algebra->add_product(Matrix{x.data(), 1, kInputs, kInputs}, packed, 1.0F,
                       Matrix{out.data(), 1, kFirst, kFirst});
  for (std::int64_t c = 0; c < kFirst; ++c)
    EXPECT_NEAR(static_cast<double>(out[static_cast<std::size_t>(c)]),
                dot(x.data(), &m[static_cast<std::size_t>(c * kInputs)], kInputs), 2e-3);
}

TEST(LinearAlgebra, HessiansAreSumsOfOuterProducts) {
  auto algebra = make_algebra();
  for (const auto& [cols, rows] : {std::array<std::int64_t, 2>{1, 3}, {70, 33}, {600, 1100}}) {
    auto x = random_values(rows * (cols + 1), 4);
    Hessian h = *Hessian::make(cols);
    // In two parts.
    const std::int64_t first = rows / 3;
    const Matrix all{x.data(), rows, cols, cols + 1};
    ASSERT_TRUE(algebra->add_outer_products(all.first_rows(first), h));
    ASSERT_TRUE(algebra->add_outer_products(all.slice_rows(first, rows - first), h));
    algebra->finish(h);
    EXPECT_EQ(h.rows(), rows);
    for (std::int64_t i = 0; i < cols; i += 7)
      for (std::int64_t j = 0; j < cols; j += 11) {
        double expected = 0;
        for (std::int64_t r = 0; r < rows; ++r)
          expected += static_cast<double>(x[static_cast<std::size_t>(r * (cols + 1) + i)]) *
                      static_cast<double>(x[static_cast<std::size_t>(r * (cols + 1) + j)]);
        EXPECT_NEAR(static_cast<double>(h.data()[i * cols + j]), expected,
                    1e-6 * static_cast<double>(rows + 10));
        EXPECT_EQ(h.data()[i * cols + j], h.data()[j * cols + i]);
      }
  }
}

TEST(LinearAlgebra, CholeskyFactorsGiveTheMatrixBack) {
  auto algebra = make_algebra();
  for (const std::int64_t n : {1, 2, 31, 256, 257, 777}) {
    const auto a = gram(n, n / 2 + 1, 1.0F, 5);
    auto l = a;
    ASSERT_TRUE(*algebra->cholesky(l.data(), n)) << n;
    double error = 0, norm = 0;
    for (std::int64_t r = 0; r < n; ++r)
      for (std::int64_t c = 0; c <= r; ++c) {
        const double product =
            dot(&l[static_cast<std::size_t>(r * n)], &l[static_cast<std::size_t>(c * n)], c + 1);
        const auto expected = static_cast<double>(a[static_cast<std::size_t>(r * n + c)]);
        error += (product - expected) * (product - expected);
        norm += expected * expected;
        if (c < r) {
          ASSERT_EQ(l[static_cast<std::size_t>(c * n + r)], a[static_cast<std::size_t>(c * n + r)])
              << "the upper triangle of " << n;
        }
      }
    EXPECT_LT(std::sqrt(error / norm), 1e-6) << n;
  }
}

TEST(LinearAlgebra, CrossProductsOfOutputsAndInputs) {
  auto algebra = make_algebra();
  constexpr std::int64_t kRows = 1100, kOutputs = 37, kInputs = 130;
  auto r = random_values(kRows * kOutputs, 1), x = random_values(kRows * kInputs, 2);
  std::vector<float> c(kOutputs * kInputs, 1.0F);
  ASSERT_TRUE(algebra->add_cross_products({r.data(), kRows, kOutputs, kOutputs},
                                          {x.data(), kRows, kInputs, kInputs},
                                          {c.data(), kOutputs, kInputs, kInputs}));
  for (std::size_t o = 0; o < kOutputs; o += 4)
    for (std::size_t i = 0; i < kInputs; i += 3) {
      double expected = 1;
      for (std::size_t row = 0; row < kRows; ++row)
        expected +=
            static_cast<double>(r[row * kOutputs + o]) * static_cast<double>(x[row * kInputs + i]);
      EXPECT_NEAR(static_cast<double>(c[o * kInputs + i]), expected, 1e-3);
    }
}

TEST(LinearAlgebra, SolvesWithACholeskyFactor) {
  auto algebra = make_algebra();
  for (const std::int64_t n : {1, 40, 256, 600}) {
    const auto a = gram(n, n, static_cast<float>(n), 8);
    auto l = a;
    ASSERT_TRUE(*algebra->cholesky(l.data(), n));
    constexpr std::int64_t kRows = 5;
    const auto b = random_values(kRows * (n + 2), 9);
    auto z = b;
    ASSERT_TRUE(algebra->solve(l.data(), n, {z.data(), kRows, n, n + 2}));
    for (std::int64_t r = 0; r < kRows; ++r)
      for (std::int64_t c = 0; c < n; ++c)  // A is symmetric: its rows are its columns
        EXPECT_NEAR(
            dot(&z[static_cast<std::size_t>(r * (n + 2))], &a[static_cast<std::size_t>(c * n)], n),
            static_cast<double>(b[static_cast<std::size_t>(r * (n + 2) + c)]), 1e-4)
            << n;
  }
}

TEST(LinearAlgebra, CholeskyRefusesWhatIsNotPositiveDefinite) {
  auto algebra = make_algebra();
  // Pivots in the first panel, behind it, and at the very end.
  for (const std::int64_t at : {0, 300, 519}) {
    constexpr std::int64_t kSize = 520;
    const auto a = gram(kSize, 20, 1.0F, 6);
    for (const float bad : {-1.0F, 0.0F, std::numeric_limits<float>::quiet_NaN(),
                            std::numeric_limits<float>::infinity()}) {
      auto l = a;
      l[static_cast<std::size_t>(at * kSize + at)] = bad;
      EXPECT_FALSE(*algebra->cholesky(l.data(), kSize)) << at << " " << bad;
    }
  }
}

TEST(LinearAlgebra, ResultsDoNotDependOnThreads) {
  constexpr std::int64_t kSize = 530, kRows = 700;
  auto x = random_values(kRows * kSize, 7);
  std::vector<float> first;
  for (const int threads : {1, 2, 3}) {
    auto algebra = make_algebra(threads);
    Hessian h = *Hessian::make(kSize);
    ASSERT_TRUE(algebra->add_outer_products(Matrix{x.data(), kRows, kSize, kSize}, h));
    algebra->finish(h);
    ASSERT_TRUE(*algebra->cholesky(h.data(), kSize));
    std::vector<float> l(h.data(), h.data() + kSize * kSize);
    if (first.empty()) first = l;
    EXPECT_EQ(l, first) << threads << " threads";
  }
}

}  // namespace
}  // namespace ridgeline::ptq
