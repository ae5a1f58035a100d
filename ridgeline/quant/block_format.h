#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ridgeline/tensor/dtype.h"

namespace ridgeline {

/// Scalar conversion between F32 and one stored type, `n` elements of one row
/// (a multiple of the block). Decoding is exact in the sense that every reader
/// of the file agrees on the value; encoding is round-to-nearest as the format's
/// reference does it. The IQ2 and IQ3 types have no encoder: theirs needs data that
/// says which weights matter, or the result is poor. Nor have INT4's, which come from
/// GPTQ and AWQ checkpoints as they are.
struct BlockFormat {
  DType dtype;
  void (*decode)(const std::byte* blocks, std::int64_t n, float* out);
  void (*encode)(const float* in, std::int64_t n, std::byte* blocks);
};

/// The row of a type; every supported type has one.
const BlockFormat& block_format(DType dtype);

inline bool can_encode(DType dtype) { return block_format(dtype).encode != nullptr; }

inline void decode(DType dtype, const std::byte* blocks, std::int64_t n, float* out) {
  block_format(dtype).decode(blocks, n, out);
}
/// can_encode(dtype) must hold.
inline void encode(DType dtype, const float* in, std::int64_t n, std::byte* blocks) {
  block_format(dtype).encode(in, n, blocks);
}

}  // namespace ridgeline
