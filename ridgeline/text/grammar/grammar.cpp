#include "ridgeline/text/grammar/grammar.h"

#include <fmt/format.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "ridgeline/text/grammar/gbnf.h"
#include "ridgeline/text/grammar/masks.h"
#include "ridgeline/text/grammar/program.h"
#include "ridgeline/text/grammar/regex.h"
#include "ridgeline/text/grammar/schema_reader.h"
#include "ridgeline/text/utf8.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

using grammar::Budget;
using grammar::kNone;
using grammar::Program;
using grammar::refuse;
using Element = Program::Element;

namespace {

std::unique_ptr<Program> of_element(Element element) {
  auto program = std::make_unique<Program>();
  program->rules.push_back({{0}});
  program->productions.push_back({element});
  return program;
}

std::unique_ptr<Program> of_dfa(grammar::DfaPtr dfa) {
  auto program = of_element({Element::Kind::kDfa, 0, kNone});
  program->dfas.push_back(std::move(dfa));
  return program;
}

void check_size(std::string_view source, std::string_view what) {
  if (source.size() > Budget::kSourceBytesMax) {
    refuse(fmt::format("{} has {} bytes: at most {} are read", what, source.size(),
                       Budget::kSourceBytesMax));
  }
}

void check_utf8(std::string_view text, std::string_view what) {
  if (utf8_valid_prefix_bytes(text) != text.size()) {
    refuse(fmt::format("{} {} is not valid UTF-8", what, quoted(text)));
  }
}

Result<Grammar::Ptr> compiled(const std::function<std::unique_ptr<Program>(Budget&)>& compile) {
  try {
    Budget budget;
    return std::make_shared<const Grammar>(compile(budget));
  } catch (const grammar::Refusal& refusal) {
    return fail(refusal.message);
  }
}

nlohmann::json parse_json(std::string_view text) {
  const auto callback = [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    if (depth > Budget::kNestingMax) refuse("the schema is nested too deeply");
    return true;
  };
  try {
    return nlohmann::json::parse(text.begin(), text.end(), callback);
  } catch (const nlohmann::json::exception& e) {
    refuse(fmt::format("the schema is not valid JSON: {}", e.what()));
  }
}

// The automaton of Knuth, Morris and Pratt (1977) with every character's transition.
grammar::DfaPtr first_occurrence(const std::u32string& tag, Budget& budget) {
  grammar::Dfa dfa;
  std::vector<grammar::CodePointSet> singles;
  for (const char32_t c : tag) singles.push_back({{c, c}});
  std::vector<const grammar::CodePointSet*> sets;
  for (const auto& set : singles) sets.push_back(&set);
  dfa.alphabet = grammar::classes_of(sets);
  const std::size_t n = dfa.alphabet.count;
  budget.spend(n * tag.size());
  dfa.next.assign((tag.size() + 1) * n, grammar::kDead);
  dfa.labels.assign(tag.size() + 1, 0);
  dfa.labels[tag.size()] = 1;
  std::size_t fallback = 0;  // the state after tag[1..i)
  for (std::size_t i = 0; i < tag.size(); ++i) {
    const std::uint32_t own = dfa.alphabet.class_of(tag[i]);
    for (std::size_t c = 0; c < n; ++c)
      dfa.next[i * n + c] = i == 0 ? 0 : dfa.next[fallback * n + c];
    const std::uint32_t further = i == 0 ? 0 : dfa.next[fallback * n + own];
    dfa.next[i * n + own] = static_cast<std::uint32_t>(i + 1);
    fallback = further;
  }
  return grammar::trim(std::move(dfa));
}

}  // namespace

Grammar::Grammar(std::unique_ptr<const Program> program)
    : program_(std::move(program)), masks_(std::make_unique<grammar::MaskCache>()) {}
Grammar::~Grammar() = default;

Result<Grammar::Ptr> Grammar::from_json_schema(std::string_view schema) {
  return compiled([&](Budget& budget) {
    check_size(schema, "the schema");
    const nlohmann::json document = parse_json(schema);
    grammar::SchemaReader reader(document, budget);
    auto program = of_element({Element::Kind::kJson, 0, kNone});
    program->json = grammar::finish_json(reader.algebra(), reader.root(), budget);
    return program;
  });
}

Result<Grammar::Ptr> Grammar::from_json_object() {
  return from_json_schema(R"({"type": "object"})");
}

Result<Grammar::Ptr> Grammar::from_regex(std::string_view pattern) {
  return compiled([&](Budget& budget) {
    check_size(pattern, "the regular expression");
    const std::string what = "the regular expression " + quoted(pattern);
    grammar::DfaPtr dfa = grammar::regex_whole(pattern, what, budget);
    if (dfa->empty()) refuse(what + " matches no text");
    return of_dfa(std::move(dfa));
  });
}

Result<Grammar::Ptr> Grammar::from_choices(std::span<const std::string> choices) {
  return compiled([&](Budget& budget) {
    if (choices.empty()) refuse("there is no choice among no texts");
    std::vector<grammar::Word> words;
    for (const std::string& choice : choices) {
      check_utf8(choice, "the choice");
      words.push_back({grammar::decode_utf8(choice), 1});
    }
    return of_dfa(grammar::words(words, 0, budget));
  });
}

Result<Grammar::Ptr> Grammar::from_gbnf(std::string_view text) {
  return compiled([&](Budget& budget) {
    check_size(text, "the GBNF grammar");
    return grammar::parse_gbnf(text, budget);
  });
}

Result<Grammar::Ptr> Grammar::literal(std::string_view text) {
  return compiled([&](Budget&) {
    check_size(text, "the literal");
    auto program = of_element({Element::Kind::kLiteral, 0, kNone});
    program->literals.emplace_back(text);
    return program;
  });
}

Result<Grammar::Ptr> Grammar::sequence(std::vector<Ptr> parts) {
  return compiled([&](Budget&) {
    auto program = std::make_unique<Program>();
    program->rules.push_back({{0}});
    program->productions.emplace_back();
    for (std::uint32_t i = 0; i < parts.size(); ++i) {
      program->productions[0].push_back({Element::Kind::kGrammar, i, kNone});
    }
    program->parts = std::move(parts);
    return program;
  });
}

Result<Grammar::Ptr> Grammar::any_of(std::vector<Ptr> parts) {
  return compiled([&](Budget&) {
    if (parts.empty()) refuse("there is no choice among no grammars");
    auto program = std::make_unique<Program>();
    program->rules.emplace_back();
    for (std::uint32_t i = 0; i < parts.size(); ++i) {
      program->rules[0].productions.push_back(i);
      program->productions.push_back({{Element::Kind::kGrammar, i, kNone}});
    }
    program->parts = std::move(parts);
    return program;
  });
}

Result<Grammar::Ptr> Grammar::free_text_until(std::string_view tag) {
  return compiled([&](Budget& budget) {
    if (tag.empty()) refuse("free text needs a tag that ends it");
    check_size(tag, "the tag");
    check_utf8(tag, "the tag");
    auto program = of_dfa(first_occurrence(grammar::decode_utf8(tag), budget));
    program->productions[0][0].tag = 0;
    program->literals.emplace_back(tag);
    return program;
  });
}

}  // namespace ridgeline
