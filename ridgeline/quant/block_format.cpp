#include "ridgeline/quant/block_format.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "ridgeline/base/check.h"
#include "ridgeline/quant/half.h"
#include "ridgeline/quant/int4.h"
#include "ridgeline/quant/iq2.h"
#include "ridgeline/quant/iq3.h"
#include "ridgeline/quant/iq4_nl.h"
#include "ridgeline/quant/iq4_xs.h"
#include "ridgeline/quant/mxfp4.h"
#include "ridgeline/quant/q2_k.h"
#include "ridgeline/quant/q3_k.h"
#include "ridgeline/quant/q4_0.h"
#include "ridgeline/quant/q4_1.h"
#include "ridgeline/quant/q4_k.h"
#include "ridgeline/quant/q5_0.h"
#include "ridgeline/quant/q5_1.h"
#include "ridgeline/quant/q5_k.h"
#include "ridgeline/quant/q6_k.h"
#include "ridgeline/quant/q8_0.h"

namespace ridgeline {
namespace {

void decode_f32(const std::byte* in, std::int64_t n, float* out) {
  if (n > 0) std::memcpy(out, in, static_cast<std::size_t>(n) * sizeof(float));
}
void encode_f32(const float* in, std::int64_t n, std::byte* out) {
  if (n > 0) std::memcpy(out, in, static_cast<std::size_t>(n) * sizeof(float));
}

constexpr std::array kFormats{
    BlockFormat{DType::kF32, decode_f32, encode_f32},
    BlockFormat{DType::kF16, decode_f16, encode_f16},
    BlockFormat{DType::kBF16, decode_bf16, encode_bf16},
    BlockFormat{DType::kQ8_0, decode_q8_0, encode_q8_0},
    BlockFormat{DType::kQ4_0, decode_q4_0, encode_q4_0},
    BlockFormat{DType::kQ4_1, decode_q4_1, encode_q4_1},
    BlockFormat{DType::kQ5_0, decode_q5_0, encode_q5_0},
    BlockFormat{DType::kQ5_1, decode_q5_1, encode_q5_1},
    BlockFormat{DType::kQ2_K, decode_q2_k, encode_q2_k},
    BlockFormat{DType::kQ3_K, decode_q3_k, encode_q3_k},
    BlockFormat{DType::kQ4_K, decode_q4_k, encode_q4_k},
    BlockFormat{DType::kQ5_K, decode_q5_k, encode_q5_k},
    BlockFormat{DType::kQ6_K, decode_q6_k, encode_q6_k},
    BlockFormat{DType::kIQ4_NL, decode_iq4_nl, encode_iq4_nl},
    BlockFormat{DType::kIQ4_XS, decode_iq4_xs, encode_iq4_xs},
    BlockFormat{DType::kMXFP4, decode_mxfp4, encode_mxfp4},
    BlockFormat{DType::kIQ2_XXS, decode_iq2_xxs, nullptr},
    BlockFormat{DType::kIQ2_XS, decode_iq2_xs, nullptr},
    BlockFormat{DType::kIQ2_S, decode_iq2_s, nullptr},
    BlockFormat{DType::kIQ3_XXS, decode_iq3_xxs, nullptr},
    BlockFormat{DType::kIQ3_S, decode_iq3_s, nullptr},
    BlockFormat{DType::kINT4_32, decode_int4<32>, nullptr},
    BlockFormat{DType::kINT4_64, decode_int4<64>, nullptr},
    BlockFormat{DType::kINT4_128, decode_int4<128>, nullptr},
};

}  // namespace

const BlockFormat& block_format(DType dtype) {
  const auto* it = std::ranges::find(kFormats, dtype, &BlockFormat::dtype);
  RIDGELINE_CHECK(it != kFormats.end());
  return *it;
}

}  // namespace ridgeline
