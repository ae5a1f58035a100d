#include "ridgeline/engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ridgeline/base/check.h"
#include "ridgeline/model/model_file.h"
#include "ridgeline/platform/topology.h"
#include "ridgeline/tensor/kv_block.h"

namespace ridgeline {
namespace {

/// Rows of logits that one head() call computes.
constexpr std::int64_t kMaxLogitRows = 16;

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

std::string_view name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kError:
      return "error";
  }
  return "";
}

Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::load(const std::string& path,
                                             const EngineOptions& options) {
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

  std::unique_ptr<Engine> engine(new Engine);
  RIDGELINE_TRY(engine->defaults_, read_generation_defaults(file.checkpoint()));
  RIDGELINE_TRY(engine->tokenizer_, file.tokenizer());
  if (engine->tokenizer_->vocab_size() > config.vocab_size)
    return fail(
        fmt::format("{}: the vocabulary has {} tokens, but 'token_embd.weight' only {} rows", path,
                    engine->tokenizer_->vocab_size(), config.vocab_size));
  RIDGELINE_TRY(engine->backend_, create_backend(options.backend));

  KvCacheShape shape = config.kv_shape(options.kv_type);
  RIDGELINE_TRY(engine->kv_sizes_, KvSizes::of(*engine->backend_, shape, options.batch_tokens));
  engine->context_ = choose_context(options, config, engine->kv_sizes_);
  RIDGELINE_TRY(shape.group_blocks, pool_blocks(options, engine->context_, engine->kv_sizes_));
  engine->batch_tokens_ = std::min(options.batch_tokens,
                                   std::max<std::int64_t>(engine->context_, options.max_sequences));
  // An encoder takes each text whole.
  if (config.is_encoder) engine->batch_tokens_ = engine->context_;

  Model::LoadOptions load;
  load.max_batch_rows = engine->batch_tokens_;
  load.max_logit_rows = std::max<std::int64_t>(kMaxLogitRows, options.max_sequences);
  load.max_positions = engine->context_;
  load.packed_cache = options.packed_cache;
  load.progress = options.load_progress;
  RIDGELINE_TRY(engine->model_, Model::load(file, *engine->backend_, load));
  RIDGELINE_TRY(engine->kv_cache_, engine->backend_->make_kv_cache(shape));
  engine->pools_ = std::make_unique<KvPools>(shape.windows(), shape.group_blocks);
  engine->scheduler_ =
      std::make_unique<Scheduler>(*engine->pools_, engine->batch_tokens_, options.max_sequences);

  std::vector<TokenId> ends;
  for (TokenId id = 0; id < engine->tokenizer_->vocab_size(); ++id)
    if (engine->tokenizer_->is_end_of_generation(id)) ends.push_back(id);
  engine->sampler_ = std::make_unique<Sampler>(config.vocab_size, ends);
  RIDGELINE_TRY(engine->logits_,
                Buffer::allocate(static_cast<std::size_t>(load.max_logit_rows) *
                                     static_cast<std::size_t>(config.vocab_size) * sizeof(float),
                                 "logits"));
  return engine;
}

Status Engine::check_ids(std::span<const TokenId> ids, const char* what) const {
  for (TokenId id : ids)
    if (id < 0 || id >= config().vocab_size)
      return fail(
          fmt::format("{} holds token id {}, expected 0 to {}", what, id, config().vocab_size - 1));
  return {};
}

Result<SequenceId> Engine::submit(std::vector<TokenId> prompt, SamplingParams params,
                                  CacheUse use) {
  const auto length = static_cast<std::int64_t>(prompt.size());
  if (config().is_encoder)
    return fail(
        fmt::format("a '{}' model writes no text: expected embed()", config().architecture));
  if (prompt.empty()) return fail("the prompt is empty: expected at least one token");
  if (length >= context_)
    return fail(
        fmt::format("the prompt has {} tokens, but the context holds {} and the answer needs "
                    "at least one",
                    length, context_));
  RIDGELINE_TRY_STATUS(check_ids(prompt, "the prompt"));
  RIDGELINE_TRY_STATUS(validate(params, config().vocab_size));
  if (use.continue_from >= next_id_)
    return fail(fmt::format("there is no sequence {} to continue from", use.continue_from));
  if (scheduler_->find(use.continue_from) != nullptr)
    return fail(
        fmt::format("sequence {} has not ended: it cannot be continued yet", use.continue_from));

  // The last token that is sampled needs no place in the cache, but counts as context.
  const std::int64_t limit =
      params.max_tokens < 0 ? context_ : std::min(context_, length + params.max_tokens);
  const SequenceId id = next_id_++;
  auto sequence = std::make_unique<Sequence>(id, std::move(prompt), std::move(params), limit,
                                             *pools_, *tokenizer_);
  sequence->cache_use = use;
  scheduler_->add(std::move(sequence));
  return id;
}

