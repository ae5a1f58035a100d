#pragma once

#include <string_view>

#include "ridgeline/base/result.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

/// The vocabulary in a SentencePiece model, a "tokenizer.model" or "spiece.model" file
/// (sentencepiece_model.proto's ModelProto). Whether texts get a bos or eos token is not
/// in it. Errors: no such message; a model that is neither BPE nor unigram, or writes
/// spaces in another way than as U+2581 in front of words.
Result<VocabularyData> read_sentencepiece_model(std::string_view bytes);

}  // namespace ridgeline
