#pragma once

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ridgeline/text/byte_level_map.h"
#include "ridgeline/text/tokenizer.h"
#include "ridgeline/text/utf8.h"

// Vocabularies small enough to read, made here.
namespace ridgeline::testing {

using Type = VocabularyData::TokenType;

inline TokenId add_token(VocabularyData& data, std::string text, Type type, float score = 0) {
  data.tokens.push_back(std::move(text));
  data.types.push_back(type);
  if (is_sentencepiece(data.kind)) data.scores.push_back(score);
  return static_cast<TokenId>(data.tokens.size()) - 1;
}

/// <unk> <s> </s>, 256 byte tokens if wanted, then a few pieces by falling score.
inline VocabularyData small_sentencepiece(bool with_bytes = true) {
  VocabularyData data;
  data.unknown = add_token(data, "<unk>", Type::kUnknown);
  data.bos = add_token(data, "<s>", Type::kControl);
  data.eos = add_token(data, "</s>", Type::kControl);
  for (int byte = 0; with_bytes && byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", static_cast<unsigned>(byte));
    add_token(data, text, Type::kByte);
  }
  float score = 0;
  for (const char* piece : {"\u2581t", "he", "\u2581the", "in", "\u2581\u2581", "\u2581", "e", "t",
                            "h", "i", "n", "a", "c", "\u00e9", "\u4e2d"}) {
    add_token(data, piece, Type::kNormal, score--);
  }
  return data;
}

inline VocabularyData small_unigram(bool with_bytes = true) {
  VocabularyData data = small_sentencepiece(with_bytes);
  data.kind = VocabularyData::Kind::kUnigram;
  data.add_eos = false;
  return data;
}

/// All bytes, then the tokens that the merges make, then <|end|>.
inline VocabularyData small_byte_level(std::string pre_tokenizer = "gpt-2") {
  VocabularyData data;
  data.kind = VocabularyData::Kind::kByteLevelBpe;
  data.pre_tokenizer = std::move(pre_tokenizer);
  for (int byte = 0; byte < 256; ++byte) {
    std::string text;
    append_utf8(byte_level_symbol(static_cast<std::uint8_t>(byte)), text);
    add_token(data, text, Type::kNormal);
  }
  for (const char* merge : {"h e", "t he", "\u0120 the", "i n", "l l"}) {
    std::string joined = data.merges.emplace_back(merge);
    std::erase(joined, ' ');
    add_token(data, joined, Type::kNormal);
  }
  data.eos = add_token(data, "<|end|>", Type::kControl);
  return data;
}

inline std::unique_ptr<Tokenizer> make_tokenizer(VocabularyData data) {
  auto tokenizer = Tokenizer::create(std::move(data));
  if (!tokenizer) throw std::runtime_error(tokenizer.error().message);
  return *std::move(tokenizer);
}

}  // namespace ridgeline::testing
