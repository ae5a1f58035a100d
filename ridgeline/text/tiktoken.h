#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

/// Whether `bytes` look like a tiktoken rank file rather than a SentencePiece model: both
/// are called tokenizer.model.
bool looks_like_tiktoken(std::string_view bytes);

/// A byte-level vocabulary from tiktoken's rank file, as Llama 3's original folder has it:
/// a line for each token, its bytes in base64 and its rank, which is its id. The merges,
/// which the file leaves out, are all pairs of tokens that make up a token, those of the
/// lower result first: so merging them is what tiktoken does by ranks. `special_tokens`,
/// which the file leaves out too, get the ids behind the last. Errors: a line that is not
/// so, ranks that are not 0, 1, 2 ..., a token of more than 512 bytes.
Result<VocabularyData> read_tiktoken(std::string_view bytes, std::string_view pre_tokenizer,
                                     const std::vector<std::string>& special_tokens);

}  // namespace ridgeline
