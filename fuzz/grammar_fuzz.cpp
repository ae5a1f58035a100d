#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/text/grammar/grammar.h"

// The first byte says what the rest is: a JSON schema ('s'), a regular expression ('r'), GBNF
// ('g') or what ends free text; behind a byte 0 there is a text. Whatever they are, there is a
// grammar or a sentence; and a mask's bits are the tokens that are accepted, with one left as
// long as the text may not end.
namespace {

using namespace ridgeline;

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

std::shared_ptr<const GrammarVocabulary> vocabulary() {
  static const auto made = [] {
    std::vector<std::string> pieces;
    for (int i = 0; i < 256; ++i) pieces.emplace_back(1, static_cast<char>(i));
    for (const char* piece : {"\":", "\",\"", "{\"", "\"}", "ab", "00", "\xC3", "\\u00", "<end>"}) {
      pieces.emplace_back(piece);
    }
    const auto end = static_cast<TokenId>(pieces.size() - 1);
    return std::make_shared<const GrammarVocabulary>(pieces, std::vector<TokenId>{},
                                                     std::vector<TokenId>{end});
  }();
  return made;
}

Result<Grammar::Ptr> compile(char kind, std::string_view source) {
  switch (kind) {
    case 's':
      return Grammar::from_json_schema(source);
    case 'r':
      return Grammar::from_regex(source);
    case 'g':
      return Grammar::from_gbnf(source);
    default:
      return Grammar::free_text_until(source);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  const std::size_t end = input.find('\0');
  const auto grammar = compile(input[0], input.substr(1, end == input.npos ? end : end - 1));
  if (!grammar) {
    require(!grammar.error().message.empty(), "an error has a sentence");
    return 0;
  }
  GrammarMatcher matcher(*grammar, vocabulary());
  std::vector<std::uint32_t> mask(vocabulary()->mask_words());
  std::string_view text = end == input.npos ? std::string_view() : input.substr(end + 1);
  for (text = text.substr(0, 64);; text.remove_prefix(1)) {
    matcher.allowed(mask);
    for (TokenId t = 0; t < vocabulary()->size(); ++t) {
      const bool is_set = (mask[static_cast<std::size_t>(t) / 32] >> (t % 32) & 1) != 0;
      require(GrammarMatcher(matcher).accept(t) == is_set, "a bit is set where accept() succeeds");
    }
    if (text.empty() || !matcher.accept(static_cast<unsigned char>(text[0]))) return 0;
  }
}
