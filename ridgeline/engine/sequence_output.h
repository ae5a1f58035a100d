#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "ridgeline/engine/request.h"
#include "ridgeline/engine/speculation/sequence_drafts.h"
#include "ridgeline/engine/stop_strings.h"
#include "ridgeline/text/grammar/grammar.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

/// What becomes of the tokens that a sequence generates, or of its prompt's hidden states.
struct SequenceOutput {
  SequenceOutput(std::shared_ptr<const Request> of, const Tokenizer& tokenizer)
      : request(std::move(of)), detokenizer(tokenizer), stop_strings(request->params.stop) {
    detokenizer.skip(request->prompt);
  }

  std::shared_ptr<const Request> request;
  StreamingDetokenizer detokenizer;
  StopStrings stop_strings;
  std::optional<GrammarMatcher> matcher;  ///< where the request has a grammar
  std::vector<std::uint32_t> mask;        ///< by the matcher, of the next token
  /// The same of the tokens behind each of a draft's.
  std::vector<std::vector<std::uint32_t>> draft_masks;
  std::unique_ptr<SequenceDrafts> drafts;      ///< where the engine speculates
  std::vector<TokenLogprobs> prompt_logprobs;  ///< so far, from the prompt's second token on
  std::vector<double> embedding;               ///< [hidden_size], the sum of the rows that count
  std::int64_t pooled_rows = 0;                ///< in that sum
};

}  // namespace ridgeline
