// From a draft model's file to a drafter: what is allocated, and how large.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "ridgeline/engine/kv_plan.h"
#include "ridgeline/engine/speculation/draft_model.h"
#include "ridgeline/model/model_file.h"
#include "ridgeline/platform/topology.h"

namespace ridgeline {
namespace {

double mebibytes(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

/// Of the free memory, what a draft model's KV cache takes if nobody says.
constexpr std::uint64_t kMemoryShare = 4;

/// Sets `context` to what a sequence may be, and the blocks of each group. A cache that is smaller
/// than all sequences at full length makes drafts dearer, and is no error.
Result<std::vector<int>> plan_cache(const std::string& path, const DraftModel::Options& options,
                                    const KvSizes& sizes, std::int64_t& context) {
  const std::uint64_t available = memory_info().available_bytes;
  const std::uint64_t everything =
      sizes.bytes(context) * static_cast<std::uint64_t>(options.max_sequences);
  const std::uint64_t wanted = options.kv_memory_bytes;
  if (wanted > available)
    return fail(
        fmt::format("{}: {:.0f} MiB for a draft model's KV cache: only {:.0f} MiB of memory "
                    "are free",
                    path, mebibytes(wanted), mebibytes(available)));
  const std::uint64_t budget = wanted > 0 ? wanted : available / kMemoryShare;
  if (budget >= everything) return sizes.pools(context, options.max_sequences);
  context = std::min(context, sizes.tokens_in(budget));
  if (context < kKvBlockTokens)
    return fail(fmt::format(
        "{}: {:.1f} MiB for a draft model's KV cache hold no sequence; expected "
        "at least {:.1f} MiB, for {} tokens",
        path, mebibytes(budget), mebibytes(sizes.bytes(kKvBlockTokens)), kKvBlockTokens));
  return sizes.pools_in(budget, context, options.max_sequences);
}

std::vector<TokenId> end_tokens(const Tokenizer& tokenizer) {
  std::vector<TokenId> ends;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id)
    if (tokenizer.is_end_of_generation(id)) ends.push_back(id);
  return ends;
}

}  // namespace

DraftModel::DraftModel(Backend& backend, const Tokenizer& target, int target_vocab_size,
                       VocabularyMap vocabulary, DraftCache cache)
    : backend_(&backend),
      target_(&target),
      vocabulary_(std::move(vocabulary)),
      cache_(std::move(cache)),
      sampler_(target_vocab_size, end_tokens(target)),
      target_logits_(static_cast<std::size_t>(target_vocab_size)),
      mask_((target_logits_.size() + 31) / 32) {}

Result<std::unique_ptr<DraftModel>> DraftModel::load(const std::string& path, Backend& backend,
                                                     const Tokenizer& target, int target_vocab_size,
                                                     const Options& options) {
  RIDGELINE_TRY(const ModelFile file, ModelFile::open(path));
  RIDGELINE_TRY(const ModelConfig config, file.config());
  if (config.is_encoder)
    return fail(
        fmt::format("{}: a '{}' model turns texts into vectors and writes none; expected a "
                    "draft model that writes text",
                    path, config.architecture));
  RIDGELINE_TRY(const std::unique_ptr<Tokenizer> tokenizer, file.tokenizer());
  if (tokenizer->vocab_size() > config.vocab_size)
    return fail(
        fmt::format("{}: the vocabulary has {} tokens, but 'token_embd.weight' only {} rows", path,
                    tokenizer->vocab_size(), config.vocab_size));
  RIDGELINE_TRY(VocabularyMap vocabulary,
                VocabularyMap::make(target, options.target_path, *tokenizer, path));
  const bool same_rows = vocabulary.is_identity() && config.vocab_size == target_vocab_size &&
                         tokenizer->vocab_size() == target.vocab_size();

  const std::int64_t batch_tokens =
      std::max<std::int64_t>(options.batch_tokens, options.max_sequences);
  KvCacheShape shape = config.kv_shape(options.kv_type);
  RIDGELINE_TRY(const KvSizes sizes, KvSizes::of(backend, shape, batch_tokens + kMaxDraft));
  std::int64_t context = config.context_length;
  if (options.context > 0) context = std::min(context, options.context);
  RIDGELINE_TRY(shape.group_blocks, plan_cache(path, options, sizes, context));

  std::unique_ptr<DraftModel> draft(
      new DraftModel(backend, target, target_vocab_size, std::move(vocabulary),
                     DraftCache(shape.windows(), shape.group_blocks)));
  Model::LoadOptions load;
  load.max_batch_rows = batch_tokens;
  load.max_logit_rows = options.max_sequences;
  load.max_positions = context;
  load.packed_cache = options.packed_cache;
  load.progress = options.load_progress;
  RIDGELINE_TRY(draft->model_, Model::load(file, backend, load));
  RIDGELINE_TRY(draft->kv_cache_, backend.make_kv_cache(shape));
  draft->logit_rows_ = static_cast<std::size_t>(options.max_sequences);
  RIDGELINE_TRY(draft->logits_,
                Buffer::allocate(draft->logit_rows_ * static_cast<std::size_t>(config.vocab_size) *
                                     sizeof(float),
                                 "a draft model's logits"));
  draft->same_rows_ = same_rows;
  draft->rule_ = options.rule;
  draft->least_probability_ = options.least_probability;
  draft->context_ = context;
  draft->batch_tokens_ = batch_tokens;
  draft->measure_cost();
  return draft;
}

/// Forward passes of 1, 2, 4, ... rows, as far as they are quick; observing goes on from there.
void DraftModel::measure_cost() {
  constexpr double kLongEnough = 0.05;
  const auto run = [&](std::int64_t rows) {
    SequenceBlocks blocks(cache_.pools());
    if (!blocks.advance(0, rows)) return 0.0;
    batch_.clear();
    batch_.tokens.assign(static_cast<std::size_t>(rows), 0);
    batch_.slices = {{0, static_cast<std::int32_t>(rows), 0, blocks.tables()}};
    batch_.logit_rows = {static_cast<std::int32_t>(rows - 1)};
    const auto start = std::chrono::steady_clock::now();
    model_->forward(batch_, *kv_cache_);
    model_->head(0, 1, logits(0));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  run(1);  // pages of weights and workspace
  double last = 0;
  for (std::int64_t rows = 1; rows <= std::min(batch_tokens_, context_) && last < kLongEnough;
       rows *= 2) {
    last = std::min(run(rows), run(rows));
    if (last <= 0) return;
    cost_.set(rows, last);
  }
}

}  // namespace ridgeline
