#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ridgeline/text/grammar/dfa.h"
#include "ridgeline/text/grammar/grammar.h"

namespace ridgeline::grammar {

inline constexpr std::uint32_t kNone = 0xFFFFFFFF;
inline constexpr std::uint32_t kNoLimit = 0xFFFFFFFF;

/// A JSON value at one place of a schema: of each type what it may be, as indices. Nothing
/// in a JsonGrammar is impossible to complete: what was is left out.
struct JsonValue {
  DfaPtr bare;                                 ///< texts of numbers, true, false, null
  DfaPtr string;                               ///< what strings say, without quotes and escapes
  std::vector<std::uint32_t> arrays, objects;  ///< alternatives; any may apply
};

/// One alternative of an object. Properties may come in any order; what must come is a set
/// of obligations, which a state keeps as bits.
struct JsonObject {
  static constexpr std::uint32_t kObligationsMax = 256;
  struct KeyClass {
    std::uint32_t value = 0;
    std::vector<std::uint16_t> fulfils;  ///< obligations
    /// Sets of obligations that are fulfilled too if the value is this other one.
    std::vector<std::pair<std::vector<std::uint16_t>, std::uint32_t>> may_fulfil;
  };
  DfaPtr keys;  ///< label: index of the class, plus 1
  std::vector<KeyClass> classes;
  /// The property that is asked for, or, without a name, some one of several.
  struct Obligation {
    std::string name;
    bool is_named = false;
  };
  std::vector<Obligation> obligations;
  std::uint32_t min = 0, max = kNoLimit;  ///< properties
};

/// One alternative of an array.
struct JsonArray {
  struct Items {
    std::vector<std::uint32_t> prefix;
    std::uint32_t rest = kNone;  ///< kNone: no items behind the prefix
    std::uint32_t at(std::uint32_t i) const { return i < prefix.size() ? prefix[i] : rest; }
  };
  Items items;
  std::vector<Items> witnesses;  ///< each wants one item that is this instead
  std::uint32_t min = 0, max = kNoLimit;
  bool is_unique = false;
};

struct JsonGrammar {
  std::vector<JsonValue> values;  ///< the first is the root
  std::vector<JsonArray> arrays;
  std::vector<JsonObject> objects;
};

/// A grammar as it is run: rules of productions of elements; rule 0 is the start. No rule
/// is left-recursive.
struct Program {
  struct Element {
    enum class Kind : std::uint8_t { kDfa, kLiteral, kRule, kGrammar, kJson };
    Kind kind = Kind::kRule;
    std::uint32_t index = 0;
    /// Of a kDfa that free_text_until() made: the literal for which a control token may stand.
    std::uint32_t tag = kNone;
  };
  using Production = std::vector<Element>;
  struct Rule {
    std::vector<std::uint32_t> productions;
  };
  std::vector<Rule> rules;
  std::vector<Production> productions;
  std::vector<DfaPtr> dfas;
  std::vector<std::string> literals;
  std::vector<Grammar::Ptr> parts;
  JsonGrammar json;
};

/// Whether the empty text belongs.
bool is_nullable(const Program& program);
/// Whether nothing belongs.
bool is_impossible(const Program& program);

}  // namespace ridgeline::grammar
