// From a model's file to an engine: what is allocated, and how large.

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

#include "ridgeline/base/check.h"
#include "ridgeline/engine/engine.h"
#include "ridgeline/engine/speculation/draft_model.h"
#include "ridgeline/engine/speculation/prompt_lookup.h"
#include "ridgeline/engine/speculation/recent_outputs.h"
#include "ridgeline/model/model_file.h"
#include "ridgeline/model/pack_plan.h"
#include "ridgeline/platform/topology.h"
#include "ridgeline/tensor/kv_block.h"

namespace ridgeline {
namespace {

/// Rows of logits that one head() call computes at least.
constexpr std::int64_t kLogitRows = 16;
/// Rows of a draft model's forward pass.
constexpr std::int64_t kDraftBatchTokens = 256;

double mebibytes(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

/// Where nobody said how long a context to keep: what the model was trained for, as far
/// as half of the memory goes.
std::int64_t choose_context(const EngineOptions& options, const ModelConfig& config,
                            const KvSizes& sizes) {
  if (options.context > 0) return options.context;
  const std::uint64_t budget =
      options.kv_memory_bytes > 0 ? options.kv_memory_bytes : memory_info().available_bytes / 2;
  return std::clamp<std::int64_t>(sizes.tokens_in(budget), 1, config.context_length);
}

/// EngineOptions::kv_share in bytes, of which a small model needs less: every sequence at full
/// length, and as much again for prefixes.
Result<std::uint64_t> share_of_memory(const EngineOptions& options, const ModelFile& file,
                                      std::int64_t context, const KvSizes& sizes) {
  std::uint64_t weights = 0;
  for (const TensorView& tensor : file.checkpoint().tensors()) {
    weights += tensor.bytes;
    // A byte beside the file's two.
    if (is_int8(options.backend.activations) && takes_int8(tensor)) weights += tensor.bytes / 2;
  }
  if (!options.speculation.draft_model.empty()) {
    RIDGELINE_TRY(const ModelFile draft, ModelFile::open(options.speculation.draft_model));
    for (const TensorView& tensor : draft.checkpoint().tensors()) weights += tensor.bytes;
  }
  const std::uint64_t available = memory_info().available_bytes;
  const double share =
      options.kv_share * static_cast<double>(available - std::min(available, weights));
  const double enough = 2.0 * options.max_sequences * static_cast<double>(sizes.bytes(context));
  return static_cast<std::uint64_t>(std::min(share, enough));
}

/// Blocks of each group: from the stated budget, or one context for every sequence.
Result<std::vector<int>> pool_blocks(const EngineOptions& options, std::int64_t context,
                                     const KvSizes& sizes) {
  const std::uint64_t available = memory_info().available_bytes;
  if (options.kv_memory_bytes == 0) {
    const std::uint64_t bytes =
        sizes.bytes(context) * static_cast<std::uint64_t>(options.max_sequences);
    if (bytes > available)
      return fail(
          fmt::format("a context of {} tokens needs {:.0f} MiB of KV cache, but {:.0f} MiB of "
                      "memory are free; choose a smaller --ctx-size",
                      context, mebibytes(bytes), mebibytes(available)));
    return sizes.pools(context, options.max_sequences);
  }
  if (options.kv_memory_bytes > available)
    return fail(fmt::format("--kv-memory of {:.0f} MiB: only {:.0f} MiB of memory are free",
                            mebibytes(options.kv_memory_bytes), mebibytes(available)));
  if (options.kv_memory_bytes < sizes.bytes(context))
    return fail(
        fmt::format("--kv-memory of {:.1f} MiB holds {} tokens, but a context of {} needs "
                    "{:.1f} MiB",
                    mebibytes(options.kv_memory_bytes), sizes.tokens_in(options.kv_memory_bytes),
                    context, mebibytes(sizes.bytes(context))));
  return sizes.pools_in(options.kv_memory_bytes, context, options.max_sequences);
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::load(const std::string& path, const EngineOptions& wanted) {
  EngineOptions options = wanted;
  RIDGELINE_CHECK(options.max_sequences >= 1 && options.context >= 0);
  if (options.batch_tokens < options.max_sequences)
    return fail(fmt::format("--batch-tokens is {}, expected at least {} (one for every sequence)",
                            options.batch_tokens, options.max_sequences));
  RIDGELINE_TRY(const ModelFile file,
                ModelFile::open(path, {.quantize = options.quantize, .rope = options.rope}));
  RIDGELINE_TRY(const ModelConfig config, file.config());

  if (config.is_encoder && !options.embeds)
    return fail(
        fmt::format("{}: a '{}' model turns texts into vectors and writes none; "
                    "`ridgeline embed -m FILE -p TEXT` runs it",
                    path, config.architecture));

  if (is_int8(options.backend.activations) &&
      std::ranges::none_of(file.checkpoint().tensors(), takes_int8))
    return fail(
        fmt::format("--activations {}: {} has no layer of F16 or BF16 weights, which alone are "
                    "treated so; expected fast or f32",
                    name(options.backend.activations), path));

  std::unique_ptr<Engine> engine(new Engine);
  RIDGELINE_TRY(engine->defaults_, read_generation_defaults(file.checkpoint()));
  RIDGELINE_TRY(engine->tokenizer_, file.tokenizer());
  if (engine->tokenizer_->vocab_size() > config.vocab_size)
    return fail(
        fmt::format("{}: the vocabulary has {} tokens, but 'token_embd.weight' only {} rows", path,
                    engine->tokenizer_->vocab_size(), config.vocab_size));
  RIDGELINE_TRY(engine->backend_, options.make_backend ? options.make_backend(options.backend)
                                                       : create_backend(options.backend));

  KvCacheShape shape = config.kv_shape(options.kv_type);
  RIDGELINE_TRY(engine->kv_sizes_, KvSizes::of(*engine->backend_, shape, options.batch_tokens));
  if (options.kv_memory_bytes == 0 && options.kv_share > 0) {
    RIDGELINE_TRY(options.kv_memory_bytes,
                  share_of_memory(options, file,
                                  options.context > 0 ? options.context : config.context_length,
                                  engine->kv_sizes_));
  }
  engine->context_ = choose_context(options, config, engine->kv_sizes_);
  RIDGELINE_TRY(shape.group_blocks, pool_blocks(options, engine->context_, engine->kv_sizes_));
  engine->batch_tokens_ = std::min(options.batch_tokens,
                                   std::max<std::int64_t>(engine->context_, options.max_sequences));
  // An encoder takes each text whole.
  if (config.is_encoder) engine->batch_tokens_ = engine->context_;

  Model::LoadOptions load;
  load.max_batch_rows = engine->batch_tokens_;
  load.max_logit_rows = std::max<std::int64_t>(kLogitRows, options.max_sequences);
  // Each drafted token is a row of logits too; beyond these, the head is read once more.
  if (options.speculation.any()) load.max_logit_rows += options.speculation.max_draft;
  load.max_positions = engine->context_;
  load.packed_cache = options.packed_cache;
  load.progress = options.load_progress;
  RIDGELINE_TRY(engine->model_, Model::load(file, *engine->backend_, load));
  RIDGELINE_TRY(engine->kv_cache_, engine->backend_->make_kv_cache(shape));
  engine->pools_ = std::make_unique<KvPools>(shape.windows(), shape.group_blocks);
  engine->max_sequences_ = options.max_sequences;
  engine->prefill_share_ = options.prefill_share;
  engine->most_prefill_share_ = std::min(0.9, 2 * options.prefill_share);
  engine->scheduler_ = std::make_unique<Scheduler>(
      *engine->pools_, Scheduler::Options{.batch_tokens = engine->batch_tokens_,
                                          .max_sequences = options.max_sequences,
                                          .prefix_cache = options.prefix_cache});

  std::vector<TokenId> ends;
  for (TokenId id = 0; id < engine->tokenizer_->vocab_size(); ++id)
    if (engine->tokenizer_->is_end_of_generation(id)) ends.push_back(id);
  engine->sampler_ = std::make_unique<Sampler>(config.vocab_size, ends);
  RIDGELINE_TRY(engine->logits_,
                Buffer::allocate(static_cast<std::size_t>(load.max_logit_rows) *
                                     static_cast<std::size_t>(config.vocab_size) * sizeof(float),
                                 "logits"));
  engine->logit_rows_ = load.max_logit_rows;
  if (options.speculation.any()) RIDGELINE_TRY_STATUS(engine->load_drafters(path, options));
  if (options.measure_cost) engine->measure_cost(options.speculation.any());
  return engine;
}

Status Engine::load_drafters(const std::string& path, const EngineOptions& options) {
  const SpeculationOptions& wanted = options.speculation;
  if (wanted.max_draft < 1 || wanted.max_draft > kMaxDraft)
    return fail(fmt::format("{} tokens are to be drafted at most, expected 1 to {}",
                            wanted.max_draft, kMaxDraft));
  if (config().is_encoder)
    return fail(fmt::format("{}: a '{}' model writes no text that could be drafted", path,
                            config().architecture));
  std::vector<std::shared_ptr<Drafter>> drafters;
  if (wanted.lookup) drafters.push_back(std::make_shared<PromptLookup>());
  if (wanted.recent) drafters.push_back(std::make_shared<RecentOutputs>());
  if (!wanted.draft_model.empty()) {
    DraftModel::Options draft;
    draft.target_path = path;
    draft.max_sequences = max_sequences_;
    // A long prompt that the draft model has yet to read holds up the others no longer than this.
    draft.batch_tokens = std::min<std::int64_t>(batch_tokens_, kDraftBatchTokens);
    draft.context = context_;
    draft.kv_type = options.kv_type;
    draft.packed_cache = options.packed_cache;
    draft.rule = wanted.rule;
    draft.load_progress = options.load_progress;
    RIDGELINE_TRY(
        std::shared_ptr<DraftModel> model,
        DraftModel::load(wanted.draft_model, *backend_, *tokenizer_, config().vocab_size, draft));
    drafters.push_back(std::move(model));
  }
  std::ranges::copy(wanted.more, std::back_inserter(drafters));
  speculation_ = std::make_unique<Speculation>(wanted, *tokenizer_, std::move(drafters));
  return {};
}

/// Steps of 1, 2, 4, ... rows, as far as one takes half a second, and one far into a context.
/// Where drafts are checked, all of the curve's few rows, each with its logits.
void Engine::measure_cost(bool checks) {
  constexpr double kLongEnough = 0.5;
  constexpr std::int64_t kFarRows = 16;
  constexpr std::int64_t kFewRows = 64;
  const auto run = [&](std::int64_t position, std::int64_t rows) {
    SequenceBlocks blocks(*pools_);
    RIDGELINE_CHECK(blocks.advance(0, position + rows));
    batch_.clear();
    // Different ones, so that a mixture's rows ask for different experts.
    for (std::int64_t i = 0; i < rows; ++i)
      batch_.tokens.push_back(static_cast<TokenId>(i * 7919 % config().vocab_size));
    batch_.slices = {{0, static_cast<std::int32_t>(rows), position, blocks.tables()}};
    const std::int64_t wanted = checks && rows <= kFewRows ? std::min(rows, logit_rows_) : 1;
    for (std::int64_t row = rows - wanted; row < rows; ++row)
      batch_.logit_rows.push_back(static_cast<std::int32_t>(row));
    const auto start = Clock::now();
    model_->forward(batch_, *kv_cache_);
    model_->head(0, wanted, logits(wanted));
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const auto best = [&](std::int64_t position, std::int64_t rows) {
    return std::min(run(position, rows), run(position, rows));
  };
  const std::int64_t most = std::min(batch_tokens_, context_);
  std::vector<std::pair<std::int64_t, double>> times;
  run(0, 1);  // pages of weights and workspace
  for (const std::int64_t rows : CostCurve::kKnots) {
    if (rows > most || (!times.empty() && times.back().second >= kLongEnough)) break;
    const bool power = std::has_single_bit(static_cast<std::uint64_t>(rows));
    if (power || (checks && rows <= kFewRows)) times.emplace_back(rows, run(0, rows));
  }
  // What disturbs one length is over when it comes again.
  for (const auto& [rows, seconds] : times) cost_.set(rows, std::min(seconds, run(0, rows)));
  // Windowed layers would take blocks for all that is before the window, which is not needed.
  const std::int64_t far = std::min<std::int64_t>(context_, 2048) - kFarRows;
  if (far < 512 || kFarRows > most || pools_->groups() > 1 || pools_->window(0) > 0) return;
  const double difference = best(far, kFarRows) - best(0, kFarRows);
  const StepLoad near = load_of(0, kFarRows), away = load_of(far, kFarRows);
  cost_.set_per_attended(std::max(0.0, difference) /
                         static_cast<double>(away.attended - near.attended));
}

}  // namespace ridgeline
