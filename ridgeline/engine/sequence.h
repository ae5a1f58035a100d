#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/engine/request.h"
#include "ridgeline/kv/block_key.h"
#include "ridgeline/kv/sequence_blocks.h"

namespace ridgeline {

struct SequenceOutput;

/// One text being generated, as the scheduler sees it. There are no phases: a step computes some
/// of the tokens that are not in the cache yet, and when none is left it samples the next one.
///
///     tokens  [ prompt ............ | output ... ]
///             [ in the cache ....| to compute .. ]
///                                ^ num_computed_tokens
struct Sequence {
  Sequence(RequestId of, std::vector<TokenId> prompt, std::int64_t limit, KvPools& pools,
           std::string_view cache_salt = {});
  /// Another choice of the same request, which shares the blocks.
  Sequence(const Sequence& first, int choice_index);
  ~Sequence();

  std::int64_t total_tokens() const { return static_cast<std::int64_t>(tokens.size()); }
  std::int64_t output_tokens() const { return total_tokens() - prompt_tokens; }
  std::int64_t uncomputed_tokens() const { return total_tokens() - num_computed_tokens; }
  /// Whether `this` is served before `other`.
  bool before(const Sequence& other) const;

  RequestId request;
  int choice = 0;
  /// Choices that go on from the prompt beside this one, once it is computed.
  int choices_to_come = 0;
  std::vector<TokenId> tokens;
  std::int64_t prompt_tokens;
  std::int64_t num_computed_tokens = 0;
  std::int64_t num_reused_tokens = 0;  ///< of the prompt, from the prefix cache
  std::int64_t max_total_tokens;       ///< prompt and output; no more than the context

  // Who goes first.
  int priority = 0;           ///< lower is earlier
  std::uint64_t arrival = 0;  ///< then this: who came earlier
  std::uint64_t tenant = 0;

  bool reads_prefix_cache = true;
  bool whole = false;  ///< computed in one step or not at all
  int preemptions = 0;
  std::int64_t lost_tokens = 0;  ///< computed before the last preemption, and not yet again
  /// Guesses of the tokens behind the last one, for the next step to check. A step leaves none.
  std::vector<TokenId> draft;
  BlockKeys keys;
  SequenceBlocks blocks;
  std::optional<FinishReason> finished;
  std::unique_ptr<SequenceOutput> output;  ///< the engine's; the scheduler does not look
};

}  // namespace ridgeline
