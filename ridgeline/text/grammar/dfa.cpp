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

// The states that lead to each state: from[first[s]] to from[first[s + 1]].
struct Backwards {
  std::vector<std::uint32_t> first, from;

  explicit Backwards(const Dfa& dfa) : first(dfa.size() + 1, 0) {
    const std::size_t num_classes = dfa.alphabet.count;
    for (const std::uint32_t to : dfa.next) {
      if (to != kDead) ++first[to + 1];
    }
    for (std::size_t i = 1; i < first.size(); ++i) first[i] += first[i - 1];
    from.resize(first.back());
    std::vector<std::uint32_t> fill(first.begin(), first.end() - 1);
    for (std::size_t i = 0; i < dfa.next.size(); ++i) {
      if (dfa.next[i] != kDead) {
        from[fill[dfa.next[i]]++] = static_cast<std::uint32_t>(i / num_classes);
      }
    }
  }
};

// Distances to the states in `reached` (at 0) and, at 1, to those with no way on by some character.
std::vector<std::uint32_t> distances(const Dfa& dfa, const Backwards& back,
                                     std::vector<std::uint32_t> reached) {
  const std::size_t num_classes = dfa.alphabet.count;
  std::vector<std::uint32_t> distance(dfa.size(), Dfa::kInfinite);
  for (const std::uint32_t s : reached) distance[s] = 0;
  for (std::uint32_t s = 0; s < dfa.size(); ++s) {
    if (distance[s] == 0) continue;
    const auto row = dfa.next.begin() + static_cast<std::ptrdiff_t>(s * num_classes);
    const auto end = row + static_cast<std::ptrdiff_t>(num_classes);
    if (std::find(row, end, kDead) != end) distance[s] = 1, reached.push_back(s);
  }
  for (std::size_t i = 0; i < reached.size(); ++i) {
    const std::uint32_t s = reached[i];
    for (std::uint32_t j = back.first[s]; j < back.first[s + 1]; ++j) {
      const std::uint32_t before = back.from[j];
      if (distance[before] != Dfa::kInfinite) continue;
      distance[before] = distance[s] + 1;
      reached.push_back(before);
    }
  }
  return distance;
}

void find_slack(Dfa& dfa) {
  const Backwards back(dfa);
  std::vector<std::uint32_t> unlabelled;
  for (std::uint32_t s = 0; s < dfa.size(); ++s) {
    if (dfa.labels[s] == 0) unlabelled.push_back(s);
  }
  dfa.slack = distances(dfa, back, std::move(unlabelled));
  dfa.room = distances(dfa, back, {});
}

std::vector<bool> states_with_a_way_out(const Dfa& dfa) {
  const auto [first, from] = Backwards(dfa);
  std::vector<bool> live(dfa.size(), false);
  std::vector<std::uint32_t> todo;
  for (std::uint32_t s = 0; s < dfa.size(); ++s) {
    if (dfa.labels[s] != 0) live[s] = true, todo.push_back(s);
  }
  while (!todo.empty()) {
    const std::uint32_t s = todo.back();
    todo.pop_back();
    for (std::uint32_t i = first[s]; i < first[s + 1]; ++i) {
      if (!live[from[i]]) live[from[i]] = true, todo.push_back(from[i]);
    }
  }
  return live;
}

// How many code points (surrogates are none) a class has.
std::vector<std::uint64_t> class_widths(const CodePointClasses& alphabet) {
  std::vector<std::uint64_t> widths(alphabet.count, 0);
  for (std::size_t i = 0; i < alphabet.starts.size(); ++i) {
    const char32_t low = alphabet.starts[i];
    const char32_t end =
        i + 1 < alphabet.starts.size() ? alphabet.starts[i + 1] : kLastCodePoint + 1;
    std::uint64_t width = end - low;
    const char32_t hole_low = std::max<char32_t>(low, 0xD800);
    const char32_t hole_end = std::min<char32_t>(end, 0xE000);
    if (hole_low < hole_end) width -= hole_end - hole_low;
    widths[alphabet.classes[i]] += width;
  }
  return widths;
}

