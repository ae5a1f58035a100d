#pragma once

#include <string>
#include <string_view>

#include "ridgeline/text/grammar/dfa.h"

namespace ridgeline::grammar {

/// A set of texts known from both sides: those in `yes` belong, those outside `maybe` do
/// not. What lies between is not worth telling (5.0 and 5e0 are integers, and the same as 5),
/// and is neither written where the set is asked for nor where its complement is. `yes` is a
/// subset of `maybe`.
struct Language {
  DfaPtr yes, maybe;

  static Language exact(DfaPtr dfa) { return {dfa, dfa}; }
  bool empty() const { return yes->empty(); }
};
Language both(const Language& a, const Language& b, Budget& budget);
Language either(const Language& a, const Language& b, Budget& budget);
Language complement(const Language& a, const DfaPtr& universe, Budget& budget);

/// A decimal number: ± integer_digits.fraction_digits, without zeros that say nothing.
struct Decimal {
  bool is_negative = false;
  std::string integer_digits = "0", fraction_digits;

  bool is_zero() const { return integer_digits == "0" && fraction_digits.empty(); }
  std::string text() const;
  friend bool operator==(const Decimal&, const Decimal&) = default;
};
/// Of a JSON number's text; refuses exponents beyond 400.
Decimal parse_decimal(std::string_view text);

/// The texts of JSON values that are not in quotes or brackets: numbers, true, false, null.
/// Exponents have two digits at most: beyond that a reader's doubles overflow.
DfaPtr bare_universe();
/// The same without -0, exponents and zeros at a fraction's end.
DfaPtr numbers_spelled_once();
/// All numbers; integers; numbers on one side of a bound; multiples; equal to one value.
Language any_number();
Language integers();
enum class Side { kBelow, kAtMost, kEqual, kAtLeast, kAbove };
Language numbers_at(const Decimal& bound, Side side, Budget& budget);
/// `step` is above 0. Refused where that takes too many states.
Language multiples_of(const Decimal& step, Budget& budget);

}  // namespace ridgeline::grammar
