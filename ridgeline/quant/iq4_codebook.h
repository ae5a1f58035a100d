#pragma once

#include <cstdint>

// What IQ4_NL and IQ4_XS have in common: four bits choose one of sixteen values, which
// lie closer together near zero, and blocks of 32 elements are scaled by one factor.
namespace ridgeline::iq4 {

constexpr int kBlock = 32;

/// ggml's codebook, in ascending order.
inline constexpr std::int8_t kValues[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                            1,    13,   25,  38,  53,  69,  89,  113};

}  // namespace ridgeline::iq4
