// Matrices whose inputs come in an order of their own: the bits of the same matrix in order,
// given inputs that were gathered beforehand.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "ridgeline/ops/backend.h"
#include "ridgeline/quant/random_blocks.h"

namespace ridgeline {
namespace {

constexpr std::int64_t kCols = 256, kRowsMax = 70;

class OrderedInputs : public testing::TestWithParam<ActivationPrecision> {
 protected:
  void SetUp() override {
    auto backend = create_backend({.threads = 2, .isa = "", .activations = GetParam()});
    ASSERT_TRUE(backend) << backend.error().message;
    backend_ = std::move(*backend);
    for (InputOrder* order : {&first_, &second_}) {
      std::vector<std::int32_t> values(kCols);
      std::iota(values.begin(), values.end(), 0);
      std::ranges::shuffle(values, random_);
      *order = std::make_shared<const std::vector<std::int32_t>>(std::move(values));
    }
    x_.resize(kRowsMax * kCols);
    std::normal_distribution<float> normal;
    for (float& v : x_) v = normal(random_);
  }
  void reserve() {
    Backend::Limits limits{.max_rows = kRowsMax, .max_cols = kCols, .max_positions = 1};
    limits.query_heads = limits.kv_heads = limits.head_dim = 1;
    ASSERT_TRUE(backend_->reserve(limits));
  }
  /// The same matrix twice: with an order, and without.
  struct Pair {
    std::unique_ptr<PackedWeight> ordered, plain;
    InputOrder order;
  };
  Pair pair(DType dtype, std::int64_t rows, InputOrder order) {
    std::vector<std::byte> file(static_cast<std::size_t>(rows) * row_bytes(dtype, kCols));
    random_blocks(dtype, static_cast<std::uint32_t>(random_()), 0.1F, rows * kCols, file.data());
    const std::size_t bytes = *backend_->packed_bytes(dtype, rows, kCols);
    auto buffer = std::shared_ptr<DeviceBuffer>(*backend_->allocate(bytes, "a weight"));
    backend_->pack_rows(dtype, rows, kCols, file.data(), buffer->data());
    const auto adopt = [&](InputOrder o) {
      return *backend_->adopt_weight(dtype, rows, kCols,
                                     {{buffer->data(), bytes}, buffer, std::move(o)});
    };
    return {adopt(order), adopt(nullptr), order};
  }
  std::vector<float> gathered(const InputOrder& order) const {
    if (!order) return x_;
    std::vector<float> out(x_.size());
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = x_[i - i % kCols + static_cast<std::size_t>((*order)[i % kCols])];
    return out;
  }
  Matrix matrix(std::vector<float>& values, std::int64_t rows, std::int64_t cols) {
    return {values.data(), rows, cols, cols};
  }

  std::mt19937 random_{7};
  std::unique_ptr<Backend> backend_;
  InputOrder first_, second_;
  std::vector<float> x_;
};

TEST_P(OrderedInputs, ProductsThatShareXHaveOrdersOfTheirOwn) {
  std::vector<Pair> pairs;
  pairs.push_back(pair(DType::kINT4_64, 48, first_));
  pairs.push_back(pair(DType::kINT4_32, 24, nullptr));
  pairs.push_back(pair(DType::kINT4_128, 24, second_));
  pairs.push_back(pair(DType::kINT4_64, 40, first_));
  reserve();
  const std::vector<float> bias(64, 0.25F);
  for (const std::int64_t rows : {1, 7, 70}) {
    std::vector<std::vector<float>> got;
    std::vector<LinearOutput> outputs;
    for (const Pair& p : pairs) got.emplace_back(rows * p.ordered->rows(), 1.0F);
    for (std::size_t i = 0; i < pairs.size(); ++i)
      outputs.push_back({pairs[i].ordered.get(), matrix(got[i], rows, pairs[i].ordered->rows()),
                         i == 1 ? nullptr : bias.data(), /*add=*/i == 2});
    backend_->linear(matrix(x_, rows, kCols), outputs);
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      std::vector<float> x = gathered(pairs[i].order);
      std::vector<float> expected(got[i].size(), 1.0F);
      LinearOutput output = outputs[i];
      output.weight = pairs[i].plain.get();
      output.out = matrix(expected, rows, pairs[i].plain->rows());
      backend_->linear(matrix(x, rows, kCols), std::span(&output, 1));
      EXPECT_EQ(got[i], expected) << "product " << i << " of " << rows << " rows";
    }
  }
}

TEST_P(OrderedInputs, GateAndUpHaveOrdersOfTheirOwn) {
  const Pair gate = pair(DType::kINT4_32, 56, first_);
  for (const InputOrder& order : {first_, second_, InputOrder()}) {
    const Pair up = pair(DType::kINT4_32, 56, order);
    reserve();
    for (const std::int64_t rows : {1, 70}) {
      std::vector<float> got(static_cast<std::size_t>(rows * 56)), g(got), u(got);
      backend_->gated_linear(matrix(x_, rows, kCols), *gate.ordered, *up.ordered,
                             matrix(got, rows, 56), Activation::kSilu);
      std::vector<float> x_gate = gathered(gate.order), x_up = gathered(up.order);
      const LinearOutput gate_out{gate.plain.get(), matrix(g, rows, 56)};
      const LinearOutput up_out{up.plain.get(), matrix(u, rows, 56)};
      backend_->linear(matrix(x_gate, rows, kCols), std::span(&gate_out, 1));
      backend_->linear(matrix(x_up, rows, kCols), std::span(&up_out, 1));
      for (std::size_t i = 0; i < got.size(); ++i) {
        const float expected = g[i] / (1 + std::exp(-g[i])) * u[i];
        ASSERT_NEAR(got[i], expected, 1e-6F * (1 + std::abs(expected))) << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Activations, OrderedInputs,
                         testing::Values(ActivationPrecision::kFast, ActivationPrecision::kExact),
                         [](const auto& parameter) {
                           return parameter.param == ActivationPrecision::kFast ? "Fast" : "Exact";
                         });

}  // namespace
}  // namespace ridgeline
