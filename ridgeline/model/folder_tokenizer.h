#pragma once

#include <memory>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/text/hf_export.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

/// The tokenizer of a Hugging Face folder: tokenizer.json, else tokenizer.model or
/// spiece.model (SentencePiece, or tiktoken's ranks), with tokenizer_config.json and the ends
/// of generation that generation_config.json or config.json name. Errors name the file.
Result<std::unique_ptr<Tokenizer>> load_folder_tokenizer(const std::string& folder);

/// The same as a vocabulary of one of GGUF's kinds. Errors also: those of export_hf_tokenizer().
Result<ExportedVocabulary> export_folder_tokenizer(const std::string& folder);

}  // namespace ridgeline
