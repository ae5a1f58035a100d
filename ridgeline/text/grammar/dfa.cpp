#include "ridgeline/text/grammar/dfa.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "ridgeline/text/utf8.h"

namespace ridgeline::grammar {

std::size_t CodePointClasses::interval_of(char32_t code_point) const {
  const auto after = std::upper_bound(starts.begin(), starts.end(), code_point);
  return static_cast<std::size_t>(after - starts.begin()) - 1;
}

void CodePointClasses::fill_ascii() {
  for (std::size_t i = 0, interval = 0; i < ascii.size(); ++i) {
    while (interval + 1 < starts.size() && starts[interval + 1] <= i) ++interval;
    ascii[i] = classes[interval];
  }
}

bool Dfa::leads_on(std::uint32_t state, char32_t low, char32_t high) const {
  if (universal[state]) return true;
  for (std::size_t i = alphabet.interval_of(low);
       i < alphabet.starts.size() && alphabet.starts[i] <= high; ++i) {
    if (next[state * alphabet.count + alphabet.classes[i]] != kDead) return true;
  }
  return false;
}

std::uint32_t Dfa::label_of(std::u32string_view text) const {
  if (empty()) return 0;
  std::uint32_t state = 0;
  for (const char32_t c : text) {
    if ((state = step(state, c)) == kDead) return 0;
  }
  return labels[state];
}

namespace {

// Numbers of pairs of states: a table while that is small, as most products are.
class PairNumbers {
 public:
  PairNumbers(std::size_t num_a, std::size_t num_b) : width_(num_b + 1) {
    if ((num_a + 1) * width_ <= kTableMax) table_.assign((num_a + 1) * width_, kDead);
  }
  /// kDead until it is set. kDead + 1 is 0: dead sides are in the table too.
  std::uint32_t& of(std::uint32_t s, std::uint32_t t) {
    if (!table_.empty()) return table_[std::uint32_t{s + 1} * width_ + std::uint32_t{t + 1}];
    return map_.emplace((std::uint64_t{s} << 32) | t, kDead).first->second;
  }

