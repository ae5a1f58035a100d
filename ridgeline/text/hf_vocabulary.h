#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/hf_added_tokens.h"
#include "ridgeline/text/hf_model.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

struct HfVocabulary {
  VocabularyData data;  ///< of kind kPipeline
  std::vector<HfAddedToken> added;
};

/// The tokens of the model and the added ones, `config`'s (tokenizer_config.json; null if
/// there is none) among them, and what it says of them. Ids need not be dense: what is
/// between is unused. Errors: two tokens of one id, an id far above the number of tokens
/// or below 0, an unknown token that is not in the vocabulary.
Result<HfVocabulary> read_hf_vocabulary(const HfTokenizerJson& file, HfModelType type,
                                        const nlohmann::json& config);

}  // namespace ridgeline
