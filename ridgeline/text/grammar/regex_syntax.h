#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/text/grammar/dfa.h"

namespace ridgeline::grammar {

/// A regular expression as it is written.
struct RegexNode {
  enum class Kind : std::uint8_t {
    kSet,        ///< one character of `set`
    kSequence,   ///< `parts` one after the other; none: the empty text
    kChoice,     ///< one of `parts`
    kRepeat,     ///< parts[0], min to max times
    kBegin,      ///< ^
    kEnd,        ///< $
    kLookahead,  ///< parts[0] follows, or does not if is_negative
  };
  static constexpr unsigned kNoMax = 0xFFFFFFFF;
  Kind kind = Kind::kSequence;
  CodePointSet set;
  std::vector<RegexNode> parts;
  unsigned min = 0, max = 0;
  bool is_negative = false;
};

RegexNode parse_regex(std::string_view pattern, const std::string& what, Budget& budget);

}  // namespace ridgeline::grammar
