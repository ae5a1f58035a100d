#include "ridgeline/base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "ridgeline/base/check.h"

namespace ridgeline {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return fail(std::to_string(value) + " is odd, expected an even number");
  return value / 2;
}

Status expect_small(int value) {
  if (value > 9) return fail(std::to_string(value) + " is too large, expected at most 9");
  return {};
}

/// Half of a quarter's half, with both macros more than once.
Result<std::string> eighth(int value) {
  RIDGELINE_TRY(const int a, half(value));
  RIDGELINE_TRY(const int b, half(a));
  RIDGELINE_TRY_STATUS(expect_small(b));
  RIDGELINE_TRY(const int c, half(b));
  RIDGELINE_TRY_STATUS(expect_small(c));
  return std::to_string(c);
}

TEST(Result, TryPassesValuesOnAndErrorsUp) {
  EXPECT_EQ(eighth(16).value(), "2");
  EXPECT_EQ(eighth(7).error().message, "7 is odd, expected an even number");
  EXPECT_EQ(eighth(14).error().message, "7 is odd, expected an even number");
  EXPECT_EQ(eighth(20).error().message, "5 is odd, expected an even number");
  EXPECT_EQ(eighth(80).error().message, "20 is too large, expected at most 9");
}

Result<std::unique_ptr<int>> make(int value) { return std::make_unique<int>(value); }

Result<int> take(int value) {
  RIDGELINE_TRY(const std::unique_ptr<int> owner, make(value));
  return *owner;
}

TEST(Result, TryMovesWhatCannotBeCopied) { EXPECT_EQ(take(7).value(), 7); }

TEST(CheckDeathTest, NamesTheConditionAndThePlace) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const int two = 2;
  RIDGELINE_CHECK(two == 2);
  EXPECT_DEATH(RIDGELINE_CHECK(two == 3),
               "internal error at .*result_test\\.cpp:[0-9]+: two == 3 does not hold");
}

}  // namespace
}  // namespace ridgeline
