#include "ridgeline/engine/sampling_params.h"

#include <fmt/format.h>

#include <cmath>

#include "ridgeline/text/utf8.h"

namespace ridgeline {
namespace {

// Beyond these a distribution no longer changes in a float (a gap of 100 between two
// logits is e^-0.0001 at this temperature), but intermediate values could overflow.
constexpr double kTemperatureMax = 1e6;
constexpr double kRepetitionPenaltyMax = 1e6;
constexpr double kAdditivePenaltyMax = 1e6;

// Written so that NaN is out of every range.
Status within(const char* field, double value, double low, double high, const char* expected) {
  if (value >= low && value <= high) return {};
  return fail(fmt::format("{} is {}; expected {}", field, value, expected));
}

Status validate_token(const std::string& field, TokenId token, int vocab_size) {
  if (token >= 0 && token < vocab_size) return {};
  if (token < 0) return fail(fmt::format("{} is token {}; expected 0 or more", field, token));
  return fail(fmt::format("{} is token {}; expected less than the vocabulary's {}", field, token,
                          vocab_size));
}

Status validate_distribution(const SamplingParams& params) {
  RIDGELINE_TRY_STATUS(within("temperature", params.temperature, 0, kTemperatureMax,
                              "a number from 0 (greedy) to 1000000"));
  if (params.top_k < 0) {
    return fail(fmt::format("top_k is {}; expected 0 (off) or more", params.top_k));
  }
  RIDGELINE_TRY_STATUS(within("typical_p", params.typical_p, 0, 1, "a number from 0 to 1 (off)"));
  RIDGELINE_TRY_STATUS(within("top_p", params.top_p, 0, 1, "a number from 0 to 1 (off)"));
  RIDGELINE_TRY_STATUS(within("min_p", params.min_p, 0, 1, "a number from 0 (off) to 1"));
  if (!(params.repetition_penalty > 0 && params.repetition_penalty <= kRepetitionPenaltyMax)) {
    return fail(fmt::format(
        "repetition_penalty is {}; expected a number above 0 (1 is off) and at most 1000000",
        params.repetition_penalty));
  }
  RIDGELINE_TRY_STATUS(within("presence_penalty", params.presence_penalty, -kAdditivePenaltyMax,
                              kAdditivePenaltyMax, "a number from -1000000 to 1000000 (0 is off)"));
  RIDGELINE_TRY_STATUS(within("frequency_penalty", params.frequency_penalty, -kAdditivePenaltyMax,
                              kAdditivePenaltyMax, "a number from -1000000 to 1000000 (0 is off)"));
  if (params.repeat_last_n < -1) {
    return fail(fmt::format(
        "repeat_last_n is {}; expected -1 (the whole context), 0 (off) or a number of tokens",
        params.repeat_last_n));
  }
  return {};
}

Status validate_stops(const std::vector<std::string>& stops) {
  for (std::size_t i = 0; i < stops.size(); ++i) {
    if (stops[i].empty()) {
      return fail(fmt::format("stop[{}] is an empty string; expected at least one character", i));
    }
    // Emitted text is UTF-8: such a stop could never match, yet hold back half a character.
    const std::size_t valid = utf8_valid_prefix_bytes(stops[i]);
    if (valid < stops[i].size()) {
      return fail(fmt::format("stop[{}] has byte 0x{:02x} at {}; expected valid UTF-8", i,
                              static_cast<unsigned char>(stops[i][valid]), valid));
    }
  }
  return {};
}

}  // namespace

Status validate(const SamplingParams& params, int vocab_size) {
  RIDGELINE_TRY_STATUS(validate_distribution(params));
  for (std::size_t i = 0; i < params.logit_bias.size(); ++i) {
    const LogitBias& entry = params.logit_bias[i];
    RIDGELINE_TRY_STATUS(validate_token(fmt::format("logit_bias[{}]", i), entry.token, vocab_size));
    if (std::isnan(entry.bias)) {
      return fail(fmt::format("logit_bias[{}] of token {} is nan; expected a number or +-infinity",
                              i, entry.token));
    }
  }
  if (params.max_tokens < -1) {
    return fail(fmt::format("max_tokens is {}; expected -1 (no limit) or more", params.max_tokens));
  }
  if (params.min_tokens < 0) {
    return fail(fmt::format("min_tokens is {}; expected 0 or more", params.min_tokens));
  }
  if (params.max_tokens >= 0 && params.min_tokens > params.max_tokens) {
    return fail(fmt::format("min_tokens is {}; expected at most max_tokens, which is {}",
                            params.min_tokens, params.max_tokens));
  }
  RIDGELINE_TRY_STATUS(validate_stops(params.stop));
  for (std::size_t i = 0; i < params.stop_token_ids.size(); ++i) {
    RIDGELINE_TRY_STATUS(
        validate_token(fmt::format("stop_token_ids[{}]", i), params.stop_token_ids[i], vocab_size));
  }
  return {};
}

}  // namespace ridgeline
