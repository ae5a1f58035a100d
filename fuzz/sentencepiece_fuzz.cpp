#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "ridgeline/text/sentencepiece_model.h"
#include "ridgeline/text/sentencepiece_normalizer.h"
#include "ridgeline/text/tiktoken.h"
#include "ridgeline/text/tokenizer.h"

// The files called tokenizer.model, and the charsmap within them: whatever the bytes are,
// they give an error or a vocabulary, and with that texts can be encoded.
namespace {

constexpr std::string_view kText =
    " The qu\u00efck  br\u00f6wn\n\uff21e\u0301\u0327\u200b fox\xFF ";

void use(ridgeline::Result<ridgeline::VocabularyData> data) {
  if (!data) {
    if (data.error().message.empty()) std::abort();
    return;
  }
  const auto tokenizer = ridgeline::Tokenizer::create(*std::move(data));
  if (!tokenizer) return;
  for (const ridgeline::TokenId id : (*tokenizer)->encode(kText)) {
    if ((*tokenizer)->is_valid(id)) continue;
    std::fprintf(stderr, "violated: encode() gives ids of the vocabulary\n");
    std::abort();
  }
}

}  // namespace

// The first byte says what the others are.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  switch (bytes[0] % 3) {
    case 0:
      use(ridgeline::read_sentencepiece_model(rest));
      break;
    case 1:
      use(ridgeline::read_tiktoken(rest, "gpt-4o", {"<|end|>"}));
      break;
    default: {
      const auto charsmap = ridgeline::PrecompiledCharsmap::parse(rest);
      if (!charsmap) break;
      const ridgeline::SentencePieceNormalizer normalizer(*charsmap, {});
      normalizer.normalize(kText);
      normalizer.normalize(rest);
    }
  }
  return 0;
}
