#include "ridgeline/text/grammar/lexer.h"

#include <algorithm>

namespace ridgeline::grammar {
namespace {

// Phases. Within an escape: behind the backslash; with 0 to 3 digits read; behind a high
// surrogate, that and its backslash, with 0 to 3 digits of the low one read.
constexpr std::uint8_t kBackslash = 1, kDigits = 2, kHigh = 6, kHighBackslash = 7, kLowDigits = 8;
// The first code point that UTF-8 writes with so many bytes.
constexpr char32_t kFirst[] = {0, 0, 0x80, 0x800, 0x10000};

// Within UTF-8: kUtf8 + 4 * length + bytes to come.
constexpr std::uint8_t kUtf8 = 16;

constexpr char32_t kHighFirst = 0xD800, kLowFirst = 0xDC00, kLowLast = 0xDFFF;

char32_t pair(char32_t high, char32_t low) {
  return 0x10000 + ((high - kHighFirst) << 10) + (low - kLowFirst);
}

bool range_leads_on(const Dfa& dfa, std::uint32_t state, char32_t low, char32_t high) {
  high = std::min(high, kLastCodePoint);
  const auto part = [&](char32_t from, char32_t to) {
    return from <= to && dfa.leads_on(state, from, to);
  };
  return part(low, std::min<char32_t>(high, kHighFirst - 1)) ||
         part(std::max<char32_t>(low, kLowLast + 1), high);
}

// The same of \u escapes whose values are in a range; surrogates stand for what they begin.
bool escapes_lead_on(const Dfa& dfa, std::uint32_t state, char32_t low, char32_t high) {
  if (range_leads_on(dfa, state, low, high)) return true;
  low = std::max(low, kHighFirst);
  high = std::min<char32_t>(high, kLowFirst - 1);
  return low <= high && dfa.leads_on(state, pair(low, kLowFirst), pair(high, kLowLast));
}

int hex_digit(unsigned char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  const int letter = byte | 0x20;
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

}  // namespace

Lexer::Step Lexer::advance(const Dfa& dfa, char32_t code_point) {
  state = dfa.step(state, code_point);
  phase = 0;
  partial = 0;
  return state == kDead ? Step::kRefused : Step::kOn;
}

Lexer::Step Lexer::raw(const Dfa& dfa, unsigned char byte) {
  if (phase == 0 && byte < 0x80) return advance(dfa, byte);
  return utf8(dfa, byte);
}

Lexer::Step Lexer::in_string(const Dfa& dfa, unsigned char byte) {
  if (phase == 0) {
    if (byte == '"') return Step::kQuote;
    if (byte == '\\') {
      phase = kBackslash;
      static constexpr char32_t kSingle[] = {'"', '\\', '/', '\b', '\f', '\n', '\r', '\t'};
      const bool on = std::any_of(std::begin(kSingle), std::end(kSingle),
                                  [&](char32_t c) { return dfa.step(state, c) != kDead; }) ||
                      escapes_lead_on(dfa, state, 0, 0xFFFF);
      return on ? Step::kOn : Step::kRefused;
    }
    if (byte < 0x20) return Step::kRefused;
    if (byte < 0x80) return advance(dfa, byte);
  }
  return phase == 0 || phase >= kUtf8 ? utf8(dfa, byte) : escape(dfa, byte);
}

CodePointSet Lexer::possible() const {
  const auto filled = [this](unsigned bits_left) {
    const char32_t low = (partial & 0xFFFF) << bits_left;
    return CodePointRange{low, low | ((1U << bits_left) - 1)};
  };
  if (phase >= kUtf8) {
    const unsigned bits_left = 6 * ((phase - kUtf8) % 4U);
    const char32_t low = partial << bits_left;
    return {{std::max(low, kFirst[(phase - kUtf8) / 4]),
             std::min<char32_t>(low | ((1U << bits_left) - 1), kLastCodePoint)}};
  }
  if (phase == kBackslash) return {{0, kLastCodePoint}};
  if (phase < kHigh) {
    const CodePointRange units = filled(4 * (4 - (phase - kDigits)));
    const char32_t low = std::max(units.low, kHighFirst);
    const char32_t high = std::min<char32_t>(units.high, kLowFirst - 1);
    CodePointSet set{units};
    if (low <= high) set.push_back({pair(low, kLowFirst), pair(high, kLowLast)});
    return set;
  }
  CodePointRange low{kLowFirst, kLowLast};
  if (phase > kLowDigits) {
    const CodePointRange units = filled(4 * (4 - (phase - kLowDigits)));
    low = {std::max(units.low, kLowFirst), std::min(units.high, kLowLast)};
  }
  return {{pair(partial >> 16, low.low), pair(partial >> 16, low.high)}};
}

Lexer::Step Lexer::utf8(const Dfa& dfa, unsigned char byte) {
  unsigned length = 0, left = 0;
  if (phase == 0) {
    if (byte >= 0xC2 && byte <= 0xDF) {
      length = 2, partial = byte & 0x1F;
    } else if (byte >= 0xE0 && byte <= 0xEF) {
      length = 3, partial = byte & 0x0F;
    } else if (byte >= 0xF0 && byte <= 0xF4) {
      length = 4, partial = byte & 0x07;
    } else {
      return Step::kRefused;
    }
    left = length - 1;
  } else {
    if ((byte & 0xC0) != 0x80) return Step::kRefused;
    length = (phase - kUtf8) / 4U;
    left = (phase - kUtf8) % 4U - 1;
    partial = (partial << 6) | (byte & 0x3F);
  }
  const char32_t low = std::max<char32_t>(partial << (6 * left), kFirst[length]);
  const char32_t high = (partial << (6 * left)) | ((1U << (6 * left)) - 1);
  if (low > high || low > kLastCodePoint || !range_leads_on(dfa, state, low, high)) {
    return Step::kRefused;
  }
  if (left == 0) return advance(dfa, partial);
  phase = static_cast<std::uint8_t>(kUtf8 + 4 * length + left);
  return Step::kOn;
}

Lexer::Step Lexer::escape(const Dfa& dfa, unsigned char byte) {
  if (phase == kBackslash) {
    switch (byte) {
      case '"':
      case '\\':
      case '/':
        return advance(dfa, byte);
      case 'b':
        return advance(dfa, '\b');
      case 'f':
        return advance(dfa, '\f');
      case 'n':
        return advance(dfa, '\n');
      case 'r':
        return advance(dfa, '\r');
      case 't':
        return advance(dfa, '\t');
      case 'u':
        phase = kDigits;
        partial = 0;
        return escapes_lead_on(dfa, state, 0, 0xFFFF) ? Step::kOn : Step::kRefused;
      default:
        return Step::kRefused;
    }
  }
  if (phase == kHigh || phase == kHighBackslash) {
    if (byte != (phase == kHigh ? '\\' : 'u')) return Step::kRefused;
    phase = phase == kHigh ? kHighBackslash : kLowDigits;
    return Step::kOn;
  }
  const int digit = hex_digit(byte);
  if (digit < 0) return Step::kRefused;
  // Of a low surrogate, `partial` has the high one in its upper half.
  const bool is_low = phase >= kLowDigits;
  const unsigned read = phase - (is_low ? kLowDigits : kDigits) + 1U;
  const char32_t high_half = is_low ? partial >> 16 : 0;
  const char32_t value = ((partial & 0xFFFF) << 4) | static_cast<char32_t>(digit);
  const unsigned bits_left = 4 * (4 - read);
  const char32_t low = value << bits_left;
  const char32_t high = low | ((1U << bits_left) - 1);
  if (is_low) {
    const char32_t from = std::max(low, kLowFirst), to = std::min(high, kLowLast);
    if (from > to || !dfa.leads_on(state, pair(high_half, from), pair(high_half, to))) {
      return Step::kRefused;
    }
    if (read == 4) return advance(dfa, pair(high_half, value));
  } else {
    if (!escapes_lead_on(dfa, state, low, high)) return Step::kRefused;
    if (read == 4) {
      if (value < kHighFirst || value > kLowLast) return advance(dfa, value);
      phase = kHigh;
      partial = value << 16;
      return Step::kOn;
    }
  }
  partial = (high_half << 16) | value;
  ++phase;
  return Step::kOn;
}

}  // namespace ridgeline::grammar
