// Activations and the soft cap against double precision.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/kernels/paged_cache.h"
#include "tests/kernels/vector_isa.h"

namespace ridgeline::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr double kUnit = 0x1p-24;  // unit roundoff

constexpr Activation kWithOneOperand[] = {Activation::kSilu, Activation::kGeluTanh,
                                          Activation::kGeluErf};
constexpr Activation kAll[] = {Activation::kSilu, Activation::kGeluTanh, Activation::kGeluErf,
                               Activation::kSwigluOai};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// The exponent of the tail e^-argument, which multiplies the argument's rounding.
double argument(Activation f, double x) {
  switch (f) {
    case Activation::kSilu:
      return x;
    case Activation::kGeluTanh:
      return 2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
    case Activation::kGeluErf:
      return x * x / 2;
    case Activation::kSwigluOai:
      return 1.702 * std::min(x, 7.0);
  }
  return 0;
}

double reference(Activation f, double x) {
  switch (f) {
    case Activation::kGeluErf:
      return x / 2 * std::erfc(-x / std::sqrt(2.0));
    case Activation::kSwigluOai:
      return std::min(x, 7.0) * sigmoid(argument(f, x));
    default:
      return x * sigmoid(argument(f, x));
  }
}

/// 100 octaves up and down, and the range where the functions bend, densely.
std::vector<float> arguments() {
  std::vector<float> x;
  for (int i = 0; i <= 20000; ++i) x.push_back(static_cast<float>(i - 10000) / 10000.0F * 80.0F);
  for (int i = 0; i <= 20000; ++i) x.push_back(static_cast<float>(i - 10000) / 10000.0F * 6.0F);
  for (int i = -100; i < 100; ++i) x.insert(x.end(), {std::ldexp(1.1F, i), -std::ldexp(1.1F, i)});
  return x;
}

class Nonlinear : public VectorKernels {};

TEST_P(Nonlinear, ActivationsMatchDoublePrecision) {
  const std::vector<float> x = arguments();
  std::vector<float> out(x.size());
  for (Activation f : kWithOneOperand) {
    table->activate(f, x.data(), static_cast<std::int64_t>(x.size()), out.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto v = static_cast<double>(x[i]);
      const double expected = reference(f, v);
      // Of silu's argument nothing is rounded where the multiply-add is fused; of the
      // others' the argument itself is.
      const double tail = std::min(std::abs(argument(f, v)), 88.0);
      const double units =
          f == Activation::kSilu ? 5 + (fused_multiply_add() ? 0 : 2 * tail) : 10 + 5 * tail;
      ASSERT_NEAR(static_cast<double>(out[i]), expected,
                  units * kUnit * std::abs(expected) + std::ldexp(std::abs(v), -125))
          << "activation " << static_cast<int>(f) << " of " << v;
    }
  }
}

TEST_P(Nonlinear, GatesMultiplyInPlaceAndStopAtN) {
  for (std::int64_t n : {1, 7, 8, 10, 15, 16, 17, 31, 64, 65, 100}) {
    const auto size = static_cast<std::size_t>(n);
    auto gate = random_floats(size, 3, 4.0F);
    const auto up = random_floats(size, 4);
    gate.push_back(12345.0F);
    for (Activation f : kWithOneOperand) {
      std::vector<float> bent = gate, out = gate;
      table->activate(f, gate.data(), n, bent.data());
      table->gate_mul(f, out.data(), up.data(), n, out.data());
      for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(out[i], bent[i] * up[i]);
      EXPECT_EQ(bent.back(), 12345.0F);
      EXPECT_EQ(out.back(), 12345.0F);
    }
  }
}

