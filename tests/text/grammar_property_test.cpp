#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <regex>
#include <set>

#include "ridgeline/text/grammar/grammar.h"
#include "tests/text/schema_validator.h"

namespace ridgeline {
namespace {

using nlohmann::json;

// All bytes, and tokens that cross whatever can be crossed: closing quotes, names, brackets,
// halves of characters and of escapes, white space.
std::vector<std::string> awkward_pieces() {
  std::vector<std::string> pieces;
  for (int i = 0; i < 256; ++i) pieces.emplace_back(1, static_cast<char>(i));
  for (const char* piece : {"\": {",        "\"}],",
                            "\":",          "\":\"",
                            "\", \"",       "{\"",
                            "[{\"",         "\"}",
                            "}}",           "]}",
                            "},",           "},{",
                            "[[",           "]]",
                            "[]",           "{}",
                            "\"\"",         "[\"",
                            "\"]",          "\",\"",
                            "null",         "true",
                            "false",        "tru",
                            "e,",           "ll",
                            "12",           "00",
                            "1.",           ".5",
                            "e+",           "-1",
                            "0]",           "1}",
                            "1,",           "\\u",
                            "\\u00",        "\\ud83d",
                            "\\ude00",      "\\n",
                            "\\\"",         "\xC3",
                            "\xA9",         "t\xC3\xA9",
                            "\xE4\xB8",     "\xB8\xAD",
                            "\xF0\x9F\x98", "\x80\"",
                            "na",           "me",
                            "name",         "name\":",
                            "kind",         "a\":",
                            "b\":",         "a\":1,\"",
                            "x\",\"y\":\"", "\"a\":1,\"b\":",
                            "\"b\":\"",     "  ",
                            "\n  ",         " \"",
                            ", \"",         ": ",
                            "    ",         "value",
                            "children",     "ab",
                            "abc",          "aa",
                            "2024-",        "-02-29",
                            "alpha",        "beta",
                            "n_",           "_s",
                            "_s\":"}) {
    pieces.emplace_back(piece);
  }
  pieces.emplace_back("a");  // a token's bytes again
  pieces.emplace_back("<tool>");
  pieces.emplace_back("<end>");
  return pieces;
}

const std::vector<std::string>& pieces() {
  static const std::vector<std::string> all = awkward_pieces();
  return all;
}

std::shared_ptr<const GrammarVocabulary> vocabulary() {
  const auto n = static_cast<TokenId>(pieces().size());
  static const auto made = std::make_shared<const GrammarVocabulary>(
      pieces(), std::vector<TokenId>{n - 2}, std::vector<TokenId>{n - 1});
  return made;
}

class Drawer {
 public:
  Drawer(Grammar::Ptr grammar, unsigned seed)
      : vocabulary_(vocabulary()),
        matcher_(std::move(grammar), vocabulary_),
        mask_(vocabulary_->mask_words()),
        random_(seed) {}

  // A text that ended, or nothing if it did not within a few hundred tokens.
  std::optional<std::string> run() {
    std::string text;
    for (int i = 0; i < 600; ++i) {
      matcher_.allowed(mask_);
      std::vector<TokenId> allowed;
      for (TokenId t = 0; t < vocabulary_->size(); ++t) {
        if (is_set(t)) allowed.push_back(t);
      }
      if (allowed.empty()) {
        ADD_FAILURE() << "nothing is allowed behind " << text;
        return std::nullopt;
      }
      if (i % 5 == 0) check_all(text);
      const TokenId end = vocabulary_->size() - 1;
      EXPECT_EQ(is_set(end), matcher_.may_end()) << text;
      if (matcher_.must_end()) {
        EXPECT_EQ(allowed, std::vector<TokenId>{end}) << text;
      }
      if (is_set(end) && random_() % 3 == 0) {
        EXPECT_TRUE(matcher_.accept(end));
        return text;
      }
      const TokenId token = choose(allowed, i);
      if (token == end) continue;
      EXPECT_TRUE(matcher_.accept(token)) << text;
      text += piece(token);
    }
    return std::nullopt;
  }

 private:
  bool is_set(TokenId t) const {
    return (mask_[static_cast<std::size_t>(t) / 32] >> (t % 32) & 1) != 0;
  }
  static const std::string& piece(TokenId t) { return pieces()[static_cast<std::size_t>(t)]; }
  // A bit is set exactly when accept() succeeds.
  void check_all(const std::string& text) {
    for (TokenId t = 0; t < vocabulary_->size(); ++t) {
      GrammarMatcher copy = matcher_;
      ASSERT_EQ(copy.accept(t), is_set(t)) << "token " << piece(t) << " behind " << text;
    }
  }
  // Later, what closes is liked better, and white space never.
  TokenId choose(const std::vector<TokenId>& allowed, int step) {
    std::vector<TokenId> liked;
    for (const TokenId t : allowed) {
      const std::string& bytes = piece(t);
      if (bytes.find_first_of(" \n\t\r") != bytes.npos) continue;
      if (step > 20 && bytes.find_first_of(step > 60 ? "}]" : "\"}]") == bytes.npos) continue;
      if (step > 60 && bytes.find_first_of("[{") != bytes.npos) continue;
      liked.push_back(t);
    }
    const auto& from = liked.empty() || random_() % 8 == 0 ? allowed : liked;
    return from[random_() % from.size()];
  }

