#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/engine/sampling_params.h"
#include "ridgeline/engine/stop_strings.h"
#include "ridgeline/kv/block_pool.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

using SequenceId = std::uint64_t;

enum class FinishReason {
  kStop,    ///< end of generation, a stop string or a stop token
  kLength,  ///< max_tokens, or the end of the context
  kCancelled,
  kError,  ///< see TokenEvent::error
};
std::string_view name(FinishReason reason);

/// One text being generated. There are no phases: a step computes some of the tokens
/// that are not in the cache yet, and when none is left it samples the next one.
///
///     tokens  [ prompt ............ | output ... ]
///             [ in the cache ....| to compute .. ]
///                                ^ num_computed_tokens
struct Sequence {
  Sequence(SequenceId sequence_id, std::vector<TokenId> prompt, SamplingParams sampling,
           std::int64_t limit, BlockPool& pool, const Tokenizer& tokenizer)
      : id(sequence_id),
        tokens(std::move(prompt)),
        prompt_tokens(static_cast<std::int64_t>(tokens.size())),
        max_total_tokens(limit),
        params(std::move(sampling)),
        block_table(pool),
        detokenizer(tokenizer),
        stop_strings(params.stop) {
    detokenizer.skip(tokens);
  }

  std::int64_t total_tokens() const { return static_cast<std::int64_t>(tokens.size()); }
  std::int64_t output_tokens() const { return total_tokens() - prompt_tokens; }
  std::int64_t uncomputed_tokens() const { return total_tokens() - num_computed_tokens; }

  SequenceId id;
  std::vector<TokenId> tokens;
  std::int64_t prompt_tokens;
  std::int64_t num_computed_tokens = 0;
  std::int64_t max_total_tokens;  ///< prompt and output; no more than the context
  SamplingParams params;
  BlockTable block_table;
  StreamingDetokenizer detokenizer;
  StopStrings stop_strings;
  std::optional<FinishReason> finished;
};

}  // namespace ridgeline
