#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

struct ExportedVocabulary {
  VocabularyData data;             ///< of any kind but kPipeline
  std::vector<std::string> notes;  ///< what it does otherwise than the original, as sentences
};

/// A tokenizer.json as one of the kinds that GGUF has: byte-level BPE, SentencePiece's BPE or
/// WordPiece. That it gives the same ids is tried out on texts of many scripts. Errors: those
/// of load_hf_tokenizer(); parts that GGUF has no name for; other ids.
Result<ExportedVocabulary> export_hf_tokenizer(std::string_view tokenizer_json,
                                               std::string_view tokenizer_config_json,
                                               const std::string& path_for_errors,
                                               const std::vector<TokenId>& end_ids);

/// Texts on which two ways to cut or encode differ, if they ever do. None changes under NFC.
const std::vector<std::string>& tokenizer_probes();

}  // namespace ridgeline
