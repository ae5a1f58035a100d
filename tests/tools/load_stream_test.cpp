// Streamed answers, cut anywhere, and what is read out of them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ridgeline/tools/load/completion_stream.h"
#include "ridgeline/tools/load/sse_parser.h"
#include "tests/support/fake_llm.h"

namespace ridgeline::load {
namespace {

using test::text_event;
using test::usage_event;
using testing::ElementsAre;
using testing::HasSubstr;

using Event = std::pair<std::string, std::string>;

/// The events of `text` in pieces of `size` bytes.
std::vector<Event> events(std::string_view text, std::size_t size) {
  std::vector<Event> list;
  SseParser parser(
      [&](std::string_view kind, std::string_view data) { list.emplace_back(kind, data); });
  for (; !text.empty(); text.remove_prefix(std::min(size, text.size())))
    EXPECT_TRUE(parser.push(text.substr(0, size)));
  return list;
}

TEST(SseParser, GivesTheSameEventsHoweverTheBytesAreCut) {
  const std::string text =
      ": comment\r\n\r\ndata: one\r\ndata:two\r\n\r\nevent: named\rdata:  three\r\rid: 7\ndata: "
      "ø\n\n\n\nevent: without data\n\ndata\n\nerror: {\"code\": 500}\n\ndata: unfinished\n";
  for (std::size_t size = 1; size <= text.size(); ++size)
    EXPECT_THAT(events(text, size),
                ElementsAre(Event("", "one\ntwo"), Event("named", " three"), Event("", "ø"),
                            Event("", ""), Event("error", "{\"code\": 500}")))
        << size;
}

TEST(SseParser, AnEventWithoutEndIsGivenUp) {
  SseParser parser([](std::string_view, std::string_view) { FAIL(); });
  const std::string piece(1 << 20, 'x');
  int pieces = 0;
  while (parser.push(pieces == 0 ? "data: " : piece) && pieces < 100) ++pieces;
  EXPECT_LT(pieces, 20);
  EXPECT_FALSE(parser.push("\n\n"));
}

/// A whole answer, byte by byte, a millisecond apart.
RequestRecord read(const std::string& body, Endpoint endpoint = Endpoint::kCompletions,
                   long status = 200, const char* type = "text/event-stream") {
  RequestRecord record;
  CompletionStream stream(endpoint, record);
  stream.begin(status, type);
  for (std::size_t i = 0; i < body.size(); ++i)
    if (!stream.push({&body[i], 1}, 1e-3 * static_cast<double>(i))) break;
  stream.end();
  return record;
}

TEST(CompletionStream, ReadsTextTimesAndUsage) {
  const std::string first = text_event("a"), second = text_event(""), third = text_event("b");
  const RequestRecord r = read(first + second + third + text_event("", "length") +
                               usage_event(7, 3, 5) + "data: [DONE]\n\n");
  EXPECT_EQ(r.failure, "");
  EXPECT_EQ(r.text, "ab");
  EXPECT_EQ(r.finish_reason, "length");
  // A token without text of its own yet counts; the end of the answer does not.
  ASSERT_EQ(r.chunk_times_s.size(), 3u);
  EXPECT_DOUBLE_EQ(r.chunk_times_s[0], 1e-3 * static_cast<double>(first.size() - 1));
  EXPECT_DOUBLE_EQ(r.chunk_times_s[1],
                   1e-3 * static_cast<double>(first.size() + second.size() - 1));
  EXPECT_TRUE(r.has_usage);
  EXPECT_EQ(r.prompt_tokens, 7);
  EXPECT_EQ(r.output_tokens, 3);
  EXPECT_EQ(r.cached_tokens, 5);
}

TEST(CompletionStream, TheRoleOfAChatIsNoToken) {
  const auto delta = [](const char* fields, const char* reason = "null") {
    return std::string("data: {\"choices\": [{\"delta\": ") + fields +
           ", \"finish_reason\": " + reason + "}]}\n\n";
  };
  const RequestRecord r =
      read(delta(R"({"role": "assistant", "content": ""})") +
               delta(R"({"reasoning_content": "hm"})") + delta(R"({"content": "Yes"})") +
               delta(R"({"tool_calls": [{"index": 0}]})") + delta("{}", "\"stop\""),
           Endpoint::kChat);
  EXPECT_EQ(r.failure, "");
  EXPECT_EQ(r.text, R"(hmYes[{"index":0}])");
  EXPECT_EQ(r.chunk_times_s.size(), 3u);
  EXPECT_FALSE(r.has_usage);
  EXPECT_EQ(r.output_tokens, 3);  // of the chunks
}

TEST(CompletionStream, SaysHowItFailed) {
  RequestRecord r = read(text_event("a") + text_event("b"));
  EXPECT_EQ(r.failure, "disconnected");
  r = read(text_event("a") + "data: {\"error\": {\"message\": \"out of luck\"}}\n\n" +
           text_event("b"));
  EXPECT_EQ(r.failure, "server error");
  EXPECT_EQ(r.failure_message, "out of luck");
  EXPECT_EQ(r.text, "a");
  r = read("error: {\"message\": \"as llama.cpp says it\"}\n\n");
  EXPECT_EQ(r.failure, "server error");
  EXPECT_EQ(r.failure_message, "as llama.cpp says it");
  r = read("data: {\"choices\": [\n\n");
  EXPECT_EQ(r.failure, "bad answer");
  r = read(text_event("", "stop") + "data: [DONE]\n\n");
  EXPECT_EQ(r.failure, "empty answer");
  r = read(R"({"choices": []})", Endpoint::kCompletions, 200, "application/json");
  EXPECT_EQ(r.failure, "bad answer");
  EXPECT_THAT(r.failure_message, HasSubstr("application/json"));
  r = read(R"({"error": {"message": "too busy"}})", Endpoint::kCompletions, 503,
           "application/json");
  EXPECT_EQ(r.failure, "http 503");
  EXPECT_EQ(r.failure_message, "too busy");
  r = read("<html>" + std::string(10'000, '.'), Endpoint::kCompletions, 404, "text/html");
  EXPECT_EQ(r.failure, "http 404");
  EXPECT_LT(r.failure_message.size(), 500u);
}

TEST(CompletionStream, TakesFieldsOfOtherTypesForMissing) {
  const RequestRecord r = read(
      "data: {\"choices\": {}, \"usage\": []}\n\ndata: {\"choices\": [3]}\n\n"
      "data: {\"choices\": [{\"text\": 5, \"finish_reason\": false}], \"usage\": "
      "{\"prompt_tokens\": \"x\", \"completion_tokens\": 1}}\n\n" +
      text_event("a", "stop"));
  EXPECT_EQ(r.failure, "");
  EXPECT_EQ(r.text, "a");
  EXPECT_FALSE(r.has_usage);
}

}  // namespace
}  // namespace ridgeline::load
