#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/embedding.h"
#include "ridgeline/engine/kv_plan.h"
#include "ridgeline/engine/sampler.h"
#include "ridgeline/engine/scheduler.h"
#include "ridgeline/engine/sequence.h"
#include "ridgeline/model/generation_defaults.h"
#include "ridgeline/model/model.h"
#include "ridgeline/ops/backend.h"
#include "ridgeline/tensor/buffer.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

struct EngineOptions {
  BackendOptions backend{};
  std::int64_t context = 0;  ///< positions of one sequence; 0: what the model was trained for, as
                             ///< far as kv_memory_bytes or half of the free memory go
  DType kv_type = DType::kF16;
  std::uint64_t kv_memory_bytes = 0;  ///< of the KV pool; 0: `context` for every sequence
  std::int64_t batch_tokens = 512;    ///< rows of one step, the prefill chunk
  int max_sequences = 1;              ///< running at once
  bool embeds = false;                ///< embed() is what is wanted, so that an encoder will do
  std::optional<DType> quantize{};    ///< ModelFile::Options
  RopeOverride rope{};                ///< likewise
  PackedCacheOptions packed_cache{};
  std::function<void(double fraction)> load_progress{};  ///< may be empty
};

/// What a step produced for one sequence.
struct TokenEvent {
  SequenceId sequence = 0;
  std::optional<TokenId> token;  ///< absent when the sequence ended without a new one
  std::string text;              ///< that became certain with it
  std::optional<FinishReason> finished;
  std::string error;  ///< with FinishReason::kError
  /// Of the prompt: tokens whose K and V were there already (CacheUse::continue_from).
  std::int64_t reused_tokens = 0;
};

struct MemoryUse {
  std::uint64_t weight_bytes = 0;
  std::uint64_t kv_bytes = 0;
  std::uint64_t workspace_bytes = 0;
};

/// A model, its KV cache and the loop over them: schedule, forward, sample, commit.
/// Everything is allocated in load(). One thread calls it.
class Engine {
 public:
  /// Errors: what the file, the model, the vocabulary or the memory lacks, as sentences.
  static Result<std::unique_ptr<Engine>> load(const std::string& path,
                                              const EngineOptions& options);
  ~Engine();

  /// Queues a request. Errors: an empty prompt, a prompt that leaves no room in the
  /// context, ids outside the vocabulary, parameters out of range, an id to continue from
  /// that never was or has not ended. What a sequence generates does not depend on `use`.
  Result<SequenceId> submit(std::vector<TokenId> prompt, SamplingParams params, CacheUse use = {});
  /// Ends a sequence before the next step; no event follows. Unknown ids are ignored.
  void cancel(SequenceId id);
  /// Gives back the KV cache of a sequence that was kept; unknown ids are ignored.
  void release(SequenceId id) { scheduler_->release(id); }
  /// One forward pass over what the scheduler chose. No events: only prompt chunks ran.
  std::vector<TokenEvent> step();
  bool idle() const { return scheduler_->idle(); }

  /// Runs one request to its end; `on_event` sees every event as it comes.
  Status generate(std::vector<TokenId> prompt, SamplingParams params,
                  const std::function<void(const TokenEvent&)>& on_event);

  /// One vector for each text, [hidden_size]. Errors: a text that is empty or longer than the
  /// context, ids outside the vocabulary, blocks of the KV cache that sequences hold.
  Result<std::vector<std::vector<float>>> embed(std::span<const std::vector<TokenId>> texts,
                                                const EmbedOptions& options = {});
  Result<std::vector<float>> embed(std::span<const TokenId> tokens,
                                   const EmbedOptions& options = {});
  Result<std::vector<float>> embed(std::string_view text, const EmbedOptions& options = {});
  /// What embed() does with these options.
  Pooling pooling(const EmbedOptions& options) const;

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  /// How the model's authors want it sampled; nothing here applies it by itself.
  const GenerationDefaults& generation_defaults() const { return defaults_; }
  const ModelConfig& config() const { return model_->config(); }
  Backend& backend() { return *backend_; }
  Model& model() { return *model_; }
  KvCache& kv_cache() { return *kv_cache_; }
  KvPools& kv_pools() { return *pools_; }
  const KvSizes& kv_sizes() const { return kv_sizes_; }
  std::int64_t context() const { return context_; }
  std::int64_t batch_tokens() const { return batch_tokens_; }
  MemoryUse memory_use() const;

 private:
  Engine() = default;
  Status check_ids(std::span<const TokenId> ids, const char* what) const;
  /// Of the first `rows` rows of the last step's logits.
  std::span<float> logits(std::int64_t rows);
  void build_batch(const ScheduledStep& step);
  void commit(const ScheduledStep& step, std::vector<TokenEvent>& events);
  TokenEvent accept(Sequence& sequence, TokenId token);

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<KvCache> kv_cache_;
  std::unique_ptr<KvPools> pools_;
  KvSizes kv_sizes_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<Sampler> sampler_;
  GenerationDefaults defaults_;
  std::int64_t context_ = 0;
  std::int64_t batch_tokens_ = 0;
  SequenceId next_id_ = 1;
  Batch batch_;
  Buffer logits_;  ///< [max_logit_rows][vocab_size]; pages that no row needs are never touched
};

}  // namespace ridgeline
