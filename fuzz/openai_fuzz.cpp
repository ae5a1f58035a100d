#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

#include "ridgeline/server/openai/chat_plan.h"
#include "ridgeline/server/openai/completion_request.h"
#include "ridgeline/server/openai/embedding_endpoint.h"
#include "ridgeline/server/openai/responses_request.h"
#include "ridgeline/server/openai/tokenize_endpoint.h"
#include "tests/text/small_vocabularies.h"

// A request's body, whatever it is: every endpoint reads it, or says what is wrong with it.
namespace {

using namespace ridgeline;
using namespace ridgeline::openai;

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

struct Model {
  Model() : tokenizer(testing::make_tokenizer(testing::small_byte_level())) {
    served.tokenizer = tokenizer.get();
    served.context = 1000;
    served.names = {"m"};
    served.embedding_size = 8;
    auto chat = ChatTemplate::parse(
        "{% if tools %}<tool_call>{{ tools | tojson }}{% endif %}{% for m in messages %}"
        "{{ m.role }}: {{ m.content }}{% endfor %}{% if think %}<think>{% endif %}",
        "", "", "the template");
    require(adopt_chat_template(served, *std::move(chat), "").has_value(), "the template is fine");
  }
  std::unique_ptr<Tokenizer> tokenizer;
  ServedModel served;
};

template <class T>
bool answered(const Checked<T>& result) {
  if (result) return true;
  require(result.error().status == 400 || result.error().status == 404, "an error of the client");
  require(!result.error().message.empty(), "an error has a sentence");
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const Model model;
  static GrammarCache grammars(8);
  const Checked<Json> body =
      parse_body(std::string_view(reinterpret_cast<const char*>(bytes), size));
  if (!answered(body)) return 0;
  const Checked<ChatRequest> chat = read_chat_request(*body, model.served);
  if (answered(chat)) answered(plan_chat(*chat, model.served, grammars));
  answered(read_completion_request(*body, model.served));
  answered(read_embedding_request(*body, model.served));
  answered(read_responses_request(*body, model.served));
  answered(tokenize(*body, model.served));
  answered(detokenize(*body, model.served));
  return 0;
}
