#include "ridgeline/tensor/buffer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "ridgeline/tensor/tensor_view.h"

namespace ridgeline {
namespace {

TEST(Buffer, IsZeroedAndPageAligned) {
  auto buffer = Buffer::allocate(5 << 20, "a test");
  ASSERT_TRUE(buffer) << buffer.error().message;
  EXPECT_EQ(buffer->size(), std::size_t{5} << 20);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % 4096, 0u);
  EXPECT_TRUE(std::all_of(buffer->data(), buffer->data() + buffer->size(),
                          [](std::byte b) { return b == std::byte{0}; }));
  buffer->data()[buffer->size() - 1] = std::byte{7};
}

TEST(Buffer, MovesWithoutCopying) {
  auto first = Buffer::allocate(100, "a test");
  ASSERT_TRUE(first);
  std::byte* const data = first->data();
  Buffer second = *std::move(first);
  EXPECT_EQ(second.data(), data);
  EXPECT_EQ(first->data(), nullptr);
  EXPECT_EQ(first->size(), 0u);
  Buffer third;
  third = std::move(second);
  EXPECT_EQ(third.data(), data);
  EXPECT_EQ(third.size(), 100u);
}

TEST(Buffer, NothingIsAValidSize) {
  const auto buffer = Buffer::allocate(0, "nothing");
  ASSERT_TRUE(buffer);
  EXPECT_EQ(buffer->size(), 0u);
}

TEST(Buffer, SaysWhatCouldNotBeAllocated) {
  const auto buffer = Buffer::allocate(std::size_t{1} << 60, "the KV cache");
  ASSERT_FALSE(buffer);
  EXPECT_THAT(buffer.error().message,
              testing::HasSubstr("cannot allocate 1099511627776.0 MiB for the KV cache: "));
}

TEST(TensorView, RowsAndColumns) {
  TensorView tensor;
  EXPECT_EQ(tensor.elements(), 1);  // a scalar
  EXPECT_EQ(tensor.cols(), 1);
  tensor.shape = {3, 5, 7};
  EXPECT_EQ(tensor.cols(), 7);
  EXPECT_EQ(tensor.rows(), 15);
  EXPECT_EQ(tensor.elements(), 105);
}

}  // namespace
}  // namespace ridgeline
