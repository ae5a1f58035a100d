#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

/// Tokens that are scored together: the model sees them from position 0, and the
/// predictions of tokens [score_from, end) count.
struct EvalWindow {
  std::vector<TokenId> tokens;
  std::size_t score_from = 1;
};

/// Text cut as llama-perplexity cuts it: windows of `context` tokens one after the
/// other, each begun with BOS in place of its first token where the vocabulary adds
/// one, the second half of each window scored. Error: fewer tokens than one window.
Result<std::vector<EvalWindow>> text_windows(const Tokenizer& tokenizer, std::string_view text,
                                             std::int64_t context);

/// One independent sequence a line: a count, then that many ids, of which the first
/// `context` are scored. `name` is for errors, which give the line.
Result<std::vector<EvalWindow>> token_windows(std::string_view lines, const std::string& name,
                                              int vocab_size, std::int64_t context);

}  // namespace ridgeline
