#include "ridgeline/engine/kv_plan.h"

#include <gtest/gtest.h>

namespace ridgeline {
namespace {

TEST(KvSizes, ContextsAndPoolsFollowFromWindows) {
  auto backend = create_backend({.threads = 1, .isa = {}, .pin = false});
  ASSERT_TRUE(backend);
  KvCacheShape shape{DType::kF16, 3, 1, 32, 0};
  shape.layer_windows = {0, 100, 100};
  const auto sizes = KvSizes::of(**backend, shape, 50);
  ASSERT_TRUE(sizes);
  constexpr std::uint64_t kLayer = 2 * 32 * 16 * 2;  // bytes of a block in one layer
  EXPECT_EQ(sizes->blocks(64), (std::vector<int>{4, 4}));
  // 149 positions from anywhere in a block.
  EXPECT_EQ(sizes->blocks(16000), (std::vector<int>{1000, 11}));
  EXPECT_EQ(sizes->bytes(16000), (1000 + 2 * 11) * kLayer);
  EXPECT_EQ(sizes->tokens_in((1000 + 2 * 11) * kLayer), 16000);
  EXPECT_EQ(sizes->tokens_in((1000 + 2 * 11) * kLayer - 1), 15984);
  EXPECT_EQ(sizes->tokens_in(0), 0);
  EXPECT_EQ(sizes->pools(16000, 3), (std::vector<int>{3000, 33}));
  EXPECT_EQ(sizes->pools_in((1000 + 2 * 11) * kLayer, 16000, 4), (std::vector<int>{1000, 11}));
  EXPECT_EQ(sizes->pools_in((5000 + 2 * 22) * kLayer, 16000, 2), (std::vector<int>{5000, 22}));
  EXPECT_DOUBLE_EQ(sizes->bytes_seen(1000), (1000.0 + 2 * 100) * kLayer / 16);
}

}  // namespace
}  // namespace ridgeline
