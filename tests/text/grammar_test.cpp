#include "ridgeline/text/grammar/grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <regex>
#include <thread>

namespace ridgeline {
namespace {

using ::testing::HasSubstr;

std::shared_ptr<const GrammarVocabulary> bytes_and(std::vector<std::string> more,
                                                   std::vector<TokenId> control = {}) {
  std::vector<std::string> pieces;
  for (int i = 0; i < 256; ++i) pieces.emplace_back(1, static_cast<char>(i));
  pieces.insert(pieces.end(), more.begin(), more.end());
  pieces.emplace_back("<end>");
  const auto end = static_cast<TokenId>(pieces.size() - 1);
  return std::make_shared<const GrammarVocabulary>(pieces, std::move(control),
                                                   std::vector<TokenId>{end});
}

bool accepts(const Result<Grammar::Ptr>& grammar, std::string_view text) {
  static const auto vocabulary = bytes_and({});
  if (!grammar) {
    ADD_FAILURE() << grammar.error().message;
    return false;
  }
  GrammarMatcher matcher(*grammar, vocabulary);
  return matcher.accept_text(text) && matcher.may_end();
}

std::string refusal(const Result<Grammar::Ptr>& grammar) {
  return grammar ? "compiled" : grammar.error().message;
}

TEST(Grammar, RegexMatchesTheWholeText) {
  // As std::regex, which has ECMAScript's syntax too, sees them.
  const char* kPatterns[] = {"a",
                             "a|bc",
                             "(a|b)*c",
                             "[a-c]{2,3}",
                             "\\d+(\\.\\d*)?",
                             "[^a-c]+",
                             "\\w+\\s\\S",
                             "a{2}b{0,2}",
                             "(?:ab)+?c*",
                             "x?y?z?",
                             "[\\-\\]^]",
                             "^ab$",
                             "a.c",
                             "(a*)*b",
                             "[a\\d-]+",
                             "\\x41\\u0042",
                             "()",
                             "a||b"};
  const char* kTexts[] = {"",    "a",    "b",    "c",     "bc",   "abc", "ababc",
                          "aa",  "abcb", "12",   "3.",    "3.25", "xyz", "xz",
                          "w 1", "aab",  "aabb", "aabbb", "-",    "]",   "^",
                          "ab",  "a.c",  "a\nc", "aaab",  "9-a",  "AB",  "dd"};
  for (const char* pattern : kPatterns) {
    const auto grammar = Grammar::from_regex(pattern);
    for (const char* text : kTexts) {
      EXPECT_EQ(accepts(grammar, text), std::regex_match(text, std::regex(pattern)))
          << pattern << " on " << text;
    }
  }
}

TEST(Grammar, RegexOfUnicode) {
  EXPECT_TRUE(accepts(Grammar::from_regex("[\u00e0-\u00ff]+\u4e2d?"), "\u00e9\u00ea\u4e2d"));
  EXPECT_FALSE(accepts(Grammar::from_regex("[\u00e0-\u00ff]+"), "e"));
  EXPECT_TRUE(accepts(Grammar::from_regex("\\u{1F600}"), "\U0001F600"));
  EXPECT_TRUE(accepts(Grammar::from_regex("\\p{Lu}\\p{L}+"), "\u00c9t\u00e9"));
  EXPECT_FALSE(accepts(Grammar::from_regex("\\p{Lu}+"), "\u00e9"));
  EXPECT_FALSE(accepts(Grammar::from_regex(".*"), "\xff"));
  EXPECT_TRUE(accepts(Grammar::from_regex("(?!.*b)[a-c]+"), "aca"));
  EXPECT_FALSE(accepts(Grammar::from_regex("(?!.*b)[a-c]+"), "abc"));
}

TEST(Grammar, RegexRefusals) {
  EXPECT_THAT(refusal(Grammar::from_regex("a(?<=b)")), HasSubstr("lookbehind"));
  EXPECT_THAT(refusal(Grammar::from_regex("(a)\\1")), HasSubstr("back-reference"));
  EXPECT_THAT(refusal(Grammar::from_regex("\\bword")), HasSubstr("\\b"));
  EXPECT_THAT(refusal(Grammar::from_regex("((?!a).)*")), HasSubstr("lookahead"));
  EXPECT_THAT(refusal(Grammar::from_regex("(a")), HasSubstr("without its )"));
  EXPECT_THAT(refusal(Grammar::from_regex("a)")), HasSubstr("without its ("));
  EXPECT_THAT(refusal(Grammar::from_regex("[a")), HasSubstr("without its ]"));
  EXPECT_THAT(refusal(Grammar::from_regex("*")), HasSubstr("nothing before it"));
  EXPECT_THAT(refusal(Grammar::from_regex("[b-a]")), HasSubstr("wrong order"));
  EXPECT_THAT(refusal(Grammar::from_regex("\xff")), HasSubstr("UTF-8"));
  EXPECT_THAT(refusal(Grammar::from_regex("a^b")), HasSubstr("no text"));
}

// Each asks for far more than it says, and is refused, or done, within about a second.
TEST(Grammar, LimitsHold) {
  std::string deep(100000, '('), nested;
  for (int i = 0; i < 100000; ++i) nested += R"({"not":)";
  std::string wide = R"({"oneOf":[)";
  for (int i = 0; i < 60; ++i) {
    wide +=
        R"({"type":"object","properties":{"a)" + std::to_string(i) + R"(":{"type":"string"}}},)";
  }
  wide.back() = ']';
  wide += '}';
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(refusal(Grammar::from_regex("(a|b)*a(a|b){30}")), HasSubstr("simplify it"));
  EXPECT_NE(refusal(Grammar::from_regex("((a{1000}){1000}){1000}")), "compiled");
  EXPECT_NE(refusal(Grammar::from_regex("(((){1000000}){1000000}){1000000}")), "compiled");
  EXPECT_THAT(refusal(Grammar::from_regex(deep)), HasSubstr("nested too deeply"));
  EXPECT_THAT(refusal(Grammar::from_gbnf("root ::= " + deep)), HasSubstr("nested too deeply"));
  EXPECT_THAT(refusal(Grammar::from_json_schema(nested)), HasSubstr("nested too deeply"));
  EXPECT_EQ(refusal(Grammar::from_json_schema(wide)), "compiled");
  const auto nested_counts = Grammar::from_gbnf("root ::= ((\"a\"{0,999}){0,999}){0,999}");
  EXPECT_TRUE(accepts(nested_counts, "aaaa"));
  EXPECT_NE(refusal(Grammar::from_json_schema(R"({"maxLength": 123456789012})")), "compiled");
  EXPECT_NE(refusal(Grammar::from_json_schema(R"({"multipleOf": 0.1234567})")), "compiled");
  EXPECT_NE(refusal(Grammar::from_json_schema(std::string(5 << 20, ' '))), "compiled");
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(taken.count(), 30.0);
}

TEST(Grammar, SchemaRefusalsNameKeywordAndPlace) {
  const auto of = [](std::string_view schema) {
    return refusal(Grammar::from_json_schema(schema));
  };
  EXPECT_EQ(of(R"({"properties": {"a/b": {"unevaluatedProperties": false}}})"),
            R"(the schema's unevaluatedProperties at "/properties/a~1b" is not supported)");
  EXPECT_THAT(of(R"({"items": {"$ref": "https://example.com/x"}})"),
              HasSubstr("$ref at \"/items\""));
  EXPECT_THAT(of(R"({"$ref": "#/$defs/none"})"), HasSubstr("which is not there"));
  EXPECT_THAT(of(R"({"$ref": "#"})"), HasSubstr("refers to itself"));
  EXPECT_THAT(of(R"({"type": "strin"})"), HasSubstr("type at"));
  EXPECT_THAT(of(R"({"required": true})"), HasSubstr("required at"));
  EXPECT_THAT(of(R"({"minLength": -1})"), HasSubstr("minLength at"));
  EXPECT_THAT(of(R"_({"pattern": "(?<=a)"})_"), HasSubstr("pattern at"));
  EXPECT_THAT(of(R"({"contains": {}, "maxContains": 2})"), HasSubstr("maxContains at"));
  EXPECT_THAT(of(R"({"format": "regex"})"), HasSubstr("format at"));
  EXPECT_THAT(of(R"({"properties": {"a": 1}})"), HasSubstr("/properties/a"));
  EXPECT_THAT(of("[1"), HasSubstr("not valid JSON"));
  EXPECT_EQ(of("false"), "the schema allows no value");
  EXPECT_EQ(of(R"({"properties": {"a": {"$ref": "#"}}, "required": ["a"], "type": "object"})"),
            "the schema allows no value");
  // What no draft defines means nothing, and annotations neither.
  EXPECT_EQ(of(R"({"title": "t", "x-order": 1, "format": "color", "$comment": ""})"), "compiled");
}

TEST(Grammar, GbnfAsLlamaCppWritesIt) {
  const auto arithmetic = Grammar::from_gbnf(R"_(
# a comment
root  ::= (expr "=" ws term "\n")+
expr  ::= term ([-+*/] term)*
term  ::= ident | num | "(" ws expr ")" ws
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \t\n]*
)_");
  EXPECT_TRUE(accepts(arithmetic, "(a+12)*b_1 = 3\n"));
  EXPECT_TRUE(accepts(arithmetic, "1=2\n3 -4=x\n"));
  EXPECT_FALSE(accepts(arithmetic, "1=\n"));
  EXPECT_FALSE(accepts(arithmetic, "(1=2\n"));
  const auto counts = Grammar::from_gbnf(
      "root ::= \"a\"{2} b{1,2} [c-d]{,3} . |\n  \"\\x41\\u00e9\\\"\" # end\nb ::= \"b\"");
  EXPECT_TRUE(accepts(counts, "aab\u4e2d"));
  EXPECT_TRUE(accepts(counts, "aabbcdcx"));
  EXPECT_TRUE(accepts(counts, "A\u00e9\""));
  EXPECT_FALSE(accepts(counts, "aabbbb"));
  EXPECT_FALSE(accepts(counts, "aabbcdcdx"));
  const auto nullable = Grammar::from_gbnf("root ::= (\"a\"* b?)* \"!\"\nb ::= \"b\" | \"\"");
  EXPECT_TRUE(accepts(nullable, "!"));
  EXPECT_TRUE(accepts(nullable, "abbaab!"));
}

TEST(Grammar, GbnfRefusals) {
  EXPECT_THAT(refusal(Grammar::from_gbnf("a ::= \"b\"")), HasSubstr("no rule \"root\""));
  EXPECT_THAT(refusal(Grammar::from_gbnf("root ::= a")), HasSubstr("no rule \"a\""));
  EXPECT_THAT(refusal(Grammar::from_gbnf("root ::= root \"a\" | \"b\"")),
              HasSubstr("left recursion"));
  EXPECT_THAT(refusal(Grammar::from_gbnf("root ::= \"\" a \"x\"\na ::= root? \"y\"")),
              HasSubstr("left recursion"));
  EXPECT_THAT(refusal(Grammar::from_gbnf("root ::= \"a\" root")), HasSubstr("no text"));
  EXPECT_THAT(refusal(Grammar::from_gbnf("root ::= \"a\nb")), HasSubstr("line 2"));
  EXPECT_THAT(refusal(Grammar::from_gbnf("root ::= \"a\" )")), HasSubstr("line 1"));
  EXPECT_THAT(refusal(Grammar::from_gbnf("root ::= <[10]>")), HasSubstr("token"));
}

TEST(Grammar, ChoicesAndCompositions) {
  const auto choices = Grammar::from_choices(std::vector<std::string>{"yes", "no", "not", ""});
  EXPECT_TRUE(accepts(choices, "no"));
  EXPECT_TRUE(accepts(choices, "not"));
  EXPECT_TRUE(accepts(choices, ""));
  EXPECT_FALSE(accepts(choices, "ye"));
  const auto json = Grammar::from_json_object();
  const auto think = Grammar::free_text_until("</think>");
  const auto all = Grammar::sequence({*think, *json, *Grammar::literal("\n.")});
  EXPECT_TRUE(accepts(all, "a < b </think </think> {\"a\": [1, {}]}\n."));
  EXPECT_FALSE(accepts(all, "a < b </think {}\n."));
  EXPECT_FALSE(accepts(all, "</think>[]\n."));
  EXPECT_FALSE(accepts(json, "{\"a\": 1, \"\\u0061\": 2}"));
  EXPECT_THAT(refusal(Grammar::from_choices({})), HasSubstr("no choice"));
  EXPECT_THAT(refusal(Grammar::any_of({})), HasSubstr("no choice"));
  EXPECT_THAT(refusal(Grammar::free_text_until("")), HasSubstr("tag"));
}

TEST(Grammar, WhiteSpaceIsBounded) {
  const auto json = Grammar::from_json_object();
  EXPECT_TRUE(accepts(json, "{" + std::string(64, ' ') + "}"));
  EXPECT_FALSE(accepts(json, "{" + std::string(65, ' ') + "}"));
  EXPECT_FALSE(accepts(json, "{} "));
}

TEST(GrammarMatcher, EndsWhereItMayAndMust) {
  const auto vocabulary = bytes_and({});
  const TokenId end = vocabulary->size() - 1;
  GrammarMatcher matcher(*Grammar::from_regex("ab?"), vocabulary);
  EXPECT_FALSE(matcher.may_end());
  EXPECT_FALSE(matcher.accept(end));
  EXPECT_TRUE(matcher.accept('a'));
  EXPECT_TRUE(matcher.may_end());
  EXPECT_FALSE(matcher.must_end());
  GrammarMatcher copy = matcher;
  EXPECT_TRUE(copy.accept('b'));
  EXPECT_TRUE(copy.must_end());
  EXPECT_FALSE(matcher.must_end());
  EXPECT_FALSE(matcher.accept('c'));
  EXPECT_FALSE(matcher.accept(-1));
  EXPECT_FALSE(matcher.accept(vocabulary->size()));
  std::vector<std::uint32_t> mask(vocabulary->mask_words() + 1, ~0U);
  matcher.allowed(mask);
  EXPECT_EQ(mask.back(), 0U);
  EXPECT_EQ(mask['b' / 32] >> ('b' % 32) & 1, 1U);
  EXPECT_TRUE(matcher.accept(end));
  EXPECT_FALSE(matcher.accept('b'));
  matcher.allowed(mask);
  EXPECT_EQ(std::count(mask.begin(), mask.end(), 0U), static_cast<std::ptrdiff_t>(mask.size()));
  GrammarMatcher number(*Grammar::from_json_schema(R"({"type": "integer"})"), vocabulary);
  EXPECT_TRUE(number.accept_text("12"));
  EXPECT_TRUE(number.may_end());
  EXPECT_FALSE(number.must_end());
}

// A control token stands for its text in literals and as a tag, and nowhere else.
TEST(GrammarMatcher, ControlTokens) {
  const auto vocabulary = bytes_and({"<call>", "</think>"}, {256, 257});
  const auto call = Grammar::sequence({*Grammar::free_text_until("</think>"),
                                       *Grammar::literal("x<call>"), *Grammar::from_json_object()});
  GrammarMatcher matcher(*call, vocabulary);
  std::vector<std::uint32_t> mask(vocabulary->mask_words());
  const auto allows = [&](TokenId t) {
    matcher.allowed(mask);
    const bool is_set = (mask[static_cast<std::size_t>(t) / 32] >> (t % 32) & 1) != 0;
    EXPECT_EQ(is_set, GrammarMatcher(matcher).accept(t));
    return is_set;
  };
  EXPECT_TRUE(allows(257));
  EXPECT_FALSE(allows(256));
  EXPECT_TRUE(matcher.accept_text("hm"));
  EXPECT_TRUE(matcher.accept(257));
  EXPECT_FALSE(allows(256));
  EXPECT_TRUE(matcher.accept('x'));
  EXPECT_TRUE(allows(256));
  EXPECT_TRUE(allows('<'));
  EXPECT_TRUE(matcher.accept(256));
  EXPECT_TRUE(matcher.accept_text("{\""));
  EXPECT_FALSE(allows(256));
  EXPECT_TRUE(matcher.accept_text("a\":1}"));
  EXPECT_TRUE(matcher.must_end());
}

// Sequences of one grammar share its masks.
TEST(GrammarMatcher, ManyThreadsAgree) {
  const auto vocabulary = bytes_and({"{\"", "\":", "\"}", "ab", "12"});
  const auto grammar = Grammar::from_json_schema(
      R"({"type": "object", "properties": {"ab": {"type": "integer"}, "a": {"type": "string"}}})");
  ASSERT_TRUE(grammar.has_value());
  const auto run = [&] {
    std::vector<std::vector<std::uint32_t>> masks;
    GrammarMatcher matcher(*grammar, vocabulary);
    for (const char c : std::string(R"({"ab": 12, "a": "x", "cd": [1, null]})")) {
      masks.emplace_back(vocabulary->mask_words());
      matcher.allowed(masks.back());
      EXPECT_TRUE(matcher.accept(static_cast<unsigned char>(c)));
    }
    return masks;
  };
  const auto alone = run();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { EXPECT_EQ(run(), alone); });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace ridgeline