 private:
  static constexpr std::size_t kTableMax = std::size_t{1} << 17;
  std::size_t width_;
  std::vector<std::uint32_t> table_;
  std::unordered_map<std::uint64_t, std::uint32_t> map_;
};

}  // namespace

DfaPtr product(const Dfa& a, const Dfa& b, const LabelFunction& label, Budget& budget) {
  Dfa out;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> class_pairs;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint16_t> class_of_pair;
  out.alphabet.starts.clear();
  out.alphabet.classes.clear();
  for (std::size_t i = 0, j = 0; i < a.alphabet.starts.size() && j < b.alphabet.starts.size();) {
    const std::pair<std::uint32_t, std::uint32_t> pair{a.alphabet.classes[i],
                                                       b.alphabet.classes[j]};
    const auto [at, is_new] =
        class_of_pair.emplace(pair, static_cast<std::uint16_t>(class_pairs.size()));
    if (is_new) class_pairs.push_back(pair);
    out.alphabet.starts.push_back(std::max(a.alphabet.starts[i], b.alphabet.starts[j]));
    out.alphabet.classes.push_back(at->second);
    const char32_t end_a =
        i + 1 < a.alphabet.starts.size() ? a.alphabet.starts[i + 1] : kLastCodePoint + 1;
    const char32_t end_b =
        j + 1 < b.alphabet.starts.size() ? b.alphabet.starts[j + 1] : kLastCodePoint + 1;
    if (end_a <= end_b) ++i;
    if (end_b <= end_a) ++j;
  }
  out.alphabet.count = static_cast<std::uint32_t>(class_pairs.size());
  if (class_pairs.size() > 0xFFFF) refuse("the grammar tells too many characters apart");
  out.alphabet.fill_ascii();
  PairNumbers number(a.size(), b.size());
  std::vector<std::pair<std::uint32_t, std::uint32_t>> states;
  const auto state_of = [&](std::uint32_t s, std::uint32_t t) {
    if (s == kDead && t == kDead) return kDead;
    std::uint32_t& known = number.of(s, t);
    if (known == kDead)
      known = static_cast<std::uint32_t>(states.size()), states.emplace_back(s, t);
    return known;
  };
  state_of(a.empty() ? kDead : 0, b.empty() ? kDead : 0);
  for (std::size_t i = 0; i < states.size(); ++i) {
    const auto [s, t] = states[i];
    budget.spend(4 + 2 * class_pairs.size());
    out.labels.push_back(label(s == kDead ? 0 : a.labels[s], t == kDead ? 0 : b.labels[t]));
    for (const auto& [ca, cb] : class_pairs) {
      out.next.push_back(state_of(s == kDead ? kDead : a.next[s * a.alphabet.count + ca],
                                  t == kDead ? kDead : b.next[t * b.alphabet.count + cb]));
    }
  }
  return trim(std::move(out));
}

DfaPtr relabel(const Dfa& dfa, const std::function<std::uint32_t(std::uint32_t)>& label) {
  Dfa out = dfa;
  for (std::uint32_t& l : out.labels) {
    if (l != 0) l = label(l);
  }
  return trim(std::move(out));
}

DfaPtr nothing() {
  static const DfaPtr dfa = trim(Dfa());
  return dfa;
}

DfaPtr everything() {
  static const DfaPtr dfa = [] {
    Dfa d;
    d.next = {0};
    d.labels = {1};
    return trim(std::move(d));
  }();
  return dfa;
}

namespace {
bool is_everything(const Dfa& dfa) {
  return dfa.size() == 1 && dfa.universal[0] && dfa.labels[0] == 1;
}
}  // namespace

DfaPtr both(const DfaPtr& a, const DfaPtr& b, Budget& budget) {
  if (a == b || a->empty() || is_everything(*b)) return a;
  if (b->empty() || is_everything(*a)) return b;
  return product(
      *a, *b, [](auto x, auto y) { return x != 0 && y != 0 ? 1U : 0U; }, budget);
}

DfaPtr either(const DfaPtr& a, const DfaPtr& b, Budget& budget) {
  if (a == b || b->empty() || is_everything(*a)) return a;
  if (a->empty() || is_everything(*b)) return b;
  return product(
      *a, *b, [](auto x, auto y) { return x != 0 || y != 0 ? 1U : 0U; }, budget);
}

DfaPtr without(const DfaPtr& a, const DfaPtr& b, Budget& budget) {
  if (a->empty() || b->empty()) return a;
  if (a == b || is_everything(*b)) return nothing();
  return product(
      *a, *b, [](auto x, auto y) { return x != 0 && y == 0 ? 1U : 0U; }, budget);
}

DfaPtr length_between(std::uint64_t min, std::uint64_t max, Budget& budget) {
  if (min > max) return nothing();
  const bool open = max == UINT64_MAX;
  const std::uint64_t last = open ? min : max;
  budget.spend(last > Budget::kUnits ? Budget::kUnits + 1 : static_cast<std::size_t>(last) * 8);
  Dfa out;
  for (std::uint64_t n = 0; n <= last; ++n) {
    out.labels.push_back(n >= min ? 1 : 0);
    out.next.push_back(n < last ? static_cast<std::uint32_t>(n + 1)
                                : (open ? static_cast<std::uint32_t>(n) : kDead));
  }
  return trim(std::move(out));
}

DfaPtr words(const std::vector<Word>& words, std::uint32_t rest, Budget& budget) {
  Dfa out;
  std::vector<CodePointSet> singles;
  {
    std::vector<char32_t> letters;
    for (const Word& word : words)
      letters.insert(letters.end(), word.text.begin(), word.text.end());
    std::sort(letters.begin(), letters.end());
    letters.erase(std::unique(letters.begin(), letters.end()), letters.end());
    for (const char32_t c : letters) singles.push_back({{c, c}});
  }
  std::vector<const CodePointSet*> sets;
  for (const CodePointSet& set : singles) sets.push_back(&set);
  out.alphabet = classes_of(sets);
  const std::size_t num_classes = out.alphabet.count;
  // State 0 is the start; behind the words' trie there is one sink for all other texts.
  const auto add_state = [&](std::uint32_t label) {
    budget.spend(num_classes + 2);
    out.labels.push_back(label);
    out.next.resize(out.next.size() + num_classes, kDead);
    return static_cast<std::uint32_t>(out.labels.size() - 1);
  };
  add_state(0);
  std::vector<bool> ends{false};
  for (const Word& word : words) {
    std::uint32_t state = 0;
    for (const char32_t c : word.text) {
      const std::size_t at = state * num_classes + out.alphabet.class_of(c);
      if (out.next[at] == kDead) {
        const std::uint32_t made = add_state(0);
        ends.push_back(false);
        out.next[at] = made;
      }
      state = out.next[at];
    }
    if (!ends[state]) ends[state] = true, out.labels[state] = word.label;
  }
  if (rest != 0) {
    const std::uint32_t sink = add_state(rest);
    ends.push_back(true);
    for (std::uint32_t& to : out.next) {
      if (to == kDead) to = sink;
    }
    for (std::size_t s = 0; s < out.labels.size(); ++s) {
      if (!ends[s]) out.labels[s] = rest;
    }
  }
  return trim(std::move(out));
}

CodePointSet normalized(CodePointSet set) {
  std::sort(set.begin(), set.end(), [](auto a, auto b) { return a.low < b.low; });
  CodePointSet out;
  for (const CodePointRange& range : set) {
    if (range.low > range.high) continue;
    if (!out.empty() && range.low <= out.back().high + 1) {
      out.back().high = std::max(out.back().high, range.high);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

CodePointSet complement(const CodePointSet& set) {
  CodePointSet out;
  char32_t from = 0;
  for (const CodePointRange& range : set) {
    if (range.low > from) out.push_back({from, range.low - 1});
    from = range.high + 1;
  }
  if (from <= kLastCodePoint) out.push_back({from, kLastCodePoint});
  return out;
}

CodePointClasses classes_of(const std::vector<const CodePointSet*>& sets) {
  // Refined set by set: two intervals stay in one class as long as all sets agree on them.
  std::vector<char32_t> starts{0};
  for (const CodePointSet* set : sets) {
    for (const CodePointRange& range : *set) {
      starts.push_back(range.low);
      if (range.high < kLastCodePoint) starts.push_back(range.high + 1);
    }
  }
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
  std::vector<std::uint32_t> classes(starts.size(), 0);
  std::uint32_t count = 1;
  for (const CodePointSet* set : sets) {
    std::unordered_map<std::uint32_t, std::uint32_t> inside;  // class before -> class if inside
    for (const CodePointRange& range : *set) {
      auto at = std::lower_bound(starts.begin(), starts.end(), range.low);
      for (; at != starts.end() && *at <= range.high; ++at) {
        std::uint32_t& c = classes[static_cast<std::size_t>(at - starts.begin())];
        const auto [moved, is_new] = inside.emplace(c, count);
        if (is_new) ++count;
        c = moved->second;
      }
    }
  }
  CodePointClasses out;
  out.starts.clear();
  out.classes.clear();
  std::unordered_map<std::uint32_t, std::uint16_t> dense;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::uint16_t c =
        dense.emplace(classes[i], static_cast<std::uint16_t>(dense.size())).first->second;
    if (!out.classes.empty() && out.classes.back() == c) continue;
    out.starts.push_back(starts[i]);
    out.classes.push_back(c);
  }
  if (dense.size() > 0xFFFF) refuse("the grammar tells too many characters apart");
  out.count = static_cast<std::uint32_t>(dense.size());
  out.fill_ascii();
  return out;
}

std::u32string decode_utf8(std::string_view text) {
  std::u32string out;
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    out.push_back(step.code_point);
    text.remove_prefix(step.length_bytes);
  }
  return out;
}

}  // namespace ridgeline::grammar
