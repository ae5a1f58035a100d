#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/cost_curve.h"
#include "ridgeline/engine/embedding.h"
#include "ridgeline/engine/engine_stats.h"
#include "ridgeline/engine/kv_plan.h"
#include "ridgeline/engine/mask_worker.h"
#include "ridgeline/engine/request.h"
#include "ridgeline/engine/sampler.h"
#include "ridgeline/engine/scheduler.h"
#include "ridgeline/engine/sequence.h"
#include "ridgeline/engine/speculation/speculation.h"
#include "ridgeline/model/generation_defaults.h"
#include "ridgeline/model/model.h"
#include "ridgeline/ops/backend.h"
#include "ridgeline/tensor/buffer.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

class GrammarVocabulary;

struct EngineOptions {
  BackendOptions backend{};
  /// Another maker of backends than create_backend(): what a measurement compares with.
  std::function<Result<std::unique_ptr<Backend>>(const BackendOptions&)> make_backend{};
  std::int64_t context = 0;  ///< positions of one sequence; 0: what the model was trained for, as
                             ///< far as kv_memory_bytes or half of the free memory go
  DType kv_type = DType::kF16;
  std::uint64_t kv_memory_bytes = 0;  ///< of the KV pool; 0: `context` for every sequence,
  double kv_share = 0;  ///< or this share of the memory that the weights leave, if it is not 0
  std::int64_t batch_tokens = 512;  ///< rows of one step, the prefill chunk
  int max_sequences = 1;            ///< running at once
  bool prefix_cache = false;        ///< what a prompt has in common with others is computed once
  double prefill_share = 0.4;       ///< StepBudget::prefill_share; with a queue up to twice that
  bool measure_cost = false;        ///< at load, so that steps are budgeted by time
  bool embeds = false;              ///< embed() is what is wanted, so that an encoder will do
  SpeculationOptions speculation{};
  std::optional<DType> quantize{};  ///< ModelFile::Options
  RopeOverride rope{};              ///< likewise
  PackedCacheOptions packed_cache{};
  std::function<void(double fraction)> load_progress{};  ///< may be empty
};

struct MemoryUse {
  std::uint64_t weight_bytes = 0;
  std::uint64_t kv_bytes = 0;
  std::uint64_t workspace_bytes = 0;
  std::uint64_t draft_bytes = 0;  ///< of drafters, a draft model's cache included
};

/// A model, its KV cache and the loop over them: schedule, forward, sample, commit.
/// Everything is allocated in load(). One thread calls it.
class Engine {
 public:
  /// Errors: what the file, the model, the vocabulary or the memory lacks, as sentences.
  static Result<std::unique_ptr<Engine>> load(const std::string& path,
                                              const EngineOptions& options);
  ~Engine();

  /// Whether the request could be served. Errors: an empty prompt, a prompt that leaves no room
  /// in the context, ids outside the vocabulary, parameters out of range, more choices than
  /// sequences may run. Safe from any thread.
  Status check(const Request& request) const;
  /// Queues a request. Errors: check()'s. What it generates does not depend on what runs beside
  /// it.
  Result<RequestId> submit(Request request);
  Result<RequestId> submit(std::vector<TokenId> prompt, SamplingParams params);
  /// Ends a request before the next step; no event follows. Nothing for unknown ids.
  std::optional<RequestSummary> cancel(RequestId id);
  /// One forward pass over what the scheduler chose. No events: only prompt chunks ran.
  std::vector<TokenEvent> step();
  /// Of the last step.
  const StepReport& last_step() const { return report_; }
  bool idle() const { return scheduler_->idle(); }
  EngineStats stats() const;

  /// Runs one request to its end; `on_event` sees every event as it comes.
  Status generate(std::vector<TokenId> prompt, SamplingParams params,
                  const std::function<void(const TokenEvent&)>& on_event);

