#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/engine/sampling_params.h"
#include "ridgeline/engine/stop_strings.h"
#include "ridgeline/kv/sequence_blocks.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

using SequenceId = std::uint64_t;  ///< from 1 on

enum class FinishReason {
  kStop,    ///< end of generation, a stop string or a stop token
  kLength,  ///< max_tokens, or the end of the context
  kCancelled,
  kError,  ///< see TokenEvent::error
};
std::string_view name(FinishReason reason);

/// What becomes of a sequence's KV cache before it starts and after it ends.
struct CacheUse {
  /// When it ends other than by an error, its KV cache stays for one that continues it, until
  /// it is released or its blocks are needed.
  bool keep = false;
  /// A sequence that was kept: as far as its tokens begin like the prompt, they are not
  /// computed again. That consumes it. 0: none.
  SequenceId continue_from = 0;
};

/// One text being generated. There are no phases: a step computes some of the tokens
/// that are not in the cache yet, and when none is left it samples the next one.
///
///     tokens  [ prompt ............ | output ... ]
///             [ in the cache ....| to compute .. ]
///                                ^ num_computed_tokens
struct Sequence {
  Sequence(SequenceId sequence_id, std::vector<TokenId> prompt, SamplingParams sampling,
           std::int64_t limit, KvPools& pools, const Tokenizer& tokenizer)
      : id(sequence_id),
        tokens(std::move(prompt)),
        prompt_tokens(static_cast<std::int64_t>(tokens.size())),
        max_total_tokens(limit),
        params(std::move(sampling)),
        blocks(pools),
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
  std::int64_t num_reused_tokens = 0;  ///< of the prompt, from the sequence it continues
  std::int64_t max_total_tokens;       ///< prompt and output; no more than the context
  SamplingParams params;
  CacheUse cache_use;
  SequenceBlocks blocks;
  StreamingDetokenizer detokenizer;
  StopStrings stop_strings;
  std::optional<FinishReason> finished;
};

}  // namespace ridgeline
