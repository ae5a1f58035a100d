#include "ridgeline/text/grammar/regex.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "ridgeline/text/grammar/regex_syntax.h"

namespace ridgeline::grammar {
namespace {

using Kind = RegexNode::Kind;

// Thompson's construction (1968); ^ and $ are empty edges that are open only at the text's
// ends.
struct Nfa {
  enum class Edge : std::uint8_t { kFree, kBegin, kEnd };
  struct State {
    std::vector<std::pair<std::uint32_t, Edge>> empty;
    std::int32_t set = -1;  // index into sets; then `to` follows
    std::uint32_t to = 0;
  };
  std::vector<State> states;
  std::vector<CodePointSet> sets;
  std::map<std::vector<std::pair<char32_t, char32_t>>, std::int32_t> set_numbers;
  Budget& budget;

  std::uint32_t add() {
    budget.spend(16);
    states.emplace_back();
    return static_cast<std::uint32_t>(states.size() - 1);
  }
  void connect(std::uint32_t from, std::uint32_t to, Edge edge = Edge::kFree) {
    states[from].empty.emplace_back(to, edge);
  }
  std::int32_t number_of(const CodePointSet& set) {
    std::vector<std::pair<char32_t, char32_t>> key;
    for (const CodePointRange& range : set) key.emplace_back(range.low, range.high);
    const auto [at, is_new] =
        set_numbers.emplace(std::move(key), static_cast<std::int32_t>(sets.size()));
    if (is_new) sets.push_back(set);
    return at->second;
  }

  // Adds what leads from `from` to a new state by `node`, and returns that.
  std::uint32_t build(const RegexNode& node, std::uint32_t from, const std::string& what) {
    switch (node.kind) {
      case Kind::kSet: {
        const std::uint32_t begin = add(), end = add();
        connect(from, begin);
        states[begin].set = number_of(node.set);
        states[begin].to = end;
        return end;
      }
      case Kind::kSequence:
        for (const RegexNode& part : node.parts) from = build(part, from, what);
        return from;
      case Kind::kChoice: {
        const std::uint32_t end = add();
        for (const RegexNode& part : node.parts) {
          const std::uint32_t begin = add();
          connect(from, begin);
          connect(build(part, begin, what), end);
        }
        return end;
      }
      case Kind::kRepeat:
        return repeat(node, from, what);
      case Kind::kBegin:
      case Kind::kEnd: {
        const std::uint32_t end = add();
        connect(from, end, node.kind == Kind::kBegin ? Edge::kBegin : Edge::kEnd);
        return end;
      }
      case Kind::kLookahead:
        break;
    }
    refuse(what + " has a lookahead that does not stand at its front, which is not supported");
  }

  std::uint32_t repeat(const RegexNode& node, std::uint32_t from, const std::string& what) {
    for (unsigned i = 0; i < node.min; ++i) {
      budget.spend(1);  // a part may be empty
      from = build(node.parts[0], from, what);
    }
    if (node.max == RegexNode::kNoMax) {
      const std::uint32_t loop = add(), end = add();
      connect(from, loop);
      connect(build(node.parts[0], loop, what), loop);
      connect(loop, end);
      return end;
    }
    const std::uint32_t end = add();
    connect(from, end);
    for (unsigned i = node.min; i < node.max; ++i) {
      budget.spend(1);
      from = build(node.parts[0], from, what);
      connect(from, end);
    }
    return end;
  }
};

class SubsetConstruction {
 public:
  SubsetConstruction(Nfa nfa, std::uint32_t accept)
      : nfa_(std::move(nfa)), accept_(accept), seen_(nfa_.states.size(), 0) {}

  DfaPtr run() {
    std::vector<const CodePointSet*> sets;
    for (const CodePointSet& set : nfa_.sets) sets.push_back(&set);
    Dfa dfa;
    dfa.alphabet = classes_of(sets);
    const std::size_t num_classes = dfa.alphabet.count;
    classes_of_sets(dfa.alphabet);
    number_of({0}, true);
    std::vector<std::vector<std::uint32_t>> targets(num_classes);
    for (std::size_t i = 0; i < subsets_.size(); ++i) {
      const std::vector<std::uint32_t> subset = subsets_[i];
      dfa.labels.push_back(accepts(subset, i == 0) ? 1 : 0);
      nfa_.budget.spend(4 + num_classes + 2 * subset.size());
      for (const std::uint32_t s : subset) {
        const Nfa::State& state = nfa_.states[s];
        if (state.set < 0) continue;
        const auto& classes = set_classes_[static_cast<std::size_t>(state.set)];
        nfa_.budget.spend(classes.size());
        for (const std::uint16_t c : classes) targets[c].push_back(state.to);
      }
      for (auto& target : targets) {
        dfa.next.push_back(target.empty() ? kDead : number_of(target, false));
        target.clear();
      }
    }
    return trim(std::move(dfa));
  }

 private:
  void classes_of_sets(const CodePointClasses& alphabet) {
    for (const CodePointSet& set : nfa_.sets) {
      std::vector<std::uint16_t> classes;
      for (const CodePointRange& range : set) {
        for (std::size_t i = alphabet.interval_of(range.low);
             i < alphabet.starts.size() && alphabet.starts[i] <= range.high; ++i) {
          classes.push_back(alphabet.classes[i]);
        }
      }
      std::sort(classes.begin(), classes.end());
      classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
      set_classes_.push_back(std::move(classes));
    }
  }

