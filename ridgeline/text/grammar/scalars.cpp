#include "ridgeline/text/grammar/scalars.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "ridgeline/text/grammar/regex.h"

namespace ridgeline::grammar {

Language both(const Language& a, const Language& b, Budget& budget) {
  const DfaPtr yes = both(a.yes, b.yes, budget);
  const bool same = a.yes == a.maybe && b.yes == b.maybe;
  return {yes, same ? yes : both(a.maybe, b.maybe, budget)};
}

Language either(const Language& a, const Language& b, Budget& budget) {
  const DfaPtr yes = either(a.yes, b.yes, budget);
  const bool same = a.yes == a.maybe && b.yes == b.maybe;
  return {yes, same ? yes : either(a.maybe, b.maybe, budget)};
}

Language complement(const Language& a, const DfaPtr& universe, Budget& budget) {
  const DfaPtr yes = without(universe, a.maybe, budget);
  return {yes, a.yes == a.maybe ? yes : without(universe, a.yes, budget)};
}

std::string Decimal::text() const {
  return fmt::format("{}{}{}{}", is_negative ? "-" : "", integer_digits,
                     fraction_digits.empty() ? "" : ".", fraction_digits);
}

Decimal parse_decimal(std::string_view text) {
  Decimal d;
  const std::string_view whole = text;
  if (text.starts_with('-')) d.is_negative = true, text.remove_prefix(1);
  const std::size_t e = text.find_first_of("eE");
  int exponent = 0;
  if (e != text.npos) {
    std::string_view digits = text.substr(e + 1);
    const bool negative = digits.starts_with('-');
    if (negative || digits.starts_with('+')) digits.remove_prefix(1);
    for (const char c : digits) exponent = std::min(exponent * 10 + (c - '0'), 100000);
    if (exponent > 400) refuse(fmt::format("the number {} is out of range", whole));
    if (negative) exponent = -exponent;
    text = text.substr(0, e);
  }
  const std::size_t dot = text.find('.');
  std::string digits(text.substr(0, dot));
  int point = static_cast<int>(digits.size()) + exponent;
  if (dot != text.npos) digits += text.substr(dot + 1);
  if (point < 0) {
    std::string zeros(static_cast<std::size_t>(-point), '0');
    digits = std::move(zeros.append(digits));
    point = 0;
  }
  if (static_cast<std::size_t>(point) > digits.size()) {
    digits.append(static_cast<std::size_t>(point) - digits.size(), '0');
  }
  d.integer_digits = digits.substr(0, static_cast<std::size_t>(point));
  d.fraction_digits = digits.substr(static_cast<std::size_t>(point));
  d.integer_digits.erase(
      0, std::min(d.integer_digits.find_first_not_of('0'), d.integer_digits.size()));
  if (d.integer_digits.empty()) d.integer_digits.assign(1, '0');
  d.fraction_digits.erase(d.fraction_digits.find_last_not_of('0') + 1);
  if (d.is_zero()) d.is_negative = false;
  return d;
}

namespace {

DfaPtr pattern(std::string_view regex) {
  Budget budget;
  return regex_whole(regex, "the pattern", budget);
}
const DfaPtr& with_exponent() {
  static const DfaPtr dfa = pattern("-?(0|[1-9]\\d*)(\\.\\d+)?[eE][+-]?\\d{1,2}");
  return dfa;
}

// Where in a plain number (no exponent) one is.
enum Phase : std::uint32_t { kStart, kMinus, kZero, kInteger, kDot, kFraction };

std::optional<std::uint32_t> next_phase(std::uint32_t phase, char c) {
  const bool is_digit = c >= '0' && c <= '9';
  switch (phase) {
    case kStart:
      if (c == '-') return kMinus;
      [[fallthrough]];
    case kMinus:
      if (!is_digit) return std::nullopt;
      return c == '0' ? kZero : kInteger;
    case kZero:
    case kInteger:
      if (c == '.') return kDot;
      if (is_digit && phase == kInteger) return kInteger;
      return std::nullopt;
    default:
      if (is_digit) return kFraction;
      return std::nullopt;
  }
}
bool may_stop(std::uint32_t phase) {
  return phase == kZero || phase == kInteger || phase == kFraction;
}

// An automaton over the characters of plain numbers, from a function that steps states.
using NumberState = std::array<std::uint32_t, 4>;
template <class Step, class Label>
DfaPtr explore(NumberState start, const Step& step, const Label& label, Budget& budget) {
  static constexpr std::string_view kCharacters = "-.0123456789";
  Dfa dfa;
  std::vector<CodePointSet> singles;
  for (const char c : kCharacters) {
    singles.push_back({{static_cast<char32_t>(c), static_cast<char32_t>(c)}});
  }
  std::vector<const CodePointSet*> sets;
  for (const CodePointSet& set : singles) sets.push_back(&set);
  dfa.alphabet = classes_of(sets);
  std::map<NumberState, std::uint32_t> number{{start, 0}};
  std::vector<NumberState> states{start};
  for (std::size_t i = 0; i < states.size(); ++i) {
    const NumberState state = states[i];
    budget.spend(64);
    dfa.labels.push_back(label(state));
    dfa.next.resize(dfa.next.size() + dfa.alphabet.count, kDead);
    for (const char c : kCharacters) {
      const std::optional<NumberState> to = step(state, c);
      if (!to) continue;
      const auto [at, is_new] = number.emplace(*to, static_cast<std::uint32_t>(states.size()));
      if (is_new) states.push_back(*to);
      dfa.next[i * dfa.alphabet.count + dfa.alphabet.class_of(static_cast<char32_t>(c))] =
          at->second;
    }
  }
  return trim(std::move(dfa));
}

// Compares the magnitude of what is read with a bound's, digit by digit. A state is
// {phase, is negative, digits read of this part (saturating), order so far}.
enum Order : std::uint32_t { kLess = 1, kSame = 2, kGreater = 3 };

std::optional<NumberState> compare_step(const NumberState& state, char c, const Decimal& bound) {
  const auto phase = next_phase(state[0], c);
  if (!phase) return std::nullopt;
  if (*phase == kMinus) return NumberState{kMinus, 1, 0, kSame};
  NumberState to = state;
  to[0] = *phase;
  const std::string& integer = bound.integer_digits;
  const std::string& fraction = bound.fraction_digits;
  if (*phase == kDot) {  // the integer parts' lengths decide first
    if (state[2] != integer.size()) to[3] = state[2] < integer.size() ? kLess : kGreater;
    to[2] = 0;
    return to;
  }
  const std::string& digits = *phase == kFraction ? fraction : integer;
  if (state[3] == kSame) {
    if (state[2] < digits.size()) {
      if (c != digits[state[2]]) to[3] = c < digits[state[2]] ? kLess : kGreater;
    } else if (*phase == kFraction && c != '0') {
      to[3] = kGreater;
    }
  }
  const auto size = static_cast<std::uint32_t>(digits.size());
  to[2] = std::min(state[2] + 1, *phase == kFraction ? size : size + 1);
  if (*phase == kFraction && to[3] != kSame) to[2] = 0;
  return to;
}

std::uint32_t magnitude_order(const NumberState& state, const Decimal& bound) {
  if (state[0] == kFraction) {
    return state[3] == kSame && state[2] < bound.fraction_digits.size() ? kLess : state[3];
  }
  if (state[2] != bound.integer_digits.size()) {
    return state[2] < bound.integer_digits.size() ? kLess : kGreater;
  }
  return state[3] == kSame && !bound.fraction_digits.empty() ? kLess : state[3];
}

// Of the signed number that ends here, against the signed bound.
std::uint32_t order(const NumberState& state, const Decimal& bound) {
  const bool negative = state[1] != 0;
  const std::uint32_t magnitude = magnitude_order(state, bound);
  if (bound.is_zero() && magnitude == kSame) return kSame;
  if (negative != bound.is_negative) return negative ? kLess : kGreater;
  return negative ? 4 - magnitude : magnitude;
}

}  // namespace

DfaPtr bare_universe() {
  static const DfaPtr dfa =
      pattern("-?(0|[1-9]\\d*)(\\.\\d+)?([eE][+-]?\\d{1,2})?|true|false|null");
  return dfa;
}

DfaPtr numbers_spelled_once() {
  static const DfaPtr dfa = pattern("0|-?[1-9]\\d*|-?(0|[1-9]\\d*)\\.\\d*[1-9]|true|false|null");
  return dfa;
}

Language any_number() {
  static const DfaPtr dfa = pattern("-?(0|[1-9]\\d*)(\\.\\d+)?([eE][+-]?\\d{1,2})?");
  return Language::exact(dfa);
}

Language integers() {
  static const DfaPtr yes = pattern("-?(0|[1-9]\\d*)");
  static const DfaPtr maybe = pattern("-?(0|[1-9]\\d*)(\\.0+|(\\.\\d+)?[eE][+-]?\\d{1,2})?");
  return {yes, maybe};
}

Language numbers_at(const Decimal& bound, Side side, Budget& budget) {
  const auto wanted = [side](std::uint32_t o) {
    switch (side) {
      case Side::kBelow:
        return o == kLess;
      case Side::kAtMost:
        return o != kGreater;
      case Side::kEqual:
        return o == kSame;
      case Side::kAtLeast:
        return o != kLess;
      default:
        return o == kGreater;
    }
  };
  DfaPtr plain = explore(
      {kStart, 0, 0, kSame},
      [&](const NumberState& s, char c) { return compare_step(s, c, bound); },
      [&](const NumberState& s) { return may_stop(s[0]) && wanted(order(s, bound)) ? 1U : 0U; },
      budget);
  return {plain, either(plain, with_exponent(), budget)};
}

Language multiples_of(const Decimal& step, Budget& budget) {
  const std::string digits = step.integer_digits + step.fraction_digits;
  std::uint64_t m = 0;
  for (const char c : digits) {
    m = m * 10 + static_cast<std::uint64_t>(c - '0');
    if (m > 100000) refuse(fmt::format("multipleOf {} takes too many states", step.text()));
  }
  const auto scale = static_cast<std::uint32_t>(step.fraction_digits.size());
  // {phase, remainder, digits of the fraction read, -}
  DfaPtr plain = explore(
      {kStart, 0, 0, 0},
      [&](const NumberState& s, char c) -> std::optional<NumberState> {
        const auto phase = next_phase(s[0], c);
        if (!phase) return std::nullopt;
        NumberState to = s;
        to[0] = *phase;
        if (c < '0') return to;
        if (*phase == kFraction && s[2] == scale) {
          if (c != '0') return std::nullopt;
          return to;
        }
        if (*phase == kFraction) ++to[2];
        to[1] = static_cast<std::uint32_t>(
            (s[1] * std::uint64_t{10} + static_cast<std::uint64_t>(c - '0')) % m);
        return to;
      },
      [&](const NumberState& s) {
        std::uint64_t rest = s[1];
        for (std::uint32_t k = s[2]; k < scale; ++k) rest = rest * 10 % m;
        return may_stop(s[0]) && rest == 0 ? 1U : 0U;
      },
      budget);
  return {plain, either(plain, with_exponent(), budget)};
}

}  // namespace ridgeline::grammar