void Engine::cancel(SequenceId id) {
  if (Sequence* sequence = scheduler_->find(id)) {
    sequence->finished = FinishReason::kCancelled;
    scheduler_->remove_finished();
  }
}

std::span<float> Engine::logits(std::int64_t rows) {
  return {reinterpret_cast<float*>(logits_.data()),
          static_cast<std::size_t>(rows * config().vocab_size)};
}

void Engine::build_batch(const ScheduledStep& step) {
  batch_.clear();
  for (const ScheduledTokens& run : step) {
    const Sequence& s = *run.sequence;
    const auto first_row = static_cast<std::int32_t>(batch_.rows());
    const auto begin = s.tokens.begin() + s.num_computed_tokens;
    batch_.tokens.insert(batch_.tokens.end(), begin, begin + run.count);
    batch_.slices.push_back({first_row, static_cast<std::int32_t>(run.count), s.num_computed_tokens,
                             s.blocks.tables()});
    if (run.wants_logits) batch_.logit_rows.push_back(static_cast<std::int32_t>(batch_.rows() - 1));
  }
}

std::vector<TokenEvent> Engine::step() {
  std::vector<TokenEvent> events;
  const ScheduledStep scheduled = scheduler_->schedule();
  if (scheduled.empty()) return events;
  build_batch(scheduled);
  model_->forward(batch_, *kv_cache_);
  const auto rows = static_cast<std::int64_t>(batch_.logit_rows.size());
  if (rows > 0) model_->head(0, rows, logits(rows));
  commit(scheduled, events);
  scheduler_->remove_finished();
  return events;
}

void Engine::commit(const ScheduledStep& step, std::vector<TokenEvent>& events) {
  const auto vocab = static_cast<std::size_t>(config().vocab_size);
  const std::span<float> all = logits(static_cast<std::int64_t>(batch_.logit_rows.size()));
  std::size_t row = 0;
  for (const ScheduledTokens& run : step) {
    Sequence& s = *run.sequence;
    s.num_computed_tokens += run.count;
    if (!run.wants_logits) continue;
    if (s.total_tokens() >= s.max_total_tokens) {  // max_tokens is 0: only the prompt was wanted
      s.finished = FinishReason::kLength;
      events.push_back({s.id, {}, {}, s.finished, {}, s.num_reused_tokens});
      ++row;
      continue;
    }
    SampleRequest request;
    request.logits = all.subspan(row++ * vocab, vocab);
    request.history = s.tokens;
    request.output_position = static_cast<std::uint64_t>(s.output_tokens());
    const Result<SampledToken> sampled = sampler_->sample(s.params, request);
    if (!sampled) {
      s.finished = FinishReason::kError;
      events.push_back({s.id,
                        {},
                        s.detokenizer.finish(),
                        s.finished,
                        sampled.error().message,
                        s.num_reused_tokens});
      continue;
    }
    events.push_back(accept(s, sampled->id));
  }
}

TokenEvent Engine::accept(Sequence& s, TokenId token) {
  TokenEvent event;
  event.sequence = s.id;
  event.token = token;
  event.reused_tokens = s.num_reused_tokens;
  s.tokens.push_back(token);

  const bool early = s.output_tokens() <= s.params.min_tokens;
  const bool ends =
      (tokenizer_->is_end_of_generation(token) && !s.params.ignore_eos && !early) ||
      (std::ranges::find(s.params.stop_token_ids, token) != s.params.stop_token_ids.end() &&
       !early);
  if (ends) {
    s.finished = FinishReason::kStop;
  } else {
    StopStrings::Output out = s.stop_strings.push(s.detokenizer.push(token));
    event.text = std::move(out.emit);
    if (out.stopped)
      s.finished = FinishReason::kStop;
    else if (s.total_tokens() >= s.max_total_tokens)
      s.finished = FinishReason::kLength;
    if (out.stopped) {
      event.finished = s.finished;
      return event;
    }
  }
  if (s.finished) {
    StopStrings::Output rest = s.stop_strings.push(s.detokenizer.finish());
    event.text += rest.emit + s.stop_strings.finish();
    event.finished = s.finished;
  }
  return event;
}

Status Engine::generate(std::vector<TokenId> prompt, SamplingParams params,
                        const std::function<void(const TokenEvent&)>& on_event) {
  RIDGELINE_CHECK(idle());
  RIDGELINE_TRY_STATUS(submit(std::move(prompt), std::move(params)));
  while (!idle()) {
    for (const TokenEvent& event : step()) {
      on_event(event);
      if (event.finished == FinishReason::kError) return fail(event.error);
    }
  }
  return {};
}

MemoryUse Engine::memory_use() const {
  return {model_->weight_bytes(), kv_cache_->bytes(), model_->workspace_bytes() + logits_.size()};
}

}  // namespace ridgeline
