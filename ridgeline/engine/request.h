#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/engine/embedding.h"
#include "ridgeline/engine/sampling_params.h"
#include "ridgeline/engine/speculation/speculation_stats.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

class Grammar;

using RequestId = std::uint64_t;  ///< from 1 on
using Clock = std::chrono::steady_clock;

/// How long a request may take, in seconds from its submission; 0: as long as it likes.
struct Deadlines {
  double queue_seconds = 0;        ///< until its first token is computed
  double first_token_seconds = 0;  ///< until its first token is out
  double total_seconds = 0;
};

/// What is asked of the engine: texts that go on from a prompt, or the prompt's embedding.
struct Request {
  std::vector<TokenId> prompt;
  SamplingParams params;
  /// Texts to make; they share the prompt's KV cache. Each is what it would be if it were the
  /// only one: `choice` is a part of its seed.
  int choices = 1;
  /// With each token its log-probability, and those of so many most likely ones (0 to
  /// kMaxLogprobs).
  std::optional<int> logprobs;
  /// The same for the prompt's tokens, from the second on. All of the prompt is computed then:
  /// none comes from the prefix cache.
  std::optional<int> prompt_logprobs;
  std::shared_ptr<const Grammar> grammar;  ///< what the text must match; null: anything
  /// Whether drafts may be checked, where the engine has drafters.
  bool speculate = true;
  /// What the caller expects as output (the API's predicted outputs): looked into for drafts.
  std::vector<TokenId> prediction;
  /// The output, for measurements: everything is computed and sampled, then position i says
  /// script[i]; behind it, what was sampled. Empty: the model decides.
  std::vector<TokenId> script;
  /// The prompt's embedding is wanted and no text.
  std::optional<EmbedOptions> embed;

  int priority = 0;          ///< lower goes first, as vLLM has it
  std::uint64_t tenant = 0;  ///< whose it is: those of equal priority share the engine evenly
  std::string cache_salt;    ///< the prefix cache is shared among equal salts only
  Deadlines deadlines;
};
inline constexpr int kMaxLogprobs = 20;
inline constexpr int kMaxChoices = 128;

enum class FinishReason {
  kStop,    ///< end of generation, a stop string or a stop token
  kLength,  ///< max_tokens, or the end of the context
  kCancelled,
  kDeadline,  ///< one of Request::deadlines; see TokenEvent::deadline
  kError,     ///< see TokenEvent::error
};
std::string_view name(FinishReason reason);

enum class Deadline { kQueue, kFirstToken, kTotal };

/// A token at its position.
struct TokenLogprobs {
  struct Entry {
    TokenId token = 0;
    float logprob = 0;      ///< ln of its probability under the model's own logits
    std::int64_t rank = 1;  ///< 1: the most likely
  };
  Entry chosen;
  std::vector<Entry> top;  ///< the most likely ones, in order; as many as were asked for
};

/// A request's life, for logs and metrics.
struct RequestSummary {
  Clock::time_point arrived, scheduled, first_token, finished;  ///< zero: never came to that
  std::int64_t prompt_tokens = 0;
  std::int64_t reused_tokens = 0;
  std::int64_t output_tokens = 0;  ///< of all choices
  int preemptions = 0;
  SpeculationCounts speculation;  ///< of all choices
};

/// What a step produced for one of a request's choices.
struct TokenEvent {
  RequestId request = 0;
  int choice = 0;
  std::optional<TokenId> token;  ///< absent when the choice ended without a new one
  std::string text;              ///< that became certain with it
  std::optional<TokenLogprobs> logprobs;
  std::optional<FinishReason> finished;
  std::optional<Deadline> deadline;   ///< with FinishReason::kDeadline
  std::string error;                  ///< with FinishReason::kError
  std::string stop_string;            ///< with kStop: the one that was met, if it was one
  std::optional<TokenId> stop_token;  ///< with kStop: of stop_token_ids, if it was one
  /// Of the prompt: tokens whose K and V were in the prefix cache.
  std::int64_t reused_tokens = 0;
  /// In the first event, if they were asked for: of the prompt's tokens from the second on.
  std::vector<TokenLogprobs> prompt_logprobs;
  std::vector<float> embedding;  ///< [hidden_size], of a request with `embed`, which then ends
  std::optional<RequestSummary> summary;  ///< in the request's last event
};

}  // namespace ridgeline
