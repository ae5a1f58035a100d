#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/tokenizer.h"
#include "ridgeline/tools/ptq/importance_matrix.h"
#include "ridgeline/tools/ptq/layerwise_pass.h"

namespace ridgeline::ptq {

/// A text as windows of `context` tokens, each begun as the model is used to, of which
/// `most_tokens` (0: all) in even steps over the text. Error: less than one window.
Result<std::vector<std::vector<TokenId>>> calibration_windows(const Tokenizer& tokenizer,
                                                              std::string_view text,
                                                              std::int64_t context,
                                                              std::int64_t most_tokens);

/// Takes a pass that was just started through all layers of the unquantized model, and adds up
/// the squares of every matrix's inputs, the head's among them.
Result<ImportanceMatrix> measure_importance(const Checkpoint& model, LayerwisePass& pass);

}  // namespace ridgeline::ptq
