#pragma once

#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ridgeline/engine/request.h"
#include "ridgeline/server/openai/served_model.h"
#include "tests/text/small_vocabularies.h"

// A model without an engine: a tokenizer that has a token for every byte, and what an engine
// would say of it.
namespace ridgeline::openai::testing {

using Json = nlohmann::ordered_json;

inline constexpr const char* kHermesTemplate =
    "{% if tools %}{% for t in tools %}<tool_call>{{ t | tojson }}{% endfor %}{% endif %}"
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
    "{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% if think %}<think>{% endif %}{% endif %}";

class Fixture {
 public:
  explicit Fixture(const std::string& chat_template = kHermesTemplate) {
    tokenizer = ridgeline::testing::make_tokenizer(ridgeline::testing::small_byte_level());
    served.tokenizer = tokenizer.get();
    served.context = 1000;
    served.names = {"test-model", "alias"};
    served.fingerprint = "fp";
    served.embedding_size = 4;
    auto parsed = ChatTemplate::parse(chat_template, "", "", "test");
    if (!adopt_chat_template(served, *std::move(parsed), "")) std::abort();
  }

  std::unique_ptr<Tokenizer> tokenizer;
  ServedModel served;

  /// The events that bring `text`, token by token, with its end.
  std::vector<TokenEvent> events(const std::string& text, int choice = 0,
                                 FinishReason reason = FinishReason::kStop) const {
    std::vector<TokenEvent> events;
    for (const TokenId id : tokenizer->encode(text)) {
      TokenEvent event;
      event.request = 1;
      event.choice = choice;
      event.token = id;
      event.text = tokenizer->piece(id);
      event.logprobs = TokenLogprobs{{id, -0.5F, 1}, {{id, -0.5F, 1}, {65, -1.5F, 2}}};
      events.push_back(std::move(event));
    }
    if (reason == FinishReason::kLength && !events.empty()) {
      events.back().finished = reason;
    } else {
      TokenEvent end;
      end.choice = choice;
      end.token = tokenizer->find("<|end|>");
      end.finished = reason;
      events.push_back(std::move(end));
    }
    return events;
  }
};

/// The objects of a stream of server-sent events.
inline std::vector<Json> sse(const std::string& stream) {
  std::vector<Json> events;
  for (std::size_t at = 0; at < stream.size();) {
    const std::size_t end = stream.find("\n\n", at);
    const std::string block = stream.substr(at, end - at);
    const std::size_t data = block.find("data: ");
    const std::string text = block.substr(data + 6);
    if (text != "[DONE]") events.push_back(Json::parse(text));
    at = end + 2;
  }
  return events;
}

}  // namespace ridgeline::openai::testing
