#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "ridgeline/text/chat_template.h"
#include "ridgeline/text/tool_calls/output_parser.h"
#include "ridgeline/text/tool_calls/tool_call_format.h"

namespace ridgeline {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Format = ToolCallFormat;

struct Call {
  std::string name, arguments;
  bool operator==(const Call&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Call& call) {
  return out << call.name << '(' << call.arguments << ')';
}

struct Said {
  std::string reasoning, content;
  std::vector<Call> calls;
  bool operator==(const Said&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Said& said) {
  out << "reasoning '" << said.reasoning << "' content '" << said.content << "' calls";
  for (const Call& call : said.calls) out << ' ' << call;
  return out;
}

void add(Said& said, const std::vector<OutputPiece>& pieces) {
  for (const OutputPiece& piece : pieces) {
    switch (piece.kind) {
      case OutputPiece::Kind::kReasoning:
        said.reasoning += piece.text;
        break;
      case OutputPiece::Kind::kContent:
        said.content += piece.text;
        break;
      case OutputPiece::Kind::kToolCall:
        if (!piece.call_name.empty()) said.calls.push_back({piece.call_name, ""});
        ASSERT_EQ(piece.call, static_cast<int>(said.calls.size()) - 1);
        said.calls.back().arguments += piece.text;
    }
  }
}

OutputFormat format_of(Format calls) {
  OutputFormat format;
  format.calls = calls;
  format.functions = {
      {"f",
       R"({"type": "object", "properties": {"s": {"type": "string"}, "n": {"type": "integer"},)"
       R"( "b": {"type": "boolean"}, "o": {"type": "object"}}})"},
      {"get_weather", ""}};
  return format;
}

/// The pieces of `text` in chunks of these lengths, the last one over and over.
Said parse(const OutputFormat& format, std::string_view text,
           const std::vector<std::size_t>& chunks) {
  const auto parser = make_output_parser(format);
  Said said;
  for (std::size_t i = 0; !text.empty(); ++i) {
    const std::size_t length = std::min(text.size(), chunks[std::min(i, chunks.size() - 1)]);
    add(said, parser->push(text.substr(0, length)));
    text.remove_prefix(length);
  }
  add(said, parser->finish());
  return said;
}

/// What is said does not depend on where it was cut.
Said parse(const OutputFormat& format, std::string_view text) {
  const Said whole = parse(format, text, {text.size() + 1});
  for (std::size_t cut = 1; cut < text.size(); ++cut)
    EXPECT_EQ(parse(format, text, {cut, text.size()}), whole) << "cut at " << cut << ": " << text;
  for (std::size_t length = 1; length < 8; ++length)
    EXPECT_EQ(parse(format, text, {length}), whole) << "chunks of " << length << ": " << text;
  return whole;
}
Said parse(Format format, std::string_view text) { return parse(format_of(format), text); }

TEST(ToolCalls, HermesTakesCallsOutOfTheText) {
  const Said said =
      parse(Format::kHermes,
            "I look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"s\": \"a}\\\"<\"}}"
            "\n</tool_call>\n<tool_call>{\"name\":\"get_weather\",\"arguments\":{}}"
            "</tool_call>");
  EXPECT_EQ(said.content, "I look.");
  EXPECT_THAT(said.calls, ElementsAre(Call{"f", R"({"s": "a}\"<"})"}, Call{"get_weather", "{}"}));
}

TEST(ToolCalls, HermesOrderAndSpellingOfTheObjectDoNotMatter) {
  const Call expected{"f", R"({"n": [1, {"x": 2}]})"};
  for (const char* object : {
           R"({"arguments": {"n": [1, {"x": 2}]}, "name": "f"})",
           R"({"id": 7, "type": "function", "name": "f", "parameters": {"n": [1, {"x": 2}]}})",
           R"({ "name" : "f" , "arguments" : {"n": [1, {"x": 2}]} , "more" : null })",
           R"({"name": "f", "arguments": "{\"n\": [1, {\"x\": 2}]}"})",
       }) {
    const Said said = parse(Format::kHermes, std::string("<tool_call>") + object + "</tool_call>");
    EXPECT_EQ(said.content, "");
    EXPECT_THAT(said.calls, ElementsAre(expected)) << object;
  }
  EXPECT_THAT(
      parse(Format::kHermes, R"(<tool_call>{"name": "f", "arguments": null}</tool_call>)").calls,
      ElementsAre(Call{"f", "{}"}));
  EXPECT_THAT(parse(Format::kHermes, R"(<tool_call>{"name": "f"}</tool_call>)").calls,
              ElementsAre(Call{"f", "{}"}));
}

TEST(ToolCalls, WhatIsNoCallIsContentToTheByte) {
  const std::pair<Format, const char*> kTexts[] = {
      {Format::kHermes, "a < b, <tool_cal, and <<tool_call"},
      {Format::kHermes, "<tool_call> is a tag"},
      {Format::kHermes, " \n<tool_call>\n{\"nam"},
      {Format::kHermes, "<tool_call>{\"arguments\": {\"a\": 1}}</tool_call> x"},
      {Format::kHermes, "<tool_call>{\"name\": 7}</tool_call>"},
      {Format::kHermes, "trailing space \n "},
      {Format::kLlama3, "{\"answer\": 42}"},
      {Format::kLlama3, "  {\"name\": \"John\", \"parameters\": {}}"},
      {Format::kLlama3, "{\"name\": \"f\"}"},
      {Format::kLlama3, "text {\"name\": \"f\", \"parameters\": {}}"},
      {Format::kLlama3, "  "},
      {Format::kMistral, "[TOOL_CALLS] are [TOOL_CALLS]"},
      {Format::kMistral, "see [1], [TOOL"},
      {Format::kMistral, "[TOOL_CALLS]name only"},
      {Format::kMistral, "[TOOL_CALLS][{\"name\": 1}]"},
      {Format::kQwenCoder, "<tool_call>\n<func>x</func>"},
      {Format::kQwenCoder, "<tool_call>\n<function=f"},
  };
  for (const auto& [format, text] : kTexts) {
    const Said said = parse(format, text);
    EXPECT_EQ(said.content, text);
    EXPECT_THAT(said.calls, IsEmpty()) << text;
  }
}

TEST(ToolCalls, ACallThatIsCutOffKeepsWhatThereIs) {
  EXPECT_THAT(parse(Format::kHermes, R"(<tool_call>{"name": "f", "arguments": {"s": "ab)").calls,
              ElementsAre(Call{"f", R"({"s": "ab)"}));
  EXPECT_THAT(parse(Format::kMistral, R"([TOOL_CALLS]f[ARGS]{"s": "ab)").calls,
              ElementsAre(Call{"f", R"({"s": "ab)"}));
}

TEST(ToolCalls, BracketsThatDoNotFitStayInTheArguments) {
  const Said said = parse(
      Format::kHermes, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": [1}} </tool_call> end");
  EXPECT_THAT(said.calls, ElementsAre(Call{"f", "{\"a\": [1}}"}));
  EXPECT_EQ(said.content, " end");
}

TEST(ToolCalls, AMissingEndTagDoesNotSwallowTheText) {
  const Said said =
      parse(Format::kHermes, R"(<tool_call>{"name": "f", "arguments": {}} </x> done)");
  EXPECT_THAT(said.calls, ElementsAre(Call{"f", "{}"}));
  EXPECT_EQ(said.content, " </x> done");
}

TEST(ToolCalls, Llama3) {
  EXPECT_THAT(parse(Format::kLlama3, R"({"name": "f", "parameters": {"n": 1}})").calls,
              ElementsAre(Call{"f", R"({"n": 1})"}));
  const Said two =
      parse(Format::kLlama3,
            "<|python_tag|>{\"type\": \"function\", \"name\": \"f\", \"parameters\": {}}; "
            "{\"name\": \"get_weather\", \"parameters\": {}}");
  EXPECT_THAT(two.calls, ElementsAre(Call{"f", "{}"}, Call{"get_weather", "{}"}));
  EXPECT_EQ(two.content, "");
  const Said behind =
      parse(Format::kLlama3, R"(Wait.<|python_tag|>{"name": "f", "parameters": {}})");
  EXPECT_EQ(behind.content, "Wait.");
  EXPECT_THAT(behind.calls, ElementsAre(Call{"f", "{}"}));
}

TEST(ToolCalls, MistralInBothFormats) {
  for (
      const char* text : {
          R"([TOOL_CALLS][{"name": "f", "arguments": {"n": 1}}, {"name": "get_weather", "arguments": {}}])",
          R"([TOOL_CALLS] [{"name": "f", "arguments": {"n": 1}},{"name": "get_weather", "arguments": {}}])",
          R"([TOOL_CALLS]f[ARGS]{"n": 1}[TOOL_CALLS]get_weather[ARGS]{})",
          R"([TOOL_CALLS]f[CALL_ID]abcdefghi[ARGS]{"n": 1}[TOOL_CALLS]get_weather{})",
      }) {
    const Said said = parse(Format::kMistral, text);
    EXPECT_THAT(said.calls, ElementsAre(Call{"f", R"({"n": 1})"}, Call{"get_weather", "{}"}))
        << text;
    EXPECT_EQ(said.content, "") << text;
  }
}

TEST(ToolCalls, QwenCoderReadsValuesByTheirTypes) {
  const Said said = parse(Format::kQwenCoder,
                          "Now.\n<tool_call>\n<function=f>\n<parameter=s>\n12\n</parameter>\n"
                          "<parameter=n>\n7\n</parameter>\n<parameter=b>\nTrue\n</parameter>\n"
                          "<parameter=o>\n{\"a\": [1]}\n</parameter>\n</function>\n</tool_call>");
  EXPECT_EQ(said.content, "Now.");
  EXPECT_THAT(said.calls,
              ElementsAre(Call{"f", R"({"s": "12", "n": 7, "b": true, "o": {"a":[1]}})"}));
  const Said many =
      parse(Format::kQwenCoder,
            "<tool_call><function=f><parameter=s>\na <b>\n</c>\n</parameter></function>"
            "</tool_call><tool_call><function=get_weather></function></tool_call>");
  EXPECT_THAT(many.calls,
              ElementsAre(Call{"f", R"({"s": "a <b>\n</c>"})"}, Call{"get_weather", "{}"}));
}

TEST(ToolCalls, ReasoningIsSplitOffFirst) {
  OutputFormat format = format_of(Format::kHermes);
  format.thinking_open = "<think>";
  format.thinking_close = "</think>";
  const Said said = parse(format,
                          "<think>\nA <tool_call> maybe.\n</think>\n\nYes.<tool_call>"
                          "{\"name\": \"f\", \"arguments\": {}}</tool_call>");
  EXPECT_EQ(said, (Said{"A <tool_call> maybe.", "Yes.", {{"f", "{}"}}}));
  format.inside_thinking = true;
  EXPECT_EQ(parse(format, "hm</think>so"), (Said{"hm", "so", {}}));
}

TEST(ToolCalls, ControlTokensBeginCallsToo) {
  const auto parser = make_output_parser(format_of(Format::kMistralArgs));
  Said said;
  add(said, parser->push("Look:"));
  add(said, parser->control("[TOOL_CALLS]"));
  add(said, parser->push("f"));
  add(said, parser->control("[ARGS]"));
  add(said, parser->push("{\"n\""));
  add(said, parser->push(": 1}"));
  add(said, parser->control("<unused>"));
  add(said, parser->finish());
  EXPECT_EQ(said, (Said{"", "Look:", {{"f", "{\"n\": 1}"}}}));
}

TEST(ToolCalls, HarmonyHasChannels) {
  OutputFormat format = format_of(Format::kHarmony);
  format.harmony = true;
  const auto parser = make_output_parser(format);
  Said said;
  const std::string_view kParts[] = {"<|channel|>",   "analysis",
                                     "<|message|>",   "Need ",
                                     "weather.",      "<|end|>",
                                     "<|start|>",     "assistant",
                                     "<|channel|>",   "commentary to=functions.get_weather ",
                                     "<|constrain|>", "json",
                                     "<|message|>",   "{\"city\"",
                                     ": \"Rome\"}",   "<|call|>",
                                     "<|start|>",     "assistant to=functions.f",
                                     "<|channel|>",   "commentary",
                                     "<|message|>",   "{}",
                                     "<|call|>",      "<|start|>",
                                     "assistant",     "<|channel|>",
                                     "final",         "<|message|>",
                                     "Done."};
  for (const std::string_view part : kParts)
    add(said, part.starts_with("<|") ? parser->control(part) : parser->push(part));
  EXPECT_EQ(
      said,
      (Said{"Need weather.", "Done.", {{"get_weather", "{\"city\": \"Rome\"}"}, {"f", "{}"}}}));
}

/// Fragments of all formats in random order, cut at random: always the same, never a crash,
/// and every byte that is not a call's is content.
TEST(ToolCalls, AnyTextAnyCutsTheSameOutcome) {
  const std::string_view kFragments[] = {"<tool_call>",
                                         "</tool_call>",
                                         "{",
                                         "}",
                                         "\"name\"",
                                         ": ",
                                         "\"f\"",
                                         ",",
                                         "\"arguments\"",
                                         "\"parameters\"",
                                         "[",
                                         "]",
                                         "\"\\\"\"",
                                         " ",
                                         "\n",
                                         "[TOOL_CALLS]",
                                         "[ARGS]",
                                         "<|python_tag|>",
                                         "<function=f>",
                                         "</function>",
                                         "<parameter=s>",
                                         "</parameter>",
                                         "12",
                                         "null",
                                         "<think>",
                                         "</think>",
                                         ";",
                                         "é",
                                         R"({"name": "f", "arguments": {"n": 1}})",
                                         "f",
                                         "<",
                                         "\""};
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  for (const Format f : {Format::kHermes, Format::kLlama3, Format::kMistral, Format::kQwenCoder}) {
    OutputFormat format = format_of(f);
    for (int round = 0; round < 4000; ++round) {
      std::string text;
      for (std::size_t n = below(14); n > 0; --n) text += kFragments[below(std::size(kFragments))];
      const Said whole = parse(format, text, {text.size() + 1});
      std::vector<std::size_t> cuts;
      for (int i = 0; i < 20; ++i) cuts.push_back(1 + below(9));
      ASSERT_EQ(parse(format, text, cuts), whole) << text;
      ASSERT_EQ(parse(format, text, {1}), whole) << text;
      if (whole.calls.empty() && f != Format::kLlama3) {
        ASSERT_EQ(whole.content, text);
      }
    }
  }
}

TEST(ToolCalls, DetectedByTheTemplate) {
  const auto detect = [](std::string source) {
    return detect_tool_call_format(*ChatTemplate::parse(std::move(source), "", "", "test"));
  };
  EXPECT_EQ(detect("{{ '<tool_call>' }}"), Format::kHermes);
  EXPECT_EQ(detect("{{ '<tool_call><function=' }}{{ '<parameter=' }}"), Format::kQwenCoder);
  EXPECT_EQ(detect("{{ '[TOOL_CALLS]' }}"), Format::kMistral);
  EXPECT_EQ(detect("{{ '[TOOL_CALLS]' }}{{ '[ARGS]' }}"), Format::kMistralArgs);
  EXPECT_EQ(detect("{{ '<|python_tag|>' }}"), Format::kLlama3);
  EXPECT_EQ(detect("{{ '<|start_header_id|>' }}{{ '\"parameters\": ' }}"), Format::kLlama3);
  EXPECT_EQ(detect("{{ '<|channel|>' }}{{ '<|call|>' }}"), Format::kHarmony);
  EXPECT_EQ(detect("{{ messages[0].content }}"), Format::kNone);
  for (const Format f : {Format::kHermes, Format::kLlama3, Format::kMistral, Format::kMistralArgs,
                         Format::kQwenCoder, Format::kHarmony})
    EXPECT_EQ(tool_call_format_from_name(name(f)), f);
  EXPECT_EQ(tool_call_format_from_name("pythonic"), std::nullopt);
}

}  // namespace
}  // namespace ridgeline
