#pragma once

#include <cstdint>
#include <vector>

#include "ridgeline/ops/backend.h"

namespace ridgeline {

/// What one forward pass computes: tokens of any number of sequences, one row each,
/// prefill and decode alike, without padding. Plain data.
struct Batch {
  std::vector<std::int32_t> tokens;      ///< [rows]
  std::vector<SequenceSlice> slices;     ///< cover the rows, in order
  std::vector<std::int32_t> logit_rows;  ///< rows whose logits are wanted, ascending

  std::int64_t rows() const { return static_cast<std::int64_t>(tokens.size()); }
  void clear() {
    tokens.clear();
    slices.clear();
    logit_rows.clear();
  }
};

}  // namespace ridgeline
