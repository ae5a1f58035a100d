#pragma once

#include "ridgeline/quant/impl/affine_fits.h"
#include "ridgeline/quant/impl/small_rows.h"
#include "ridgeline/quant/impl/symmetric_fits.h"
#include "ridgeline/quant/isa.h"

namespace ridgeline::RIDGELINE_ISA {

extern constinit const RowCoders kRowCoders = {
    .decode_f16 = decode_f16,
    .q4_0 = encode_q4_0,
    .q4_1 = encode_q4_1,
    .q5_0 = encode_q5_0,
    .q5_1 = encode_q5_1,
    .q8_0 = encode_q8_0,
    .fits =
        {
            .affine_32s = fit_affine_sub_blocks<8, 32>,
            .affine_16s = fit_affine_sub_blocks<16, 16>,
            .q3_k = fit_q3_k,
            .q6_k = fit_q6_k,
            .iq4_scale = fit_iq4,
            .iq4_codes = iq4_codes,
        },
};

}  // namespace ridgeline::RIDGELINE_ISA
