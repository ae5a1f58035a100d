#include "ridgeline/text/end_of_generation.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace ridgeline {
namespace {

struct KnownText {
  std::string_view text;
  // Some files mark such a token as user-defined, as converters do with what a
  // fine-tune has added; accepted where the text can mean nothing else.
  bool also_user_defined;
};

constexpr std::array<KnownText, 19> kKnownTexts = {{
    {"</s>", false},  // in Gemma's vocabulary an HTML tag, user-defined
    {"<eos>", false},
    {"<EOT>", false},
    {"_<EOT>", false},
    {"[EOT]", false},
    {"[EOS]", false},
    {"<|eot_id|>", true},          // Llama 3
    {"<|eom_id|>", true},          // Llama 3.1
    {"<|end_of_text|>", true},     // Llama 3, Granite
    {"<|im_end|>", true},          // ChatML, Qwen
    {"<|endoftext|>", true},       // GPT-2, Qwen
    {"<|end|>", true},             // Phi-3
    {"<|EOT|>", true},             // DeepSeek-Coder
    {"<end_of_turn>", true},       // Gemma
    {"<end_of_utterance>", true},  // SmolVLM
    {"<|fim_pad|>", false},        // Qwen2.5-Coder's ends of a filled gap or a file
    {"<|repo_name|>", false},
    {"<|file_sep|>", false},
    {"<\xEF\xBD\x9C"
     "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
     true},  // DeepSeek
}};

}  // namespace

std::vector<TokenId> end_of_generation_ids(const VocabularyData& data, const TokenIndex& index) {
  using Type = VocabularyData::TokenType;
  std::vector<TokenId> ids = data.end_ids;
  for (const std::optional<TokenId>& id : {data.eos, data.eot, data.eom}) {
    if (id) ids.push_back(*id);
  }
  for (const KnownText& known : kKnownTexts) {
    const TokenId id = index.find(known.text);
    if (id == kNoToken) continue;
    const Type type = data.type(id);
    if (type == Type::kControl || (known.also_user_defined && type == Type::kUserDefined)) {
      ids.push_back(id);
    }
  }
  // gpt-oss ends its turn by <|return|>, or by <|call|> where a tool is to answer; its <|end|>
  // only ends a message, and behind the one of its reasoning the answer follows.
  const TokenId turn_end = index.find("<|return|>"), call = index.find("<|call|>");
  if (turn_end != kNoToken && call != kNoToken) {
    std::erase(ids, index.find("<|end|>"));
    ids.insert(ids.end(), {turn_end, call});
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace ridgeline
