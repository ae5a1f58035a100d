#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"
#include "ridgeline/format/gguf_writer.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

/// What a GGUF file says of a model, in the types that llama.cpp expects.
struct GgufExport {
  GgufMetadata metadata;
  std::vector<std::string> notes;     ///< what is not as in the folder, as sentences
  std::shared_ptr<const void> owner;  ///< of the texts; the checkpoint owns the others
};

/// All metadata of a Hugging Face folder that open_hugging_face() opened: its configuration,
/// tokenizer and chat templates. Errors: those of export_folder_tokenizer(); a vocabulary that
/// is larger than the model's embedding.
Result<GgufExport> export_folder(const Checkpoint& model, const std::string& folder);

/// tokenizer.ggml.* of a vocabulary, which owns the texts. Every token has a text of its own.
GgufMetadata vocabulary_metadata(const VocabularyData& data);

/// Brings a vocabulary to `rows` tokens, those of the embedding: unused ones are added, or
/// taken away behind the last that is used. Error: used ones would have to go.
Status fit_vocabulary(VocabularyData& data, std::size_t rows);

}  // namespace ridgeline
