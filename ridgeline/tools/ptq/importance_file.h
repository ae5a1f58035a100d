#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/ptq/importance_matrix.h"

// llama.cpp's two forms of an importance matrix. GGUF, as its llama-imatrix writes it since
// July 2025: of each tensor "NAME.in_sum2", [matrices][cols], and "NAME.counts", [matrices][1],
// both F32, and the metadata general.type, imatrix.datasets, imatrix.chunk_count and
// imatrix.chunk_size.
//
// The older form, .dat, little-endian:
//
//   entries i32
//   each entry    name length i32 │ name │ calls i32 │ values i32 │ values f32[]
//   and then      chunks i32 │ dataset length i32 │ dataset      (absent in the oldest)
//
// Its values are mean squares times the calls, and calls the chunks that reached the tensor.

namespace ridgeline::ptq {

/// Whether the sizes agree and every number is one that a sum of squares can be, and fits F32.
Status check_importance(const std::string& path, const std::string& tensor,
                        const ImportanceMatrix::Entry& entry);

bool is_gguf(std::span<const std::byte> bytes);
Result<ImportanceMatrix> parse_importance_gguf(std::span<const std::byte> bytes,
                                               const std::string& path);
Result<ImportanceMatrix> parse_importance_dat(std::span<const std::byte> bytes,
                                              const std::string& path);
Status write_importance_gguf(const ImportanceMatrix& matrix, const std::string& path);
Status write_importance_dat(const ImportanceMatrix& matrix, const std::string& path);

}  // namespace ridgeline::ptq
