#include "ridgeline/engine/sampling_params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

namespace ridgeline {
namespace {

using ::testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(SamplingParams, DefaultsAreLlamaCpps) {
  const SamplingParams params;
  EXPECT_TRUE(validate(params));
  EXPECT_EQ(params.temperature, 0.8);
  EXPECT_EQ(params.top_k, 40);
  EXPECT_EQ(params.top_p, 0.95);
  EXPECT_EQ(params.min_p, 0.05);
  EXPECT_EQ(params.typical_p, 1.0);
  EXPECT_EQ(params.repeat_last_n, 64);
  EXPECT_EQ(params.repetition_penalty, 1.0);
}

TEST(SamplingParams, BoundsThemselvesAreAllowed) {
  SamplingParams params;
  params.temperature = 0;
  params.top_k = 0;
  params.top_p = params.typical_p = 0;
  params.min_p = 1;
  params.repeat_last_n = -1;
  params.max_tokens = params.min_tokens = 0;
  params.logit_bias = {{0, -std::numeric_limits<float>::infinity()},
                       {9, std::numeric_limits<float>::infinity()}};
  params.stop = {"x"};
  params.stop_token_ids = {9};
  EXPECT_TRUE(validate(params, 10));
  params.max_tokens = -1;
  params.min_tokens = 5;
  EXPECT_TRUE(validate(params, 10));
}

// Every refusal names its field, the value and what was expected.
TEST(SamplingParams, RefusalsNameTheFieldAndTheValue) {
  struct Case {
    std::function<void(SamplingParams&)> spoil;
    std::vector<std::string> words;
  };
  const std::vector<Case> cases = {
      {[](auto& p) { p.temperature = -0.5; }, {"temperature", "-0.5", "expected"}},
      {[](auto& p) { p.temperature = kNan; }, {"temperature", "nan"}},
      {[](auto& p) { p.temperature = kInfinity; }, {"temperature", "inf"}},
      {[](auto& p) { p.top_k = -1; }, {"top_k", "-1"}},
      {[](auto& p) { p.top_p = 1.5; }, {"top_p", "1.5"}},
      {[](auto& p) { p.top_p = kNan; }, {"top_p", "nan"}},
      {[](auto& p) { p.typical_p = -1; }, {"typical_p", "-1"}},
      {[](auto& p) { p.min_p = 1.01; }, {"min_p", "1.01"}},
      {[](auto& p) { p.repetition_penalty = 0; }, {"repetition_penalty", " 0"}},
      {[](auto& p) { p.repetition_penalty = kNan; }, {"repetition_penalty", "nan"}},
      {[](auto& p) { p.presence_penalty = kInfinity; }, {"presence_penalty", "inf"}},
      {[](auto& p) { p.frequency_penalty = -kInfinity; }, {"frequency_penalty", "-inf"}},
      {[](auto& p) { p.repeat_last_n = -2; }, {"repeat_last_n", "-2"}},
      {[](auto& p) {
         p.logit_bias = {{3, 1}, {100, 1}};
       },
       {"logit_bias[1]", "100"}},
      {[](auto& p) {
         p.logit_bias = {{-1, 1}};
       },
       {"logit_bias[0]", "-1"}},
      {[](auto& p) {
         p.logit_bias = {{3, std::nanf("")}};
       },
       {"logit_bias[0]", "token 3", "nan"}},
      {[](auto& p) { p.max_tokens = -2; }, {"max_tokens", "-2"}},
      {[](auto& p) { p.min_tokens = -1; }, {"min_tokens", "-1"}},
      {[](auto& p) { p.max_tokens = 4, p.min_tokens = 5; }, {"min_tokens", "5", "max_tokens", "4"}},
      {[](auto& p) {
         p.stop = {"a", ""};
       },
       {"stop[1]", "empty"}},
      {[](auto& p) { p.stop = {"ab\x80 c"}; }, {"stop[0]", "0x80", "at 2"}},
      {[](auto& p) { p.stop = {"caf\xC3"}; }, {"stop[0]", "0xc3", "at 3"}},
      {[](auto& p) {
         p.stop_token_ids = {0, 100};
       },
       {"stop_token_ids[1]", "100"}},
      {[](auto& p) { p.stop_token_ids = {-7}; }, {"stop_token_ids[0]", "-7"}},
  };
  for (const Case& c : cases) {
    SamplingParams params;
    c.spoil(params);
    const Status status = validate(params, 100);
    ASSERT_FALSE(status) << c.words[0];
    for (const std::string& word : c.words) EXPECT_THAT(status.error().message, HasSubstr(word));
  }
}

TEST(SamplingParams, WithoutAVocabularyOnlyNegativeTokensAreRefused) {
  SamplingParams params;
  params.stop_token_ids = {5'000'000};
  EXPECT_TRUE(validate(params));
  params.stop_token_ids = {-1};
  EXPECT_FALSE(validate(params));
}

}  // namespace
}  // namespace ridgeline
