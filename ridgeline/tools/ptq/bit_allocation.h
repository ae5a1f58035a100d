#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ridgeline/base/result.h"

namespace ridgeline::ptq {

/// One of the forms that a tensor (or a group of tensors that go together) may take: a type, as
/// a rule.
struct AllocationChoice {
  std::uint64_t bytes = 0;
  double loss = 0;  ///< predicted; at least 0, of the same unit for all tensors, and adds up
};

/// Which choice each item takes.
struct Allocation {
  std::vector<std::size_t> chosen;  ///< [items], an index into the item's choices
  std::uint64_t bytes = 0;
  double loss = 0;
  bool is_optimal = false;  ///< proven; else near it, as below
};

/// The choices, one for each item, of the least total loss whose bytes stay within `budget`: a
/// multiple-choice knapsack (Kellerer, Pferschy, Pisinger 2004, "Knapsack Problems", chapter 11).
///
/// First each item goes down the lower convex hull of its loss over bytes, the step that saves
/// most loss for a byte first, while steps fit; then single items take whatever still fits. That
/// is worse than the optimum by no more than the first step that did not fit saves. Branch and
/// bound goes on from there, as far as kAllocationNodesMax.
///
/// Errors: a budget below the bytes of the smallest choices, which it names; a loss that is
/// negative or no number. Every item has a choice.
Result<Allocation> allocate_bits(std::span<const std::vector<AllocationChoice>> items,
                                 std::uint64_t budget);

/// Bounds computed at most; some tenths of a second for a model of a thousand tensors.
inline constexpr int kAllocationNodesMax = 20'000;

}  // namespace ridgeline::ptq
