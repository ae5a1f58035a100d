#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "ridgeline/text/chat_template.h"
#include "ridgeline/text/utf8.h"

// A template, and behind a byte 0 the conversation if there is one: whatever they are, a
// prompt is rendered or an error given, within the limits, and the same again.
namespace {

using namespace ridgeline;

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

constexpr const char* kConversation =
    R"([{"role": "system", "content": "Be brief."}, {"role": "user", "content": [)"
    R"({"type": "text", "text": "\u00e9 <b>"}]}, {"role": "assistant", "content": "", )"
    R"("reasoning": "Hm", "tool_calls": [{"function": {"name": "f", "arguments": {"x": [1, )"
    R"(2.5, null, true]}}}]}, {"role": "tool", "content": "out"}])";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  const std::size_t end = input.find('\0');
  const auto parsed =
      ChatTemplate::parse(std::string(input.substr(0, end)), "<s>", "</s>", "the template");
  if (!parsed) {
    require(parsed.error().message.starts_with("the template"), "an error has a sentence");
    return 0;
  }
  ChatInput chat;
  chat.messages = end == input.npos ? kConversation : input.substr(end + 1);
  chat.tools = R"([{"type": "function", "function": {"name": "f", "parameters": {}}}])";
  jinja::Limits limits;  // as an instrumented program on one core can bear them
  limits.steps = 200'000;
  limits.memory_bytes = std::size_t{16} << 20;
  limits.depth = 300;
  const auto clock = [] { return jinja::LocalTime(); };
  const auto first = parsed->render(chat, limits, clock);
  const auto second = parsed->render(chat, limits, clock);
  require(first.has_value() == second.has_value(), "rendering gives the same again");
  if (first) {
    require(*first == *second, "rendering gives the same text again");
    require(first->size() <= limits.memory_bytes, "the text is within the limit");
  } else {
    require(!first.error().message.empty(), "an error has a sentence");
    require(first.error().message == second.error().message, "the same error again");
  }
  return 0;
}
