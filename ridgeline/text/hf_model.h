#pragma once

#include <memory>

#include "ridgeline/base/result.h"
#include "ridgeline/text/hf_pre_tokenizer.h"
#include "ridgeline/text/text_encoder.h"
#include "ridgeline/text/token_index.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

struct HfTokenizerJson;

/// tokenizer.json's "model": from a word, which is valid UTF-8, to ids.
class HfModel : public TextEncoder {
 public:
  /// Appends the ids of bytes that are no UTF-8; false if the model has none for bytes.
  virtual bool encode_bytes(std::string_view, std::vector<TokenId>&) const { return false; }
};

enum class HfModelType { kBpe, kUnigram, kWordPiece, kWordLevel };
/// Errors: a type that is not supported (the sentence lists those that are).
Result<HfModelType> hf_model_type(const HfTokenizerJson& file);

/// `data` has the vocabulary's tokens, `index` those of the model; both outlive it. Where
/// the pre-tokenizer's last stage writes bytes as text and the model can do without, that
/// stage is taken off. Errors: a field that cannot be used, an unknown token or a merge's
/// part that is not in the vocabulary.
Result<std::unique_ptr<const HfModel>> make_hf_model(const HfTokenizerJson& file, HfModelType type,
                                                     const VocabularyData& data,
                                                     const TokenIndex& index,
                                                     HfPreTokenizer& pre_tokenizer);

/// The byte that "<0x0A>" stands for.
std::optional<std::uint8_t> byte_of_token_text(std::string_view text);

}  // namespace ridgeline
