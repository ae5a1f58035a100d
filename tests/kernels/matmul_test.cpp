// Matrix kernels of every ISA, type and treatment of the activations, against exact
// products; and contract 1: a row's result has the same bits in every tile, in every
// split of k and whatever its neighbours hold.

#include <algorithm>
#include <limits>

#include "ridgeline/tensor/buffer.h"
#include "tests/kernels/isa_fixture.h"
#include "tests/kernels/product_reference.h"

namespace ridgeline {
namespace {

using reference::Activations;
using reference::Weights;

Buffer allocate(std::size_t bytes) { return Buffer::allocate(bytes, "a test").value(); }

class MatMul : public IsaTest {
 protected:
  template <class Body>
  void for_each_kernel(Body&& body) {
    for (const WeightKernel& kernel : kernels().weights) {
      SCOPED_TRACE(std::string(kernels().name) + " " + std::string(name(kernel.weight)) +
                   " activations " + std::to_string(static_cast<int>(kernel.activation)));
      body(kernel);
      if (HasFatalFailure()) return;
    }
  }
  Buffer pack_panel(const WeightKernel& kernel, const Weights& w) const {
    Buffer panel = allocate(kernel.panel_bytes(w.k));
    std::fill_n(panel.data(), panel.size(), std::byte{0xa5});  // packing must write all of it
    kernel.pack_panel(w.bytes.data(), w.row_bytes(), w.rows, w.k, panel.data());
    return panel;
  }
  Buffer pack_tile(const WeightKernel& kernel, const Activations& x, int first, int rows) const {
    const ActivationKernel& pack = *find_activation_kernel(kernels(), kernel.activation);
    Buffer tile = allocate(pack.tile_bytes(rows, x.k));
    pack.pack(x.row(first), x.k, rows, x.k, tile.data());
    return tile;
  }
  /// Rows [first, first + rows) as one tile: rows × panel_width results.
  std::vector<float> product(const WeightKernel& kernel, const Buffer& panel, const Activations& x,
                             int first, int rows) const {
    const auto width = static_cast<std::size_t>(kernels().panel_width);
    std::vector<float> acc(static_cast<std::size_t>(rows) * width, -1.0f);
    const Buffer tile = pack_tile(kernel, x, first, rows);
    kernel.tile[rows](panel.data(), tile.data(), x.k, 0, x.k, acc.data(),
                      static_cast<std::ptrdiff_t>(width), false, nullptr);
    return acc;
  }
};

std::vector<std::int64_t> sizes_for(DType dtype) {
  switch (info(dtype).block_elements) {
    case 1:
      return {1, 2, 31, 33, 64, 257};
    case 32:
      return {32, 64, 96, 32 * 35};
    case 64:
    case 128: {
      const std::int64_t group = info(dtype).block_elements;
      return {group, 3 * group, 4 * group, 9 * group};
    }
    default:
      return {256, 768};
  }
}

bool same_bits(const float* a, const float* b, std::size_t n) {
  return std::memcmp(a, b, n * sizeof(float)) == 0;
}

TEST_P(MatMul, AgreesWithTheExactProduct) {
  std::mt19937 rng(1);
  for_each_kernel([&](const WeightKernel& kernel) {
    for (const std::int64_t k : sizes_for(kernel.weight))
      for (const int columns : {kernels().panel_width, 5}) {
        const Weights w = reference::random_weights(kernel.weight, columns, k, rng);
        const Activations x = reference::random_activations(kMaxTileRows, k, rng);
        const Buffer panel = pack_panel(kernel, w);
        const std::vector<float> got = product(kernel, panel, x, 0, kMaxTileRows);
        for (int r = 0; r < kMaxTileRows; ++r) {
          for (int c = 0; c < kernels().panel_width; ++c) {
            const float value = got[static_cast<std::size_t>(r * kernels().panel_width + c)];
            if (c >= columns) {
              ASSERT_EQ(value, 0.0f) << "a column beyond the weight";
              continue;
            }
            const reference::Expected e = reference::expected_of(kernel, w, c, x.row(r));
            ASSERT_NEAR(static_cast<double>(value), e.value, e.tolerance)
                << "k " << k << " row " << r << " column " << c;
          }
        }
      }
  });
}

TEST_P(MatMul, ARowHasTheSameBitsInEveryTile) {
  std::mt19937 rng(2);
  for_each_kernel([&](const WeightKernel& kernel) {
    const auto width = static_cast<std::size_t>(kernels().panel_width);
    const std::int64_t k = sizes_for(kernel.weight).back();
    const Weights w = reference::random_weights(kernel.weight, kernels().panel_width, k, rng);
    const Activations x = reference::random_activations(kMaxTileRows, k, rng);
    const Buffer panel = pack_panel(kernel, w);
    std::vector<float> alone;
    for (int r = 0; r < kMaxTileRows; ++r) {
      const std::vector<float> one = product(kernel, panel, x, r, 1);
      alone.insert(alone.end(), one.begin(), one.end());
    }
    for (int rows = 2; rows <= kMaxTileRows; ++rows)
      for (const int first : {0, kMaxTileRows - rows}) {
        const std::vector<float> tile = product(kernel, panel, x, first, rows);
        ASSERT_TRUE(same_bits(tile.data(), alone.data() + static_cast<std::size_t>(first) * width,
                              tile.size()))
            << rows << " rows from " << first;
      }
  });
}

TEST_P(MatMul, KCanBeSplitAnywhereAndPrefetchChangesNothing) {
  std::mt19937 rng(3);
  for_each_kernel([&](const WeightKernel& kernel) {
    const std::int64_t k = info(kernel.weight).block_elements == 1 ? 301 : 1280;
    const auto width = static_cast<std::size_t>(kernels().panel_width);
    const Weights w = reference::random_weights(kernel.weight, kernels().panel_width, k, rng);
    const Activations x = reference::random_activations(kMaxTileRows, k, rng);
    const Buffer panel = pack_panel(kernel, w);
    for (const int rows : {1, 3, 8}) {
      const std::vector<float> whole = product(kernel, panel, x, 0, rows);
      const Buffer tile = pack_tile(kernel, x, 0, rows);
      for (std::int64_t step = kernel.k_step; step < k; step *= 3) {
        // Rows of the result lie apart, and what lies between them stays.
        const std::size_t stride = width + 3;
        std::vector<float> acc(static_cast<std::size_t>(rows) * stride, -7.0f);
        for (std::int64_t begin = 0; begin < k; begin += step)
          kernel.tile[rows](panel.data(), tile.data(), k, begin, std::min(k, begin + step),
                            acc.data(), static_cast<std::ptrdiff_t>(stride), begin > 0,
                            panel.data());
        for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r) {
          ASSERT_TRUE(same_bits(acc.data() + r * stride, whole.data() + r * width, width))
              << rows << " rows, steps of " << step;
          for (std::size_t i = width; i < stride; ++i) ASSERT_EQ(acc[r * stride + i], -7.0f);
        }
      }
    }
  });
}

TEST_P(MatMul, DecodesRowsToTheBitsOfTheScalarDecoder) {
  std::mt19937 rng(4);
  for_each_kernel([&](const WeightKernel& kernel) {
    for (const std::int64_t k : sizes_for(kernel.weight)) {
      const Weights w = reference::random_weights(kernel.weight, kernels().panel_width, k, rng);
      const Buffer panel = pack_panel(kernel, w);
      for (int r = 0; r < w.rows; ++r) {
        // One more float than the row has: it must stay.
        std::vector<float> got(static_cast<std::size_t>(k) + 1, -3.0f);
        kernel.decode_row(panel.data(), r, k, got.data());
        ASSERT_TRUE(same_bits(got.data(), w.decoded(r).data(), static_cast<std::size_t>(k)))
            << "k " << k << " row " << r;
        ASSERT_EQ(got.back(), -3.0f);
      }
    }
  });
}

TEST_P(MatMul, DecodesEveryExponentOfMxfp4) {
  for_each_kernel([&](const WeightKernel& kernel) {
    if (kernel.weight != DType::kMXFP4) return;
    const std::int64_t k = 32 * 256;
    std::mt19937 rng(6);
    Weights w = reference::random_weights(kernel.weight, 1, k, rng);
    for (std::size_t e = 0; e < 256; ++e) w.bytes[e * 17] = static_cast<std::byte>(e);
    const Buffer panel = pack_panel(kernel, w);
    std::vector<float> got(static_cast<std::size_t>(k));
    kernel.decode_row(panel.data(), 0, k, got.data());
    EXPECT_TRUE(same_bits(got.data(), w.decoded(0).data(), got.size()));
  });
}

/// The largest sums that integers can reach: all levels at one end of their range, all
/// activations at the other. Narrow accumulators would overflow.
TEST_P(MatMul, ExtremeLevelsDoNotOverflow) {
  for_each_kernel([&](const WeightKernel& kernel) {
    if (!reference::is_quantized(kernel.weight)) return;
    const std::int64_t k = 512;
    for (const std::byte fill :
         {std::byte{0x00}, std::byte{0xff}, std::byte{0x80}, std::byte{0x7f}}) {
      Weights w{kernel.weight, kernels().panel_width, k, {}};
      w.bytes.assign(static_cast<std::size_t>(w.rows) * w.row_bytes(), fill);
      reference::set_scales(kernel.weight, w.bytes, [] { return 1.0f; });
      const Buffer panel = pack_panel(kernel, w);
      for (const float value : {127.0f, -127.0f}) {
        Activations x{2, k, std::vector<float>(static_cast<std::size_t>(2 * k), value)};
        const std::vector<float> got = product(kernel, panel, x, 0, 2);
        const reference::Expected e = reference::expected_of(kernel, w, 0, x.row(0));
        for (const float y : got) ASSERT_NEAR(static_cast<double>(y), e.value, e.tolerance);
      }
    }
  });
}

TEST_P(MatMul, NonFiniteActivationsMakeTheirRowNaNAndNoOther) {
  std::mt19937 rng(5);
  const float kInf = std::numeric_limits<float>::infinity();
  const float kNaN = std::numeric_limits<float>::quiet_NaN();
  for_each_kernel([&](const WeightKernel& kernel) {
    const std::int64_t k = info(kernel.weight).block_elements == 1 ? 65 : 512;
    const auto width = static_cast<std::size_t>(kernels().panel_width);
    const bool quantized = kernel.activation == ActivationFormat::kQ8x32 ||
                           kernel.activation == ActivationFormat::kQ8x256 ||
                           kernel.activation == ActivationFormat::kInt8Row;
    const Weights w = reference::random_weights(kernel.weight, kernels().panel_width, k, rng);
    const Buffer panel = pack_panel(kernel, w);
    const Activations good = reference::random_activations(4, k, rng);
    const std::vector<float> before = product(kernel, panel, good, 0, 4);
    for (const float bad : {kNaN, -kNaN, kInf, -kInf}) {
      Activations x = good;
      x.row(2)[k / 2] = bad;
      const std::vector<float> got = product(kernel, panel, x, 0, 4);
      for (std::size_t r = 0; r < 4; ++r) {
        if (r != 2) {
          ASSERT_TRUE(same_bits(got.data() + r * width, before.data() + r * width, width));
          continue;
        }
        for (std::size_t c = 0; c < width; ++c) {
          const float y = got[r * width + c];
          // Exact arithmetic keeps an infinity, unless it meets a weight of zero.
          ASSERT_TRUE(quantized || std::isnan(bad) ? std::isnan(y) : !std::isfinite(y)) << y;
        }
      }
    }
  });
}

TEST_P(MatMul, NonFiniteWeightsStayInTheirColumn) {
  std::mt19937 rng(6);
  for_each_kernel([&](const WeightKernel& kernel) {
    if (kernel.weight == DType::kMXFP4) return;  // ggml reads every exponent as a number
    const std::int64_t k = info(kernel.weight).block_elements == 1 ? 65 : 512;
    Weights w = reference::random_weights(kernel.weight, kernels().panel_width, k, rng);
    const Activations x = reference::random_activations(3, k, rng);
    const std::vector<float> before = product(kernel, pack_panel(kernel, w), x, 0, 3);
    std::byte* row = w.bytes.data() + 3 * w.row_bytes();
    if (reference::is_quantized(kernel.weight)) {
      const std::uint16_t nan = 0x7e00;
      for (const std::size_t at : reference::scale_offsets(kernel.weight))
        std::memcpy(row + at, &nan, sizeof nan);
    } else {
      const float nan = std::numeric_limits<float>::quiet_NaN();
      encode(kernel.weight, &nan, 1, row);
    }
    const std::vector<float> got = product(kernel, pack_panel(kernel, w), x, 0, 3);
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (i % static_cast<std::size_t>(kernels().panel_width) == 3)
        ASSERT_TRUE(std::isnan(got[i]));
      else
        ASSERT_TRUE(same_bits(&got[i], &before[i], 1));
    }
  });
}

TEST_P(MatMul, ZeroTinyAndHugeActivationsAreFinite) {
  std::mt19937 rng(7);
  for_each_kernel([&](const WeightKernel& kernel) {
    const std::int64_t k = 256;
    const Weights w = reference::random_weights(kernel.weight, kernels().panel_width, k, rng);
    const Buffer panel = pack_panel(kernel, w);
    for (const float size : {0.0f, 1e-45f, 1e-38f, 2e-30f, 1e30f}) {
      const Activations x{1, k, std::vector<float>(static_cast<std::size_t>(k), size)};
      const std::vector<float> got = product(kernel, panel, x, 0, 1);
      for (int c = 0; c < kernels().panel_width; ++c) {
        const reference::Expected e = reference::expected_of(kernel, w, c, x.row(0));
        ASSERT_NEAR(static_cast<double>(got[static_cast<std::size_t>(c)]), e.value,
                    e.tolerance + 1e-36)
            << size;
      }
    }
  });
}

RIDGELINE_INSTANTIATE_ISAS(MatMul);

}  // namespace
}  // namespace ridgeline
