#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/text/grammar/refusal.h"

namespace ridgeline::grammar {

inline constexpr std::uint32_t kDead = 0xFFFFFFFF;
inline constexpr char32_t kLastCodePoint = 0x10FFFF;

/// The code points cut into classes that an automaton does not tell apart.
struct CodePointClasses {
  std::vector<char32_t> starts{0};         ///< of intervals, ascending, the first is 0
  std::vector<std::uint16_t> classes{0};   ///< of each interval
  std::array<std::uint16_t, 128> ascii{};  ///< the same for these, looked up
  std::uint32_t count = 1;

  std::size_t interval_of(char32_t code_point) const;
  std::uint32_t class_of(char32_t code_point) const {
    return code_point < 128 ? ascii[code_point] : classes[interval_of(code_point)];
  }
  void fill_ascii();
};

/// A deterministic automaton over code points, whose states have labels: 0 means that a text
/// ending here does not belong, another value says to what it belongs. Immutable once made.
/// Surrogates are never asked about.
struct Dfa {
  CodePointClasses alphabet;
  std::vector<std::uint32_t> next;    ///< [state * alphabet.count + class]; kDead: no way on
  std::vector<std::uint32_t> labels;  ///< of each state; state 0 is the start, unless empty()
  /// What trim() finds out. Of each state: how many texts lead from it to a label,
  /// saturating; and whether every text does, to the same one.
  static constexpr std::uint32_t kInfinite = 0xFFFFFFFF;
  std::vector<std::uint32_t> counts;
  std::vector<bool> universal;
  /// And how many characters, whichever, it takes at least to get to a text without a label,
  /// and to where nothing leads on; kInfinite: no number does. A string of at most 500
  /// characters is free at its beginning.
  std::vector<std::uint32_t> slack, room;

  std::size_t size() const { return labels.size(); }
  bool empty() const { return labels.empty(); }
  std::uint32_t step(std::uint32_t state, char32_t code_point) const {
    return next[state * alphabet.count + alphabet.class_of(code_point)];
  }
  /// Whether a text that gets here belongs, and nothing longer does.
  bool ends_at(std::uint32_t state) const { return labels[state] != 0 && counts[state] == 1; }
  /// Whether some code point of [low, high] leads on. The range is not empty.
  bool leads_on(std::uint32_t state, char32_t low, char32_t high) const;
  /// 0 where it does not belong.
  std::uint32_t label_of(std::u32string_view text) const;
};
using DfaPtr = std::shared_ptr<const Dfa>;

using LabelFunction = std::function<std::uint32_t(std::uint32_t, std::uint32_t)>;

/// Drops what cannot be reached or leads nowhere, numbers states in breadth first order,
/// and fills counts and universal.
DfaPtr trim(Dfa dfa);
/// The automaton of both at once; a side that is dead has label 0.
DfaPtr product(const Dfa& a, const Dfa& b, const LabelFunction& label, Budget& budget);
DfaPtr relabel(const Dfa& dfa, const std::function<std::uint32_t(std::uint32_t)>& label);

DfaPtr nothing();
/// Every text, with label 1.
DfaPtr everything();
DfaPtr both(const DfaPtr& a, const DfaPtr& b, Budget& budget);
DfaPtr either(const DfaPtr& a, const DfaPtr& b, Budget& budget);
DfaPtr without(const DfaPtr& a, const DfaPtr& b, Budget& budget);
DfaPtr length_between(std::uint64_t min, std::uint64_t max, Budget& budget);

/// Words with their labels; all other texts get `rest`. Of equal words the first counts.
struct Word {
  std::u32string text;
  std::uint32_t label;
};
DfaPtr words(const std::vector<Word>& words, std::uint32_t rest, Budget& budget);

/// A range of code points, both ends included.
struct CodePointRange {
  char32_t low, high;
};
/// Sorted, merged.
using CodePointSet = std::vector<CodePointRange>;
CodePointSet normalized(CodePointSet set);
CodePointSet complement(const CodePointSet& set);
/// The classes that tell apart what any of `sets` tells apart.
CodePointClasses classes_of(const std::vector<const CodePointSet*>& sets);

/// UTF-8 to code points; invalid bytes become U+FFFD.
std::u32string decode_utf8(std::string_view text);

}  // namespace ridgeline::grammar
