#pragma once

#include <cstdint>
#include <span>

namespace ridgeline::jinja {

/// Every step-th code point from first to last.
struct CodePointRange {
  char32_t first, last;
  std::uint32_t step;
};
/// Every step-th code point from first to last becomes the one `delta` further.
struct CaseRange {
  char32_t first, last;
  std::uint32_t step;
  std::int32_t delta;
};
/// Becomes several; 0 ends them.
struct CaseSequence {
  char32_t from;
  char32_t to[3];
};

extern const std::span<const CodePointRange> kAlphaRanges, kDecimalRanges, kDigitRanges,
    kNumericRanges, kUnprintableRanges, kLowerRanges, kUpperRanges;
extern const std::span<const CaseRange> kToLower, kToUpper;
extern const std::span<const CaseSequence> kToUpperSequences, kToTitleSequences;
/// Where the title case is one character that is not the upper case.
extern const std::span<const CaseRange> kToTitle;

}  // namespace ridgeline::jinja
