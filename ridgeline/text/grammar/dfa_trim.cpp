#include <algorithm>
#include <map>

#include "ridgeline/text/grammar/dfa.h"

namespace ridgeline::grammar {
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

bool has_no_zero(const std::vector<std::uint32_t>& labels) {
  return std::find(labels.begin(), labels.end(), 0U) == labels.end();
}

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
  if (has_no_zero(dfa.labels) &&
      std::find(dfa.next.begin(), dfa.next.end(), kDead) == dfa.next.end()) {
    dfa.slack.assign(dfa.size(), Dfa::kInfinite);
    dfa.room = dfa.slack;
    return;
  }
  const Backwards back(dfa);
  std::vector<std::uint32_t> unlabelled;
  for (std::uint32_t s = 0; s < dfa.size(); ++s) {
    if (dfa.labels[s] == 0) unlabelled.push_back(s);
  }
  dfa.slack = distances(dfa, back, std::move(unlabelled));
  dfa.room = distances(dfa, back, {});
}

std::vector<bool> states_with_a_way_out(const Dfa& dfa) {
  if (has_no_zero(dfa.labels)) return std::vector<bool>(dfa.size(), true);
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

}  // namespace ridgeline::grammar