TEST_P(Nonlinear, SwigluOaiClampsBothFactors) {
  const std::vector<float> gate = arguments();
  std::vector<float> out(gate.size());
  for (float u : {0.0F, 0.4F, -1.0F, -6.9F, 7.0F, 30.0F, -50.0F}) {
    const std::vector<float> up(gate.size(), u);
    table->gate_mul(Activation::kSwigluOai, gate.data(), up.data(),
                    static_cast<std::int64_t>(gate.size()), out.data());
    for (std::size_t i = 0; i < gate.size(); ++i) {
      const auto g = static_cast<double>(gate[i]);
      const double bent = reference(Activation::kSwigluOai, g);
      const double clamped = std::clamp(static_cast<double>(u), -7.0, 7.0);
      const double units = 10 + 5 * std::min(std::abs(argument(Activation::kSwigluOai, g)), 88.0);
      ASSERT_NEAR(
          static_cast<double>(out[i]), bent * (clamped + 1),
          units * kUnit * std::abs(bent) * (1 + std::abs(clamped)) + std::ldexp(std::abs(g), -120))
          << g << ", " << u;
    }
  }
}

TEST_P(Nonlinear, SpecialValues) {
  const std::vector<float> x = {0.0F, kInf, -1e30F, 1e30F, kNan, -100.0F};
  std::vector<float> out(x.size());
  for (Activation f : kWithOneOperand) {
    table->activate(f, x.data(), 6, out.data());
    EXPECT_EQ(out[0], 0.0F);
    EXPECT_EQ(out[2], 0.0F);
    EXPECT_EQ(out[3], 1e30F);
    EXPECT_TRUE(std::isnan(out[4]));
    EXPECT_EQ(out[5], 0.0F);
    EXPECT_EQ(out[1], kInf);
  }
  const std::vector<float> up = {1.0F, 1.0F, 1.0F, kNan, 1.0F, 1.0F};
  table->gate_mul(Activation::kSwigluOai, x.data(), up.data(), 6, out.data());
  EXPECT_EQ(out[0], 0.0F);
  EXPECT_NEAR(out[1], 14.0F, 1e-3F);
  EXPECT_TRUE(std::isnan(out[3]));
  EXPECT_TRUE(std::isnan(out[4]));
}

TEST_P(Nonlinear, SoftcapMatchesDoublePrecision) {
  for (float cap : {1.0F, 30.0F, 50.0F}) {
    std::vector<float> x = arguments();
    const std::vector<float> original = x;
    table->softcap(cap, static_cast<std::int64_t>(x.size()), x.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double ratio = static_cast<double>(original[i]) / static_cast<double>(cap);
      const double expected = static_cast<double>(cap) * std::tanh(ratio);
      ASSERT_NEAR(static_cast<double>(x[i]), expected, 12 * kUnit * std::abs(expected))
          << original[i] << ", cap " << cap;
    }
  }
  float special[] = {0.0F, kInf, -kInf, kNan};
  table->softcap(30.0F, 4, special);
  EXPECT_EQ(special[0], 0.0F);
  EXPECT_EQ(special[1], 30.0F);
  EXPECT_EQ(special[2], -30.0F);
  EXPECT_TRUE(std::isnan(special[3]));
}

// An element's bits must not depend on where in a vector it lies.
TEST_P(Nonlinear, TailsHaveTheBitsOfWholeVectors) {
  const auto gate = random_floats(64, 7, 3.0F), up = random_floats(64, 8);
  std::vector<float> whole(64), part(64);
  for (Activation f : kAll) {
    table->gate_mul(f, gate.data(), up.data(), 64, whole.data());
    for (std::int64_t begin = 0; begin < 20; ++begin) {
      for (std::int64_t n = 1; n <= 40; ++n) {
        table->gate_mul(f, gate.data() + begin, up.data() + begin, n, part.data());
        ASSERT_EQ(0,
                  std::memcmp(part.data(), whole.data() + begin, static_cast<std::size_t>(n) * 4));
      }
    }
  }
}

RIDGELINE_INSTANTIATE_VECTOR_TESTS(Nonlinear);

}  // namespace
}  // namespace ridgeline::test
