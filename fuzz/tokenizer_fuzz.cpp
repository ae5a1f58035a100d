#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "ridgeline/text/byte_level_map.h"
#include "ridgeline/text/tokenizer.h"
#include "ridgeline/text/utf8.h"

// A vocabulary and a text out of the input's bytes: whatever they are, a tokenizer is
// made or an error given, and what the header promises of its results holds.
namespace {

using ridgeline::TokenId;
using ridgeline::Tokenizer;
using ridgeline::VocabularyData;
using Kind = VocabularyData::Kind;
using Type = VocabularyData::TokenType;

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

void add_token(VocabularyData& data, std::string text, Type type, float score) {
  data.tokens.push_back(std::move(text));
  data.types.push_back(type);
  data.scores.push_back(score);
}

void add_bytes(VocabularyData& data) {
  for (int byte = 0; byte < 256; ++byte) {
    if (data.kind == Kind::kByteLevelBpe) {
      std::string text;
      ridgeline::append_utf8(ridgeline::byte_level_symbol(static_cast<std::uint8_t>(byte)), text);
      add_token(data, text, Type::kNormal, 0);
    } else {
      char text[8];
      std::snprintf(text, sizeof text, "<0x%02X>", static_cast<unsigned>(byte));
      add_token(data, text, Type::kByte, 0);
    }
  }
}

VocabularyData make_vocabulary(FuzzedDataProvider& input, bool with_bytes) {
  VocabularyData data;
  const Kind kinds[] = {Kind::kByteLevelBpe, Kind::kSentencePieceBpe, Kind::kUnigram,
                        Kind::kWordPiece};
  data.kind = input.PickValueInArray(kinds);
  const char* const names[] = {"",       "gpt-2",  "llama-bpe",  "qwen2",       "deepseek-llm",
                               "smollm", "tekken", "gpt-4o",     "deepseek-v3", "kimi-k2",
                               "afmoe",  "jais-2", "exaone-moe", "chameleon",   "none"};
  data.pre_tokenizer = input.PickValueInArray(names);
  if (with_bytes) add_bytes(data);
  // Every unigram model has the space; without it, U+2581 is made of bytes.
  if (with_bytes && data.kind == Kind::kUnigram) add_token(data, "\xE2\x96\x81", Type::kNormal, 0);
  const Type plain[] = {Type::kNormal, Type::kControl, Type::kUserDefined, Type::kUnused};
  for (int i = input.ConsumeIntegralInRange(0, 40); i > 0; --i) {
    const Type type = with_bytes ? input.PickValueInArray(plain)
                                 : static_cast<Type>(input.ConsumeIntegralInRange(0, 8));
    const auto score = input.ConsumeFloatingPoint<float>();
    add_token(data, input.ConsumeRandomLengthString(12), type, score);
  }
  for (int i = input.ConsumeIntegralInRange(0, 20); i > 0 && !data.tokens.empty(); --i) {
    // Mostly merges that fit, else no tokenizer would ever be made.
    const std::size_t last = data.tokens.size() - 1;
    const std::string left = data.tokens[input.ConsumeIntegralInRange<std::size_t>(0, last)];
    const std::string right = data.tokens[input.ConsumeIntegralInRange<std::size_t>(0, last)];
    data.merges.push_back(input.ConsumeBool() ? input.ConsumeRandomLengthString(8)
                                              : left + " " + right);
    if (input.ConsumeBool()) add_token(data, left + right, Type::kNormal, 0);
  }
  const auto id = [&input]() -> std::optional<TokenId> {
    if (input.ConsumeBool()) return std::nullopt;
    return input.ConsumeIntegralInRange<TokenId>(-2, 300);
  };
  data.bos = id();
  data.eos = id();
  if (!with_bytes) data.unknown = id();
  if (input.ConsumeBool()) data.add_bos = input.ConsumeBool();
  if (input.ConsumeBool()) data.add_space_prefix = input.ConsumeBool();
  if (input.ConsumeBool()) data.lowercase = input.ConsumeBool();
  if (input.ConsumeBool()) data.strip_accents = input.ConsumeBool();
  if (!with_bytes && input.ConsumeBool()) data.remove_extra_whitespaces = input.ConsumeBool();
  return data;
}

void check_stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  ridgeline::StreamingDetokenizer stream(tokenizer, true);
  const auto is_whole = [](const std::string& text) {
    return ridgeline::utf8_valid_prefix_bytes(text) == text.size();
  };
  for (const TokenId id : ids) require(is_whole(stream.push(id)), "push() gives whole characters");
  require(is_whole(stream.finish()), "finish() gives whole characters");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  FuzzedDataProvider input(bytes, size);
  const bool with_bytes = input.ConsumeBool();
  VocabularyData data = make_vocabulary(input, with_bytes);
  const Kind kind = data.kind;
  auto created = Tokenizer::create(std::move(data));
  if (!created) {
    require(!created.error().message.empty(), "an error has a sentence");
    return 0;
  }
  const Tokenizer& tokenizer = **created;
  Tokenizer::EncodeOptions options;
  options.parse_special = input.ConsumeBool();
  options.add_bos = false;
  options.add_eos = false;
  const std::string text = input.ConsumeRemainingBytesAsString();
  const std::vector<TokenId> ids = tokenizer.encode(text, options);
  for (const TokenId id : ids) {
    require(tokenizer.is_valid(id), "encode() gives ids of the vocabulary");
    require(options.parse_special || tokenizer.data().type(id) != Type::kControl ||
                id == tokenizer.data().unknown,
            "control tokens do not come out of plain text");
  }
  require(ids == tokenizer.encode(text, options), "encode() gives the same again");
  const std::string decoded = tokenizer.decode(ids, true);
  // SentencePiece cannot tell U+2581 from a space, and WordPiece gives few texts back.
  if (with_bytes && kind != Kind::kWordPiece &&
      (kind == Kind::kByteLevelBpe || text.find("\xE2\x96\x81") == std::string::npos)) {
    require(decoded == text, "decode() gives back what encode() was given");
  }
  check_stream(tokenizer, ids);
  return 0;
}