  std::shared_ptr<const GrammarVocabulary> vocabulary_;
  GrammarMatcher matcher_;
  std::vector<std::uint32_t> mask_;
  std::mt19937 random_;
};

json fixtures() {
  std::ifstream in(std::string(RIDGELINE_SOURCE_DIR) + "/tests/data/text/grammar/schemas.json");
  return json::parse(in);
}

bool accepts(const Grammar::Ptr& grammar, const std::string& text) {
  GrammarMatcher matcher(grammar, vocabulary());
  return matcher.accept_text(text) && matcher.may_end();
}

TEST(GrammarProperty, InstancesAreToldApart) {
  for (const json& fixture : fixtures()) {
    const json& schema = fixture.at("schema");
    const auto grammar = Grammar::from_json_schema(schema.dump());
    ASSERT_TRUE(grammar.has_value()) << schema << grammar.error().message;
    for (const bool valid : {true, false}) {
      for (const json& instance : fixture.at(valid ? "valid" : "invalid")) {
        EXPECT_EQ(testing::SchemaValidator(schema).is_valid(instance), valid) << schema << instance;
        for (const bool ascii : {false, true}) {
          for (const int indent : {-1, 2}) {
            EXPECT_EQ(accepts(*grammar, instance.dump(indent, ' ', ascii)), valid)
                << schema << instance;
          }
        }
      }
    }
  }
}

// What is drawn from the masks is valid JSON that the schema allows, without a name twice.
TEST(GrammarProperty, DrawnTextsAreValid) {
  const char* all = std::getenv("RIDGELINE_GRAMMAR_ALL");
  const unsigned num_draws = all != nullptr ? 400 : 12;
  int ended = 0, drawn = 0;
  for (const json& fixture : fixtures()) {
    const json& schema = fixture.at("schema");
    const auto grammar = Grammar::from_json_schema(schema.dump());
    ASSERT_TRUE(grammar.has_value()) << schema << grammar.error().message;
    for (unsigned seed = 0; seed < num_draws; ++seed) {
      ++drawn;
      const auto text = Drawer(*grammar, seed).run();
      if (HasFailure()) FAIL() << schema << " seed " << seed;
      if (!text) continue;
      ++ended;
      std::vector<std::set<std::string>> names;
      const auto callback = [&](int, json::parse_event_t event, json& value) {
        if (event == json::parse_event_t::object_start) names.emplace_back();
        if (event == json::parse_event_t::object_end) names.pop_back();
        if (event == json::parse_event_t::key) {
          EXPECT_TRUE(names.back().insert(value.get<std::string>()).second) << *text;
        }
        return true;
      };
      const json instance = json::parse(*text, callback, false);
      ASSERT_FALSE(instance.is_discarded()) << *text;
      ASSERT_TRUE(testing::SchemaValidator(schema).is_valid(instance)) << schema << "\n" << *text;
    }
  }
  EXPECT_GT(ended, drawn * 2 / 3);
}

// The same of grammars that are no JSON, against what std::regex says.
TEST(GrammarProperty, DrawnTextsMatch) {
  for (const char* pattern :
       {"[a-c]+(,[a-c]+)*", "(ab|a)(c|bcd)*", "-?(0|[1-9][0-9]{0,3})", "a{2,3}b?"}) {
    const auto grammar = Grammar::from_regex(pattern);
    ASSERT_TRUE(grammar.has_value());
    for (unsigned seed = 0; seed < 30; ++seed) {
      const auto text = Drawer(*grammar, seed).run();
      if (HasFailure()) FAIL() << pattern;
      if (text) {
        ASSERT_TRUE(std::regex_match(*text, std::regex(pattern))) << pattern << " " << *text;
      }
    }
  }
}

TEST(GrammarProperty, ComposedMasksAreExact) {
  const auto thinking = Grammar::free_text_until("</x>");
  const auto call = Grammar::literal("<tool>{");
  const auto choice = Grammar::from_choices(std::vector<std::string>{"a", "ab", "abc"});
  const auto value = Grammar::from_json_schema(R"({"enum": [1, 12, "a"]})");
  ASSERT_TRUE(thinking && call && choice && value);
  const auto first = Grammar::any_of({*Grammar::sequence({*call, *choice}), *choice});
  const auto all = Grammar::sequence({*first, *value, *Grammar::literal("}")});
  ASSERT_TRUE(all.has_value());
  for (unsigned seed = 0; seed < 40; ++seed) {
    const auto text = Drawer(*all, seed).run();
    if (HasFailure()) FAIL();
    if (text) {
      EXPECT_TRUE(std::regex_match(
          *text, std::regex("(<tool>\\{)?(a|ab|abc)[ \\t\\r\\n]*(1|12|\"(a|\\\\u0061)\")\\}")))
          << *text;
    }
  }
  GrammarMatcher matcher(*Grammar::sequence({*thinking, *value}), vocabulary());
  EXPECT_TRUE(matcher.accept_text("<think> </ </x"));
  EXPECT_FALSE(matcher.may_end());
  EXPECT_FALSE(GrammarMatcher(matcher).accept_text("\xff"));
  EXPECT_TRUE(matcher.accept_text(">12"));
  EXPECT_TRUE(matcher.must_end());
}

}  // namespace
}  // namespace ridgeline
