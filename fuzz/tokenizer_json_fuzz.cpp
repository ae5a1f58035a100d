#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/text/hf_tokenizer.h"
#include "ridgeline/text/utf8.h"

// A tokenizer.json, and behind the first NUL, if there is one, a text: whatever they are,
// a tokenizer is made or an error given, and what the header promises holds.
namespace {

using ridgeline::TokenId;
using ridgeline::Tokenizer;
using Type = ridgeline::VocabularyData::TokenType;

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

void check(const Tokenizer& tokenizer, std::string_view text, bool parse_special) {
  const Tokenizer::EncodeOptions options = {
      .parse_special = parse_special, .add_bos = false, .add_eos = false};
  const std::vector<TokenId> ids = tokenizer.encode(text, options);
  for (const TokenId id : ids) {
    require(tokenizer.is_valid(id), "encode() gives ids of the vocabulary");
    require(parse_special || tokenizer.data().type(id) != Type::kControl ||
                id == tokenizer.data().unknown,
            "control tokens do not come out of plain text");
  }
  require(ids == tokenizer.encode(text, options), "encode() gives the same again");
  tokenizer.decode(ids, true);
  ridgeline::StreamingDetokenizer stream(tokenizer, true);
  const auto is_whole = [](const std::string& part) {
    return ridgeline::utf8_valid_prefix_bytes(part) == part.size();
  };
  for (const TokenId id : ids) require(is_whole(stream.push(id)), "push() gives whole characters");
  require(is_whole(stream.finish()), "finish() gives whole characters");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  const std::size_t end = std::min(input.find('\0'), size);
  const auto tokenizer = ridgeline::load_hf_tokenizer(input.substr(0, end), "", "x");
  if (!tokenizer) {
    require(tokenizer.error().message.size() > 3, "an error has a sentence");
    return 0;
  }
  const std::string_view text =
      end < size ? input.substr(end + 1) : "Hello  w\xC3\xB6rld <s>\n\n123 \xE4\xB8\xAD\xFF";
  check(**tokenizer, text, false);
  check(**tokenizer, text, true);
  return 0;
}
