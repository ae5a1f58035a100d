// Hostile templates: each ends soon, with a sentence.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "ridgeline/text/jinja/json.h"
#include "ridgeline/text/jinja/template.h"

namespace ridgeline {
namespace {

using testing::HasSubstr;

std::string repeated(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

/// Less memory than by default, so that what is granted takes no time.
constexpr jinja::Limits kLimits{.memory_bytes = std::size_t{32} << 20};

std::string error_of(const std::string& source, const jinja::Limits& limits = kLimits) {
  const auto parsed = jinja::Template::parse(source, "hostile");
  if (!parsed) return parsed.error().message;
  const auto variables = jinja::parse_json(R"({"s": "abc", "l": [1, 2, 3]})", "variables");
  const auto text = parsed->render(*variables, limits);
  return text ? "no error" : text.error().message;
}

TEST(JinjaLimits, MemoryIsRefusedBeforeItIsTaken) {
  const auto memory = HasSubstr("memory");
  EXPECT_THAT(error_of("{{ 'a' * 10**12 }}"), memory);
  EXPECT_THAT(error_of("{{ [1] * 10**12 }}"), memory);
  EXPECT_THAT(error_of("{{ ('ab' * 1000000) * 1000000 }}"), memory);
  EXPECT_THAT(error_of("{{ 'a'.center(10**12) }}"), memory);
  EXPECT_THAT(error_of("{{ 'a'.zfill(10**12) }}"), memory);
  EXPECT_THAT(error_of("{{ '%1000000000s' % 'a' }}"), memory);
  EXPECT_THAT(error_of("{{ '{:1000000000}'.format('a') }}"), memory);
  EXPECT_THAT(error_of("{{ 'a\\tb'.expandtabs(10**12) }}"), memory);
  EXPECT_THAT(error_of("{{ 'a\\nb'|indent(10**12) }}"), memory);
  EXPECT_THAT(error_of("{{ [1]|batch(10**7 * 6, 'x')|list }}"),
              testing::AnyOf(memory, HasSubstr("steps")));
  EXPECT_THAT(error_of("{% set x = 'a' * 10**6 %}{{ ([x] * 10**6)|join }}"), memory);
  EXPECT_THAT(error_of("{% set x = 'a' * 10**6 %}{{ x.replace('a', x) }}"), memory);
  EXPECT_THAT(error_of("{% set ns = namespace(x='a') %}{% for i in range(64) %}"
                       "{% set ns.x = ns.x + ns.x %}{% endfor %}"),
              memory);
  EXPECT_THAT(error_of("{% set ns = namespace(x=[1]) %}{% for i in range(64) %}"
                       "{% set ns.x = ns.x + ns.x %}{% endfor %}"),
              memory);
  // Few values, but each in the other many times: text of 2^60 items.
  EXPECT_THAT(error_of("{% set ns = namespace(x=[1]) %}{% for i in range(60) %}"
                       "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}"),
              testing::AnyOf(memory, HasSubstr("steps")));
}

TEST(JinjaLimits, TimeIsBounded) {
  const auto steps = HasSubstr("steps");
  EXPECT_THAT(error_of("{{ range(10**9) }}"), HasSubstr("Range too big"));
  EXPECT_THAT(error_of("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}"
                       "{% endfor %}"),
              steps);
  EXPECT_THAT(error_of("{% for i in range(100000) %}{{ range(100000)|sum }}{% endfor %}"), steps);
  EXPECT_THAT(error_of("{% set x = 'a' * 10**7 %}{% for i in range(100000) %}"
                       "{% if 'b' in x %}{% endif %}{% endfor %}"),
              steps);
  EXPECT_THAT(error_of("{% set x = 'a' * 10**6 %}{{ x.count('a' * (5 * 10**5) ~ 'b') }}"
                       "{{ x.rfind('b' ~ 'a' * (5 * 10**5)) }}"),
              steps);
  EXPECT_THAT(error_of("{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}"
                       "{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}"
                       "{{ ns.x == ns.y }}"),
              steps);
}

TEST(JinjaLimits, NestingIsBounded) {
  const auto deeper = HasSubstr("deeper than");
  EXPECT_THAT(error_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), deeper);
  EXPECT_THAT(error_of("{% macro m() %}{% call m() %}{% endcall %}{{ caller() }}{% endmacro %}"
                       "{{ m() }}"),
              deeper);
  EXPECT_THAT(error_of("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"), deeper);
  EXPECT_THAT(error_of("{{ " + repeated("(", 100000) + "1" + repeated(")", 100000) + " }}"),
              deeper);
  EXPECT_THAT(error_of("{{ " + repeated("[", 100000) + repeated("]", 100000) + " }}"), deeper);
  EXPECT_THAT(error_of("{{ " + repeated("not ", 100000) + "1 }}"), deeper);
  EXPECT_THAT(error_of("{{ " + repeated("-", 100000) + "1 }}"), deeper);
  EXPECT_THAT(error_of("{{ 1" + repeated(" + 1", 100000) + " }}"), deeper);
  EXPECT_THAT(error_of("{{ s" + repeated(".upper()", 100000) + " }}"), deeper);
  EXPECT_THAT(error_of("{{ s" + repeated("|upper", 100000) + " }}"), deeper);
  EXPECT_THAT(error_of("{{ " + repeated("1 if 1 else ", 100000) + "1 }}"), deeper);
  EXPECT_THAT(error_of(repeated("{% if 1 %}", 100000) + repeated("{% endif %}", 100000)), deeper);
  EXPECT_THAT(error_of("{% set ns = namespace(x=1) %}{% for i in range(100000) %}"
                       "{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}"),
              deeper);
  EXPECT_THAT(error_of("{% set ns = namespace(x=s) %}{% for i in range(100000) %}"
                       "{% set ns.x = ns.x|map('upper') %}{% endfor %}{{ ns.x|list }}"),
              deeper);
  EXPECT_THAT(error_of("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}"), deeper);
  EXPECT_THAT(error_of("{% set ns = namespace(x=none) %}{% for i in range(1000) %}"
                       "{% for j in [ns.x] %}{% set ns.x = loop %}{% endfor %}{% endfor %}"),
              deeper);
}

TEST(JinjaLimits, OutputIsBounded) {
  jinja::Limits limits;
  limits.output_bytes = 1000;
  EXPECT_THAT(error_of("{% for i in range(200) %}0123456789{% endfor %}", limits),
              HasSubstr("longer than"));
}

TEST(JinjaLimits, WhatRefersToItselfIsFreed) {  // the sanitizer looks for leaks
  EXPECT_EQ(error_of("{% set ns = namespace() %}{% set ns.x = [ns, {'a': ns}] %}"
                     "{% for i in l %}{% set ns.l = loop %}{{ loop.changed(loop, ns) }}{% endfor %}"
                     "{% macro m() %}{% endmacro %}{% set ns.m = m %}{% set ns.c = cycler(ns) %}"),
            "no error");
}

TEST(JinjaLimits, ErrorsTellTheLine) {
  EXPECT_EQ(error_of("a\nb\n{{ 1 / 0 }}"), "hostile, line 3: division by zero");
  EXPECT_EQ(error_of("a\n\n{% if %}"),
            "hostile, line 3: expected an expression, got end of statement block");
  EXPECT_EQ(error_of("{% if 1 %}\n\n"),
            "hostile, line 2: unexpected end of template, expected {% elif or else or endif %}");
  EXPECT_EQ(error_of("\n{% include 'x' %}"),
            "hostile, line 2: {% include %} needs other templates, and there are none: a chat "
            "template stands for itself");
  EXPECT_EQ(error_of("\n{{ x.y.z }}"), "hostile, line 2: 'x' is undefined");
  EXPECT_EQ(error_of("{{ l.x.y }}"), "hostile, line 1: 'list object' has no attribute 'x'");
}

TEST(JinjaLimits, JsonIsBounded) {
  EXPECT_FALSE(jinja::parse_json(repeated("[", 100000), "it"));
  EXPECT_FALSE(jinja::parse_json("123456789012345678901", "it"));
  EXPECT_FALSE(jinja::parse_json("{\"a\": \"\xFF\"}", "it"));
  EXPECT_FALSE(jinja::parse_json("", "it"));
  EXPECT_EQ(jinja::parse_json("{\"a\": 1,}", "it").error().message.substr(0, 24),
            "it: expected JSON: parse");
}

}  // namespace
}  // namespace ridgeline