// Counts in the order in which all successors are done; what is on the way to a cycle never
// is, and all states that are left lead to a label.
void count_texts(Dfa& dfa) {
  const std::size_t num_classes = dfa.alphabet.count;
  const std::vector<std::uint64_t> widths = class_widths(dfa.alphabet);
  std::vector<std::uint32_t> open(dfa.size(), 0);
  std::vector<std::vector<std::uint32_t>> from(dfa.size());
  for (std::uint32_t s = 0; s < dfa.size(); ++s) {
    for (std::size_t c = 0; c < num_classes; ++c) {
      const std::uint32_t to = dfa.next[s * num_classes + c];
      if (to == kDead) continue;
      if (to == s) {
        open[s] = kDead;  // never done
        break;
      }
      ++open[s];
      if (from[to].empty() || from[to].back() != s) from[to].push_back(s);
    }
  }
  dfa.counts.assign(dfa.size(), Dfa::kInfinite);
  std::vector<std::uint32_t> ready;
  for (std::uint32_t s = 0; s < dfa.size(); ++s) {
    if (open[s] == 0) ready.push_back(s);
  }
  while (!ready.empty()) {
    const std::uint32_t s = ready.back();
    ready.pop_back();
    std::uint64_t count = dfa.labels[s] != 0 ? 1 : 0;
    for (std::size_t c = 0; c < num_classes; ++c) {
      const std::uint32_t to = dfa.next[s * num_classes + c];
      if (to == kDead) continue;
      count = std::min<std::uint64_t>(Dfa::kInfinite - 1, count + widths[c] * dfa.counts[to]);
    }
    dfa.counts[s] = static_cast<std::uint32_t>(count);
    for (const std::uint32_t before : from[s]) {
      if (open[before] == kDead) continue;
      for (std::size_t c = 0; c < num_classes; ++c) {
        if (dfa.next[before * num_classes + c] == s) --open[before];
      }
      if (open[before] == 0) ready.push_back(before);
    }
  }
}

// The largest set of states that have one label and only lead to themselves.
void find_universal(Dfa& dfa) {
  const std::size_t num_classes = dfa.alphabet.count;
  dfa.universal.assign(dfa.size(), false);
  for (std::uint32_t s = 0; s < dfa.size(); ++s) dfa.universal[s] = dfa.labels[s] != 0;
  for (bool changed = true; changed;) {
    changed = false;
    for (std::uint32_t s = static_cast<std::uint32_t>(dfa.size()); s-- > 0;) {
      if (!dfa.universal[s]) continue;
      for (std::size_t c = 0; c < num_classes && dfa.universal[s]; ++c) {
        const std::uint32_t to = dfa.next[s * num_classes + c];
        if (to == kDead || !dfa.universal[to] || dfa.labels[to] != dfa.labels[s]) {
          dfa.universal[s] = false;
          changed = true;
        }
      }
    }
  }
}

// One state for all universal ones of a label, so that automata that stopped to care are equal.
bool merge_universal(Dfa& dfa) {
  std::map<std::uint32_t, std::uint32_t> of_label;
  std::vector<std::uint32_t> stands_for(dfa.size());
  bool merges = false;
  for (std::uint32_t s = 0; s < dfa.size(); ++s) {
    stands_for[s] = dfa.universal[s] ? of_label.emplace(dfa.labels[s], s).first->second : s;
    merges = merges || stands_for[s] != s;
  }
  if (!merges) return false;
  for (std::uint32_t& to : dfa.next) {
    if (to != kDead) to = stands_for[to];
  }
  return true;
}

Dfa reachable_and_live(const Dfa& dfa) {
  const std::size_t num_classes = dfa.alphabet.count;
  const std::vector<bool> live = states_with_a_way_out(dfa);
  Dfa out;
  out.alphabet = dfa.alphabet;
  if (dfa.empty() || !live[0]) return out;
  std::vector<std::uint32_t> number(dfa.size(), kDead), order{0};
  number[0] = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (std::size_t c = 0; c < num_classes; ++c) {
      const std::uint32_t to = dfa.next[order[i] * num_classes + c];
      if (to == kDead || !live[to] || number[to] != kDead) continue;
      number[to] = static_cast<std::uint32_t>(order.size());
      order.push_back(to);
    }
  }
  out.next.reserve(order.size() * num_classes);
  for (const std::uint32_t s : order) {
    out.labels.push_back(dfa.labels[s]);
    for (std::size_t c = 0; c < num_classes; ++c) {
      const std::uint32_t to = dfa.next[s * num_classes + c];
      out.next.push_back(to == kDead || !live[to] ? kDead : number[to]);
    }
  }
  return out;
}

