#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/cost_curve.h"
#include "ridgeline/engine/sampler.h"
#include "ridgeline/engine/speculation/draft_cache.h"
#include "ridgeline/engine/speculation/drafter.h"
#include "ridgeline/engine/speculation/speculation_options.h"
#include "ridgeline/engine/speculation/vocabulary_map.h"
#include "ridgeline/model/model.h"
#include "ridgeline/ops/backend.h"
#include "ridgeline/tensor/buffer.h"
#include "ridgeline/text/grammar/grammar.h"

namespace ridgeline {

/// A small model as drafter (Leviathan et al. 2022; Chen et al. 2023). It runs on the target's
/// backend, between its steps, and follows every sequence with a KV cache of its own. All
/// sequences take a row each of one forward pass per drafted token.
///
/// What it computes never reaches a text: where its logits are NaN, its context ends or its cache
/// is full, a draft ends.
class DraftModel final : public Drafter {
 public:
  struct Options {
    std::string target_path{};  ///< of the model that is drafted for, to name it
    int max_sequences = 1;
    std::int64_t batch_tokens = 512;    ///< rows of a forward pass
    std::int64_t context = 0;           ///< no drafts behind it; 0: the model's
    std::uint64_t kv_memory_bytes = 0;  ///< 0: `context` for every sequence, as far as a quarter
                                        ///< of the free memory goes
    DType kv_type = DType::kF16;
    PackedCacheOptions packed_cache{};
    /// kExact: tokens are drawn with the very random numbers that the target's draws will use, so
    /// that where both distributions are alike, so are the draws. kRejection: with numbers of
    /// their own, and drafts have their distributions.
    AcceptanceRule rule = AcceptanceRule::kExact;
    /// A draft ends before a token that is less likely.
    float least_probability = kConfidenceBounds[0];
    std::function<void(double fraction)> load_progress{};  ///< may be empty
  };
  /// Probabilities between DraftToken's classes. As fine at the low end as at the high one: what a
  /// sampled token is worth falls with the logarithm of its probability.
  static constexpr std::array<float, kConfidenceClasses - 1> kConfidenceBounds{
      0.02F, 0.07F, 0.2F, 0.4F, 0.65F, 0.85F, 0.96F};

  /// Errors: those of Engine::load(); a model that writes no text; VocabularyMap's.
  static Result<std::unique_ptr<DraftModel>> load(const std::string& path, Backend& backend,
                                                  const Tokenizer& target, int target_vocab_size,
                                                  const Options& options);

  std::string_view name() const override { return "model"; }
  /// Sequences that are not followed yet, as after a prompt, are computed first, batch_tokens rows
  /// in a call at most, those with the least to do before the others. Who is not done then is
  /// drafted for in a later call.
  void draft(std::span<const DraftRequest> requests) override;
  void finish(const DraftRequest& request) override { cache_.drop(request.sequence); }
  double seconds(std::span<const DraftRequest> requests) const override;
  std::size_t bytes() const override;

  double seconds_per_token(std::size_t sequences) const override;
  /// Tokens to compute before the first one can be drafted, at least 1.
  std::int64_t missing(const DraftRequest& request) const {
    return cache_.missing(request.sequence, request.tokens);
  }
  const ModelConfig& config() const { return model_->config(); }
  const VocabularyMap& vocabulary() const { return vocabulary_; }
  const CostCurve& cost() const { return cost_; }
  std::int64_t context() const { return context_; }
  KvPools& kv_pools() { return cache_.pools(); }

 private:
  /// A sequence in one call of draft().
  struct Run {
    const DraftRequest* request;
    DraftCache::Sequence* sequence;
    std::int64_t rows = 0;  ///< of the next forward pass
    int most = 0;           ///< tokens to draft
    bool drafts = false;    ///< the next forward pass reaches its end
    std::optional<GrammarMatcher> matcher{};
  };

  DraftModel(Backend& backend, const Tokenizer& target, int target_vocab_size,
             VocabularyMap vocabulary, DraftCache cache);
  void measure_cost();

  int most_tokens(const DraftRequest& request) const;
  /// Who takes how many rows of the first forward pass.
  std::vector<Run> plan(std::span<const DraftRequest> requests);
  /// Computes the rows of all runs; logits in the order of those that draft.
  void forward(std::span<const Run> runs);
  StepLoad load_of_runs(std::span<const Run> runs) const;
  /// Appends a token to the draft; false: it ends before, or with it.
  bool draft_token(Run& run, std::span<float> draft_logits);
  std::optional<TokenId> choose(const DraftRequest& request, const SampleRequest& wanted);
  /// Of the token, by the draft model's logits without temperature and filters, which foretell
  /// better whether it is right than with them.
  double probability(TokenId token, std::span<const float> values) const;
  std::span<float> logits(std::size_t row);

  Backend* backend_;
  const Tokenizer* target_;
  VocabularyMap vocabulary_;
  DraftCache cache_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<KvCache> kv_cache_;
  Sampler sampler_;
  bool same_rows_ = false;  ///< both models' logits are of the same tokens, in the same order
  AcceptanceRule rule_ = AcceptanceRule::kExact;
  float least_probability_ = 0;
  std::int64_t context_ = 0, batch_tokens_ = 0;
  std::size_t logit_rows_ = 0;
  Buffer logits_;                     ///< [logit_rows_][vocab_size]
  std::vector<float> target_logits_;  ///< [target's vocab_size]
  std::vector<std::uint32_t> mask_;
  std::vector<TokenProbability> distribution_;
  Batch batch_;
  CostCurve cost_;
};

}  // namespace ridgeline