  // What empty edges lead to.
  std::vector<std::uint32_t> closure(std::vector<std::uint32_t> from, bool at_begin, bool at_end) {
    ++round_;
    std::vector<std::uint32_t> out;
    for (const std::uint32_t s : from) {
      if (seen_[s] != round_) seen_[s] = round_, out.push_back(s);
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
      for (const auto& [to, edge] : nfa_.states[out[i]].empty) {
        if (edge == Nfa::Edge::kBegin && !at_begin) continue;
        if (edge == Nfa::Edge::kEnd && !at_end) continue;
        if (seen_[to] != round_) seen_[to] = round_, out.push_back(to);
      }
    }
    nfa_.budget.spend(2 * out.size());
    return out;
  }

  bool accepts(const std::vector<std::uint32_t>& subset, bool at_begin) {
    const auto all = closure(subset, at_begin, true);
    return std::find(all.begin(), all.end(), accept_) != all.end();
  }

  // Only states that matter later are kept: with a character, a way to $, or the end. The
  // start is never met again, as ^ is open only there.
  std::uint32_t number_of(const std::vector<std::uint32_t>& from, bool at_begin) {
    std::vector<std::uint32_t> kept;
    for (const std::uint32_t s : closure(from, at_begin, false)) {
      const Nfa::State& state = nfa_.states[s];
      const bool has_end = std::any_of(state.empty.begin(), state.empty.end(),
                                       [](const auto& e) { return e.second == Nfa::Edge::kEnd; });
      if (state.set >= 0 || s == accept_ || has_end) kept.push_back(s);
    }
    if (at_begin) kept = closure(from, true, false);
    std::sort(kept.begin(), kept.end());
    std::string key(reinterpret_cast<const char*>(kept.data()), kept.size() * sizeof(kept[0]));
    if (at_begin) key += '^';
    const auto [at, is_new] =
        numbers_.emplace(std::move(key), static_cast<std::uint32_t>(subsets_.size()));
    if (is_new) {
      nfa_.budget.spend(kept.size());
      subsets_.push_back(std::move(kept));
    }
    return at->second;
  }

  Nfa nfa_;
  std::uint32_t accept_;
  std::vector<std::uint32_t> seen_;
  std::uint32_t round_ = 0;
  std::vector<std::vector<std::uint16_t>> set_classes_;
  std::unordered_map<std::string, std::uint32_t> numbers_;
  std::vector<std::vector<std::uint32_t>> subsets_;
};

RegexNode anything() {
  RegexNode set;
  set.kind = Kind::kSet;
  set.set = {{0, kLastCodePoint}};
  RegexNode repeat;
  repeat.kind = Kind::kRepeat;
  repeat.max = RegexNode::kNoMax;
  repeat.parts.push_back(std::move(set));
  return repeat;
}

DfaPtr build(const RegexNode& node, bool open_front, bool open_back, const std::string& what,
             Budget& budget) {
  Nfa nfa{{}, {}, {}, budget};
  std::uint32_t at = nfa.add();
  if (open_front) at = nfa.build(anything(), at, what);
  at = nfa.build(node, at, what);
  if (open_back) at = nfa.build(anything(), at, what);
  return SubsetConstruction(std::move(nfa), at).run();
}

// One alternative: lookaheads behind the front are taken off and intersected.
DfaPtr build_alternative(RegexNode node, bool search, const std::string& what, Budget& budget) {
  std::vector<RegexNode> ahead;
  if (node.kind == Kind::kLookahead) {
    RegexNode sequence;
    sequence.parts.push_back(std::move(node));
    node = std::move(sequence);
  }
  if (node.kind == Kind::kSequence) {
    auto& parts = node.parts;
    const bool anchored = !parts.empty() && parts[0].kind == Kind::kBegin;
    const std::size_t front = anchored ? 1 : 0;
    while ((anchored || !search) && parts.size() > front && parts[front].kind == Kind::kLookahead) {
      ahead.push_back(std::move(parts[front]));
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(front));
    }
  }
  DfaPtr dfa = build(node, search, search, what, budget);
  for (const RegexNode& look : ahead) {
    const DfaPtr seen = build(look.parts[0], false, true, what, budget);
    dfa = look.is_negative ? without(dfa, seen, budget) : both(dfa, seen, budget);
  }
  return dfa;
}

bool has_lookahead(const RegexNode& node) {
  return node.kind == Kind::kLookahead ||
         std::any_of(node.parts.begin(), node.parts.end(), has_lookahead);
}

DfaPtr compile(std::string_view pattern, bool search, const std::string& what, Budget& budget) {
  RegexNode node = parse_regex(pattern, what, budget);
  if (!has_lookahead(node)) return build(node, search, search, what, budget);
  if (node.kind != Kind::kChoice) {
    return build_alternative(std::move(node), search, what, budget);
  }
  DfaPtr dfa = nothing();
  for (RegexNode& part : node.parts) {
    dfa = either(dfa, build_alternative(std::move(part), search, what, budget), budget);
  }
  return dfa;
}

}  // namespace

DfaPtr regex_whole(std::string_view pattern, const std::string& what, Budget& budget) {
  return compile(pattern, false, what, budget);
}

DfaPtr regex_whole(const RegexNode& node, Budget& budget) {
  return build(node, false, false, "the grammar", budget);
}

DfaPtr regex_search(std::string_view pattern, const std::string& what, Budget& budget) {
  return compile(pattern, true, what, budget);
}

}  // namespace ridgeline::grammar