  /// Runs the texts to their embeddings, one vector each, [hidden_size]. Errors: a text that is
  /// empty or longer than the context, ids outside the vocabulary.
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
  int max_sequences() const { return max_sequences_; }
  const CostCurve& cost() const { return cost_; }
  double prefill_share() const { return prefill_share_; }
  void set_prefill_share(double share) { prefill_share_ = share; }
  /// Whether drafts are made, where there are drafters.
  void set_speculation(bool allowed);
  /// To measure with other settings; null where there are no drafters.
  Speculation* speculation() { return speculation_.get(); }
  /// Forgets all prefixes.
  void clear_prefix_cache() { pools_->forget(); }
  MemoryUse memory_use() const;

 private:
  Engine() = default;
  /// A request that is not at its end.
  struct Active {
    std::shared_ptr<const Request> request;
    RequestSummary summary;
    int open_choices = 1;
  };
  /// Whose each of the batch's logit_rows is.
  struct WantedRow {
    Sequence* sequence;
    std::int64_t position;
    int drafted = 0;        ///< how many drafted tokens are before the one that it predicts
    bool followed = false;  ///< by one more, which the step checks
  };

  Status check_ids(std::span<const TokenId> ids, const char* what) const;
  Status load_drafters(const std::string& path, const EngineOptions& options);
  /// `checks`: steps that check drafts are to be predicted, too.
  void measure_cost(bool checks);
  /// Ends what is past its time.
  void expire(Clock::time_point now, std::vector<TokenEvent>& events);

  // One step.
  void plan_drafts(std::int64_t prompt_rows);
  std::pair<std::int64_t, std::int64_t> wanted_positions(const ScheduledTokens& run) const;
  void build_batch(const ScheduledStep& step);
  void commit(const ScheduledStep& step, Clock::time_point start, std::vector<TokenEvent>& events);
  bool agrees(const WantedRow& row) const;
  /// Both of the rows [begin, end) of wanted_.
  void add_hidden(std::int64_t begin, std::int64_t end);
  void use_logits(std::int64_t begin, std::int64_t end, std::vector<TokenEvent>& events);
  void finish_embedding(Sequence& sequence, std::vector<TokenEvent>& events);
  void start_masks(const ScheduledStep& step);
  void sample(const WantedRow& row, std::span<float> logits, std::vector<TokenEvent>& events);
  void sample_one(Sequence& sequence, const WantedRow& row, std::span<float> logits,
                  std::vector<TokenEvent>& events);
  Result<TokenId> draw(const Sequence& sequence, const WantedRow& row, std::span<float> logits);
  Result<TokenId> draw_by_rejection(const Sequence& sequence, const WantedRow& row,
                                    const SampleRequest& wanted);
  void accept(Sequence& sequence, TokenId token, TokenEvent& event);
  /// Appends the event, and to a request's last one its summary.
  void emit(Sequence& sequence, TokenEvent event, std::vector<TokenEvent>& events);
  /// Those that ended go, with their counts into the summary that they have or will have.
  void remove_finished(std::span<TokenEvent> events);

  /// Of the first `rows` rows of logits_.
  std::span<float> logits(std::int64_t rows);

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<KvCache> kv_cache_;
  std::unique_ptr<KvPools> pools_;
  KvSizes kv_sizes_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<Sampler> sampler_;
  std::unique_ptr<Speculation> speculation_;                     ///< null: none
  std::shared_ptr<const GrammarVocabulary> grammar_vocabulary_;  ///< made when first needed
  MaskWorker mask_worker_;
  GenerationDefaults defaults_;
  std::int64_t context_ = 0;
  std::int64_t batch_tokens_ = 0;
  int max_sequences_ = 1;
  CostCurve cost_;
  double prefill_share_ = 0, most_prefill_share_ = 0;

  RequestId next_id_ = 1;
  std::unordered_map<RequestId, Active> active_;
  int with_deadlines_ = 0;  ///< of the active ones
  Batch batch_;
  std::vector<WantedRow> wanted_;
  Buffer logits_;  ///< [logit_rows_][vocab_size]; pages that no row needs are never touched
  std::int64_t logit_rows_ = 0;
  std::vector<TokenProbability> probabilities_;  ///< of the rejection rule
  std::vector<float> model_logits_;  ///< [vocab_size], where log-probabilities are wanted
  std::vector<float> hidden_;
  StepReport report_;
  EngineStats counters_;  ///< only its counters
};

}  // namespace ridgeline
