#include "ridgeline/text/grammar/program.h"

#include <algorithm>

#include "ridgeline/text/grammar/gbnf.h"

namespace ridgeline::grammar {
namespace {

using Element = Program::Element;
using Kind = Element::Kind;

// A rule has the property when one of its productions has it in every element.
template <class HasIt>
std::vector<bool> rules_with(const Program& program, const HasIt& has_it) {
  std::vector<bool> rules(program.rules.size(), false);
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t r = rules.size(); r-- > 0;) {
      if (rules[r]) continue;
      for (const std::uint32_t p : program.rules[r].productions) {
        const auto& elements = program.productions[p];
        if (std::all_of(elements.begin(), elements.end(), [&](const Element& e) {
              return e.kind == Kind::kRule ? static_cast<bool>(rules[e.index]) : has_it(e);
            })) {
          rules[r] = changed = true;
          break;
        }
      }
    }
  }
  return rules;
}

std::vector<bool> nullable_rules(const Program& program) {
  return rules_with(program, [&](const Element& e) {
    switch (e.kind) {
      case Kind::kDfa:
        return !program.dfas[e.index]->empty() && program.dfas[e.index]->labels[0] != 0;
      case Kind::kLiteral:
        return program.literals[e.index].empty();
      case Kind::kGrammar:
        return is_nullable(program.parts[e.index]->program());
      default:
        return false;
    }
  });
}

std::vector<bool> possible_rules(const Program& program) {
  return rules_with(program, [&](const Element& e) {
    return e.kind != Kind::kDfa || !program.dfas[e.index]->empty();
  });
}

// A rule that calls itself before a byte is read, and wants more behind the call, would grow
// the stack for ever. (A call at a production's end does not grow it.)
class LeftRecursion {
 public:
  explicit LeftRecursion(const Program& program)
      : program_(program), nullable_(nullable_rules(program)), calls_(program.rules.size()) {
    for (std::uint32_t r = 0; r < program.rules.size(); ++r) {
      for (const std::uint32_t p : program.rules[r].productions)
        add_calls(r, program.productions[p]);
    }
  }

  void check() const {
    const std::vector<std::uint32_t> component = components();
    for (std::uint32_t r = 0; r < calls_.size(); ++r) {
      for (const auto& [to, grows] : calls_[r]) {
        if (grows && component[r] == component[to]) {
          refuse(
              "the grammar has a rule that begins with itself (left recursion), which is not "
              "supported: write it with a repetition");
        }
      }
    }
  }

 private:
  void add_calls(std::uint32_t rule, const Program::Production& elements) {
    for (std::size_t i = 0; i < elements.size(); ++i) {
      const Element& e = elements[i];
      if (e.kind == Kind::kRule) {
        calls_[rule].emplace_back(e.index, i + 1 < elements.size());
        if (!nullable_[e.index]) return;
      } else if (e.kind == Kind::kDfa) {
        const Dfa& dfa = *program_.dfas[e.index];
        if (dfa.empty() || dfa.labels[0] == 0) return;
      } else if (e.kind != Kind::kLiteral || !program_.literals[e.index].empty()) {
        return;
      }
    }
  }

  // Tarjan 1972, with a stack of its own: grammars may be deep.
  std::vector<std::uint32_t> components() const {
    const std::size_t n = calls_.size();
    std::vector<std::uint32_t> index(n, kNone), low(n, 0), component(n, kNone), stack;
    std::vector<std::pair<std::uint32_t, std::size_t>> walk;
    std::uint32_t next = 0, num_components = 0;
    for (std::uint32_t root = 0; root < n; ++root) {
      if (index[root] != kNone) continue;
      walk.emplace_back(root, 0);
      while (!walk.empty()) {
        const std::uint32_t r = walk.back().first;
        std::size_t& at = walk.back().second;
        if (at == 0 && index[r] == kNone) index[r] = low[r] = next++, stack.push_back(r);
        if (at < calls_[r].size()) {
          const std::uint32_t to = calls_[r][at++].first;
          if (index[to] == kNone) {
            walk.emplace_back(to, 0);
          } else if (component[to] == kNone) {
            low[r] = std::min(low[r], index[to]);
          }
          continue;
        }
        if (low[r] == index[r]) {
          for (std::uint32_t s = kNone; s != r;) {
            s = stack.back();
            stack.pop_back();
            component[s] = num_components;
          }
          ++num_components;
        }
        walk.pop_back();
        if (!walk.empty()) low[walk.back().first] = std::min(low[walk.back().first], low[r]);
      }
    }
    return component;
  }

  const Program& program_;
  std::vector<bool> nullable_;
  std::vector<std::vector<std::pair<std::uint32_t, bool>>> calls_;
};

}  // namespace

bool is_nullable(const Program& program) { return nullable_rules(program)[0]; }
bool is_impossible(const Program& program) { return !possible_rules(program)[0]; }

void finish_program(Program& program) {
  const std::vector<bool> possible = possible_rules(program);
  if (!possible[0]) refuse("the grammar derives no text");
  for (auto& rule : program.rules) {
    std::erase_if(rule.productions, [&](std::uint32_t p) {
      const auto& elements = program.productions[p];
      return std::any_of(elements.begin(), elements.end(), [&](const Element& e) {
        return (e.kind == Kind::kRule && !possible[e.index]) ||
               (e.kind == Kind::kDfa && program.dfas[e.index]->empty());
      });
    });
  }
  LeftRecursion(program).check();
}

}  // namespace ridgeline::grammar