// Classes that all states treat alike become one: keeps products of products small.
void merge_classes(Dfa& dfa) {
  const std::size_t num_classes = dfa.alphabet.count;
  std::map<std::vector<std::uint32_t>, std::uint16_t> of_column;
  std::vector<std::uint16_t> merged(num_classes);
  std::vector<std::size_t> kept;
  for (std::size_t c = 0; c < num_classes; ++c) {
    std::vector<std::uint32_t> column(dfa.size());
    for (std::size_t s = 0; s < dfa.size(); ++s) column[s] = dfa.next[s * num_classes + c];
    const auto [at, is_new] =
        of_column.emplace(std::move(column), static_cast<std::uint16_t>(kept.size()));
    if (is_new) kept.push_back(c);
    merged[c] = at->second;
  }
  if (kept.size() == num_classes) return;
  std::vector<std::uint32_t> next;
  next.reserve(dfa.size() * kept.size());
  for (std::size_t s = 0; s < dfa.size(); ++s) {
    for (const std::size_t c : kept) next.push_back(dfa.next[s * num_classes + c]);
  }
  dfa.next = std::move(next);
  CodePointClasses alphabet;
  alphabet.starts.clear();
  alphabet.classes.clear();
  for (std::size_t i = 0; i < dfa.alphabet.starts.size(); ++i) {
    const std::uint16_t c = merged[dfa.alphabet.classes[i]];
    if (!alphabet.classes.empty() && alphabet.classes.back() == c) continue;
    alphabet.starts.push_back(dfa.alphabet.starts[i]);
    alphabet.classes.push_back(c);
  }
  alphabet.count = static_cast<std::uint32_t>(kept.size());
  alphabet.fill_ascii();
  dfa.alphabet = std::move(alphabet);
}

}  // namespace

DfaPtr trim(Dfa dfa) {
  dfa = reachable_and_live(dfa);
  if (dfa.empty()) {
    dfa.alphabet = CodePointClasses();
    dfa.next.clear();
    return std::make_shared<const Dfa>(std::move(dfa));
  }
  find_universal(dfa);
  if (merge_universal(dfa)) dfa = reachable_and_live(dfa);
  merge_classes(dfa);
  find_universal(dfa);
  find_slack(dfa);
  count_texts(dfa);
  return std::make_shared<const Dfa>(std::move(dfa));
}

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
  std::unordered_map<std::uint64_t, std::uint32_t> number;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> states;
  const auto state_of = [&](std::uint32_t s, std::uint32_t t) {
    if (s == kDead && t == kDead) return kDead;
    const auto [at, is_new] = number.emplace((std::uint64_t{s} << 32) | t,
                                             static_cast<std::uint32_t>(states.size()));
    if (is_new) states.emplace_back(s, t);
    return at->second;
  };
  state_of(a.empty() ? kDead : 0, b.empty() ? kDead : 0);
  for (std::size_t i = 0; i < states.size(); ++i) {
    const auto [s, t] = states[i];
    budget.spend(4 + 2 * class_pairs.size());
    out.labels.push_back(
        label(s == kDead ? 0 : a.labels[s], t == kDead ? 0 : b.labels[t]));
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
  return product(*a, *b, [](auto x, auto y) { return x != 0 && y != 0 ? 1U : 0U; }, budget);
}

DfaPtr either(const DfaPtr& a, const DfaPtr& b, Budget& budget) {
  if (a == b || b->empty() || is_everything(*a)) return a;
  if (a->empty() || is_everything(*b)) return b;
  return product(*a, *b, [](auto x, auto y) { return x != 0 || y != 0 ? 1U : 0U; }, budget);
}

DfaPtr without(const DfaPtr& a, const DfaPtr& b, Budget& budget) {
  if (a->empty() || b->empty()) return a;
  if (a == b || is_everything(*b)) return nothing();
  return product(*a, *b, [](auto x, auto y) { return x != 0 && y == 0 ? 1U : 0U; }, budget);
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
    for (const Word& word : words) letters.insert(letters.end(), word.text.begin(), word.text.end());
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
