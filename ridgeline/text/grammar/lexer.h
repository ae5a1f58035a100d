#pragma once

#include <cstdint>

#include "ridgeline/text/grammar/dfa.h"

namespace ridgeline::grammar {

/// Between the bytes of a text and an automaton over its characters: UTF-8, and in JSON
/// strings escapes. A byte is refused as soon as no character that it can become leads on, so
/// that nobody is led into half a character that cannot be completed.
struct Lexer {
  std::uint32_t state = 0;    ///< of the automaton
  std::uint32_t partial = 0;  ///< bits of the character so far
  std::uint8_t phase = 0;     ///< 0: between characters; else see lexer.cpp

  enum class Step : std::uint8_t { kOn, kQuote, kRefused };
  Step raw(const Dfa& dfa, unsigned char byte);
  /// kQuote: an unescaped quote, and nothing has changed.
  Step in_string(const Dfa& dfa, unsigned char byte);
  /// Within a character: which ones it may become. (Surrogates may be among them.)
  CodePointSet possible() const;

 private:
  Step advance(const Dfa& dfa, char32_t code_point);
  Step utf8(const Dfa& dfa, unsigned char byte);
  Step escape(const Dfa& dfa, unsigned char byte);
};

}  // namespace ridgeline::grammar
