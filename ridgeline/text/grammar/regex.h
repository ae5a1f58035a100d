#pragma once

#include <string>
#include <string_view>

#include "ridgeline/text/grammar/dfa.h"

namespace ridgeline::grammar {

/// The texts that a regular expression in ECMAScript's syntax (flag u) matches: as a whole,
/// or somewhere within, as JSON schema's `pattern` does. A lookahead is understood where it
/// stands in front, behind ^ (or at the front of a whole match); lookbehind,
/// back-references and \b are refused. `what` names the expression in the refusal.
DfaPtr regex_whole(std::string_view pattern, const std::string& what, Budget& budget);
DfaPtr regex_search(std::string_view pattern, const std::string& what, Budget& budget);

struct RegexNode;
DfaPtr regex_whole(const RegexNode& node, Budget& budget);

}  // namespace ridgeline::grammar
