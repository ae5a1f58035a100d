// 16-bit weights in 8 bits by rows, without and with LLM.int8()'s outliers: against the
// arithmetic of the paper in double precision. matmul_test.cpp holds these kernels, as all
// others, against contract 1.

#include <cmath>
#include <limits>

#include "ridgeline/tensor/buffer.h"
#include "tests/kernels/isa_fixture.h"
#include "tests/kernels/product_reference.h"

namespace ridgeline {
namespace {

using reference::Activations;
using reference::Weights;

constexpr float kBelowSix = 5.9999995f;  ///< the F32 before 6

class Int8 : public IsaTest {
 protected:
  /// Both types, both modes.
  template <class Body>
  void for_each_kernel(Body&& body) {
    for (const DType type : {DType::kF16, DType::kBF16})
      for (const auto mode : {ActivationPrecision::kInt8, ActivationPrecision::kLlmInt8}) {
        SCOPED_TRACE(std::string(name(type)) + " " + std::string(name(mode)));
        body(*find_weight_kernel(kernels(), type, mode));
        if (HasFatalFailure()) return;
      }
  }
  std::vector<float> product(const WeightKernel& kernel, const Weights& w, const Activations& x) {
    const auto allocate = [](std::size_t bytes) {
      return Buffer::allocate(bytes, "a test").value();
    };
    Buffer panel = allocate(kernel.panel_bytes(w.k));
    kernel.pack_panel(w.bytes.data(), w.row_bytes(), w.rows, w.k, panel.data());
    const ActivationKernel& packer = *find_activation_kernel(kernels(), kernel.activation);
    // A byte behind the tile must stay.
    const std::size_t bytes = packer.tile_bytes(x.rows, x.k);
    Buffer tile = allocate(bytes + 1);
    tile.data()[bytes] = std::byte{0x5a};
    packer.pack(x.row(0), x.k, x.rows, x.k, tile.data());
    EXPECT_EQ(tile.data()[bytes], std::byte{0x5a});
    std::vector<float> acc(static_cast<std::size_t>(x.rows) * 16, -1.0f);
    kernel.tile[x.rows](panel.data(), tile.data(), x.k, 0, x.k, acc.data(), 16, false, nullptr);
    return acc;
  }
  /// Every element of a product of the two.
  void expect_product(const WeightKernel& kernel, const Weights& w, const Activations& x) {
    const std::vector<float> got = product(kernel, w, x);
    for (int r = 0; r < x.rows; ++r)
      for (int c = 0; c < w.rows; ++c) {
        const reference::Expected e = reference::expected_of(kernel, w, c, x.row(r));
        ASSERT_NEAR(static_cast<double>(got[static_cast<std::size_t>(r * 16 + c)]), e.value,
                    e.tolerance)
            << "k " << x.k << " row " << r << " column " << c;
      }
  }
};

Weights weights_of(DType type, int rows, const std::vector<float>& row) {
  Weights w{type, rows, static_cast<std::int64_t>(row.size()), {}};
  w.bytes.resize(static_cast<std::size_t>(rows) * w.row_bytes());
  for (int r = 0; r < rows; ++r)
    encode(type, row.data(), w.k, w.bytes.data() + static_cast<std::size_t>(r) * w.row_bytes());
  return w;
}

/// Rows of every kind: ordinary, zero, all outliers, some, tiny, at the threshold.
Activations rows_of_all_kinds(int rows, std::int64_t k, std::mt19937& rng) {
  Activations x{rows, k, std::vector<float>(static_cast<std::size_t>(rows * k))};
  std::normal_distribution<float> normal;
  for (int r = 0; r < rows; ++r)
    for (std::int64_t i = 0; i < k; ++i) {
      const float v = normal(rng);
      const float choices[] = {v,
                               0.0f,
                               v < 0 ? v - 6.0f : v + 6.0f,
                               rng() % 40 == 0 ? 50.0f * v : v,
                               1e-34f * v,
                               rng() % 2 == 0 ? 6.0f : -kBelowSix,
                               i == k - 1 ? 100.0f : v,
                               1e4f * v};
      x.row(r)[i] = choices[(r + k) % 8];
    }
  return x;
}

TEST_P(Int8, AgreesWithThePaperForEveryNumberOfRowsAndInputs) {
  std::mt19937 rng(1);
  for_each_kernel([&](const WeightKernel& kernel) {
    for (const std::int64_t k : {1, 3, 4, 31, 32, 33, 65, 255, 256, 257, 300, 515, 1030})
      for (const int rows : {1, 2, 3, 4, 5, 6, 7, 8}) {
        Weights w = reference::random_weights(kernel.weight, rows % 2 == 0 ? 16 : 5, k, rng);
        std::fill_n(w.bytes.begin() + 2 * static_cast<std::ptrdiff_t>(w.row_bytes()), w.row_bytes(),
                    std::byte{0});  // a row of zeros
        expect_product(kernel, w, rows_of_all_kinds(rows, k, rng));
        if (HasFatalFailure()) return;
      }
  });
}

// What the two modes do with a feature at the threshold, in numbers that show it: the other
// weight makes 1.0 the level round(127 / 300) = 0.
TEST_P(Int8, SixIsAnOutlierAndWhatIsBelowIsNot) {
  for_each_kernel([&](const WeightKernel& kernel) {
    const bool apart = kernel.activation == ActivationFormat::kInt8RowOutliers;
    const Weights w = weights_of(kernel.weight, 1, {1.0f, 300.0f});
    for (const float x : {6.0f, -6.0f, kBelowSix, -kBelowSix, 1e6f}) {
      const std::vector<float> y = product(kernel, w, {1, 2, {x, 0.0f}});
      EXPECT_EQ(y[0], apart && std::fabs(x) >= 6.0f ? x : 0.0f) << x;
    }
  });
}

// An outlier costs plain int8 the other features: their levels are 0. Apart, it does not.
TEST_P(Int8, AnOutlierDoesNotCoarsenItsRow) {
  for_each_kernel([&](const WeightKernel& kernel) {
    const bool apart = kernel.activation == ActivationFormat::kInt8RowOutliers;
    const Weights w = weights_of(kernel.weight, 1, {1.0f, 1.0f, 1.0f});
    const std::vector<float> y = product(kernel, w, {1, 3, {1000.0f, 1.0f, 2.0f}});
    EXPECT_NEAR(y[0], apart ? 1003.0f : 1000.0f, 0.01f);
  });
}

TEST_P(Int8, TheLargestSumsDoNotOverflow) {
  for_each_kernel([&](const WeightKernel& kernel) {
    const std::int64_t k = 4096 + 7;
    for (const float weight : {2.0f, -2.0f})
      for (const float value : {kBelowSix, -kBelowSix})
        expect_product(
            kernel, weights_of(kernel.weight, 2, std::vector<float>(std::size_t{4096 + 7}, weight)),
            {8, k, std::vector<float>(static_cast<std::size_t>(8 * k), value)});
  });
}

// BF16 reaches where the reciprocal of a row's scale would not.
TEST_P(Int8, TinyAndHugeWeightsAreFinite) {
  const WeightKernel& kernel =
      *find_weight_kernel(kernels(), DType::kBF16, ActivationPrecision::kLlmInt8);
  for (const float weight : {1e-39f, 1e-36f, 1e-31f, 1e30f}) {
    const Weights w = weights_of(DType::kBF16, 1, std::vector<float>(100, weight));
    expect_product(kernel, w, {1, 100, std::vector<float>(100, 0.5f)});
    expect_product(kernel, w, {1, 100, std::vector<float>(100, 7.0f)});
  }
}

RIDGELINE_INSTANTIATE_ISAS(Int8);

}  // namespace
}  // namespace ridgeline
