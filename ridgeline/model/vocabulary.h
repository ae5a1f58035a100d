#pragma once

#include <memory>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

/// The vocabulary that a GGUF file carries (tokenizer.ggml.*). Errors name the file
/// and the key.
Result<VocabularyData> read_vocabulary(const Checkpoint& file);
Result<std::unique_ptr<Tokenizer>> load_tokenizer(const Checkpoint& file);

}  // namespace ridgeline
