#include "ridgeline/tools/ablation/ablation.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <random>

#include "ridgeline/base/check.h"
#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/platform/cpu_features.h"
#include "ridgeline/platform/topology.h"

namespace ridgeline {
namespace {

constexpr std::int64_t kDefaultContext = 2048;
/// Of the base's logits, which are kept.
constexpr std::size_t kMostLogitBytes = std::size_t{512} << 20;
/// Waves of requests: two show how the places of those that ended are filled.
constexpr int kRequestsPerStream = 2;

/// The type of most of the weights. Error: it is no plain one.
Result<DType> plain_type(const ModelFile& file) {
  const TensorView* largest = nullptr;
  for (const TensorView& tensor : file.checkpoint().tensors())
    if (largest == nullptr || tensor.bytes > largest->bytes) largest = &tensor;
  if (largest == nullptr) return fail(fmt::format("{}: there are no weights", file.path()));
  for (const TensorView& tensor : file.checkpoint().tensors())
    if (info(tensor.dtype).block_elements != 1)
      return fail(
          fmt::format("{}: tensor '{}' is {}; bench ablation quantizes by itself and expects a "
                      "model of F32, F16 or BF16",
                      file.path(), tensor.name, name(tensor.dtype)));
  return largest->dtype;
}

class Ablation {
 public:
  Ablation(std::string path, const AblationOptions& options) : path_(std::move(path)) {
    report_.options = options;
  }

  Result<AblationReport> run() {
    RIDGELINE_TRY(const ModelFile file, ModelFile::open(path_));
    RIDGELINE_TRY(config_, file.config());
    RIDGELINE_TRY(const DType type, plain_type(file));
    RIDGELINE_TRY_STATUS(choose_context());
    RIDGELINE_TRY(const std::unique_ptr<Tokenizer> tokenizer, file.tokenizer());
    RIDGELINE_TRY_STATUS(make_inputs(*tokenizer));
    RIDGELINE_TRY(const std::vector<AblationConfig> rows, choose_rows(type));
    report_.model = path_;
    report_.cpu = cpu_features().brand;
    for (const AblationConfig& row : rows) report_.rows.push_back(measure(row));
    engine_.reset();
    find_factors();
    write_notes();
    return std::move(report_);
  }

 private:
  AblationOptions& options() { return report_.options; }
  void say(const std::string& what) {
    if (options().progress) options().progress(what);
  }

  Status choose_context() {
    AblationOptions& o = options();
    if (config_.is_encoder)
      return fail(fmt::format("{}: a '{}' model writes no text", path_, config_.architecture));
    if (o.prompt_tokens < 16 || o.output_tokens < 2)
      return fail(fmt::format("a prompt of {} tokens and {} of output: expected at least 16 and 2",
                              o.prompt_tokens, o.output_tokens));
    longest_ = o.prompt_tokens + o.output_tokens;
    if (o.context == 0)
      o.context = std::max({longest_, o.text.empty() ? 0 : o.eval_context,
                            std::min(kDefaultContext, config_.context_length)});
    if (o.context < longest_)
      return fail(fmt::format(
          "a context of {} tokens does not hold {} of prompt and output; choose a larger "
          "--ctx-size",
          o.context, longest_));
    if (o.text.empty()) return {};
    longest_ = std::max(longest_, o.eval_context);
    if (o.context < o.eval_context)
      return fail(
          fmt::format("a context of {} tokens does not hold windows of {}; choose a larger "
                      "--ctx-size or a smaller --eval-context",
                      o.context, o.eval_context));
    return {};
  }

  /// Prompts and windows of the text, or random prompts.
  Status make_inputs(const Tokenizer& tokenizer) {
    AblationOptions& o = options();
    std::mt19937 random(1);
    std::vector<TokenId> source;
    if (!o.text.empty()) {
      source = tokenizer.encode(o.text);
      RIDGELINE_TRY(windows_, text_windows(tokenizer, o.text, o.eval_context));
      const std::size_t fits =
          kMostLogitBytes /
          BasePredictions::bytes_of(static_cast<std::size_t>(o.eval_context), config_.vocab_size);
      const std::size_t most =
          std::max<std::size_t>(1, std::min(static_cast<std::size_t>(o.eval_windows), fits));
      if (windows_.size() > most) windows_.resize(most);
      report_.scored_tokens = static_cast<std::int64_t>(scored_tokens(windows_));
    }
    const auto tokens = [&](std::int64_t count) {
      std::vector<TokenId> ids(static_cast<std::size_t>(count));
      const std::size_t begin = source.empty() ? 0 : random() % source.size();
      for (std::size_t i = 0; i < ids.size(); ++i)
        ids[i] = source.empty()
                     ? static_cast<TokenId>(random() % static_cast<unsigned>(config_.vocab_size))
                     : source[(begin + i) % source.size()];
      return ids;
    };
    const auto between = [&](std::int64_t low, std::int64_t high) {
      return low + static_cast<std::int64_t>(random() % static_cast<unsigned>(high - low + 1));
    };
    prompt_ = tokens(o.prompt_tokens);
    for (int i = 0; i < kRequestsPerStream * o.streams; ++i)
      requests_.push_back(
          {tokens(between(o.prompt_tokens / 16, o.prompt_tokens / 4)),
           between(std::max<std::int64_t>(2, o.output_tokens / 4), o.output_tokens)});
    return {};
  }

  Result<std::vector<AblationConfig>> choose_rows(DType type) {
    const std::string best = options().engine.backend.isa.empty()
                                 ? std::string(available_kernels().front()->name)
                                 : options().engine.backend.isa;
    if (find_kernels(best) == nullptr)
      return fail(fmt::format("RIDGELINE_ISA {}: this CPU has no such instruction set", best));
    const std::vector<AblationConfig> all = ablation_ladder(type, best);
    if (options().rows.empty()) return all;
    std::vector<AblationConfig> chosen;
    for (const AblationConfig& row : all)
      if (std::ranges::find(options().rows, row.id) != options().rows.end()) chosen.push_back(row);
    std::string ids;
    for (const AblationConfig& row : all) ids += (ids.empty() ? "" : ", ") + row.id;
    for (const std::string& id : options().rows)
      if (std::ranges::find(all, id, &AblationConfig::id) == all.end())
        return fail(fmt::format("--rows {}: there is no such row; here are {}", id, ids));
    return chosen;
  }

  /// Without a cache sequences are as long as they are; preallocation, windows and paging are about
  /// what they could become.
  Result<EngineOptions> engine_options(const AblationConfig& row) {
    EngineOptions common = options().engine;
    common.context = row.cache ? options().context : longest_;
    common.max_sequences = row.is_batched() ? options().streams : 1;
    EngineOptions wanted = row.engine_options(common);
    if (row.kv == KvPolicy::kPaged && row.is_batched()) {
      // What the streams' requests take, in place of a whole context for each.
      RIDGELINE_TRY(const std::unique_ptr<Backend> backend,
                    create_backend({.threads = 1, .isa = row.isa, .pin = false}));
      RIDGELINE_TRY(const KvSizes sizes,
                    KvSizes::of(*backend, config_.kv_shape(DType::kF16), wanted.batch_tokens));
      const std::uint64_t needed =
          static_cast<std::uint64_t>(options().streams) *
          sizes.bytes(options().prompt_tokens / 4 + options().output_tokens);
      wanted.kv_memory_bytes = std::max(needed, sizes.bytes(options().context));
    }
    return wanted;
  }

  /// The engine of the row before, if it would be the same.
  Status load(const AblationConfig& row) {
    RIDGELINE_TRY(const EngineOptions wanted, engine_options(row));
    const std::string key =
        fmt::format("{} {} {} {} {} {} {} {}", static_cast<int>(row.operations), row.isa,
                    wanted.quantize ? name(*wanted.quantize) : "", row.cache, wanted.max_sequences,
                    wanted.kv_memory_bytes, wanted.measure_cost, row.looks_up_drafts);
    if (engine_ && key == engine_key_) return {};
    engine_.reset();  // gives its memory back first
    say(fmt::format("{}: loading", row.title));
    RIDGELINE_TRY(engine_, Engine::load(path_, wanted));
    engine_key_ = key;
    return {};
  }

  AblationRow measure(const AblationConfig& config) {
    AblationRow row;
    row.config = config;
    if (Status status = measure(row); !status) row.left_out = status.error().message;
    return row;
  }

  Status measure(AblationRow& row) {
    const AblationConfig& config = row.config;
    const bool windowed = std::ranges::any_of(config_.layer_windows, [](auto w) { return w > 0; });
    if (windowed && config.policy == ServingPolicy::kStaticBatches)
      return fail("layers with a window give back what padding has passed by");
    RIDGELINE_TRY_STATUS(load(config));
    const KvPolicy kv = windowed ? KvPolicy::kPaged : config.kv;
    row.isa = engine_->backend().isa();
    report_.threads = engine_->backend().threads();

    say(fmt::format("{}: one stream", config.title));
    const std::unique_ptr<Generation> generation = make_generation(*engine_, config.policy, kv);
    RIDGELINE_TRY(row.one, measure_one_stream(*generation, prompt_, options().output_tokens,
                                              config.cache, options().seconds_per_row));
    say(fmt::format("{}: {} streams", config.title, options().streams));
    KvMeter meter = generation->kv();
    RIDGELINE_TRY_STATUS(measure_streams(row, kv, meter));
    measure_memory(row, meter);
    if (!windows_.empty()) {
      say(fmt::format("{}: perplexity", config.title));
      RIDGELINE_TRY_STATUS(measure_quality(row));
    }
    return {};
  }

  Status measure_streams(AblationRow& row, KvPolicy kv, KvMeter& meter) {
    double all_seconds = 0;
    std::int64_t all_tokens = 0;
    for (const StreamRequest& request : requests_) {
      all_seconds += row.one.seconds(std::ssize(request.prompt), request.output_tokens);
      all_tokens += request.output_tokens;
    }
    // Of requests that come one after the other, one must be done in the time.
    const double one_seconds = all_seconds / static_cast<double>(requests_.size());
    if (!row.config.is_batched() && one_seconds > options().seconds_per_row) {
      row.throughput = {static_cast<double>(all_tokens) / all_seconds, true};
      return {};
    }
    RIDGELINE_TRY(const Served served,
                  serve(*engine_, row.config.policy, kv, requests_, options().seconds_per_row));
    row.throughput = {served.tokens_per_second(), false};
    row.requests = std::ssize(served.outputs);
    if (row.config.is_batched()) meter = served.kv;
    return {};
  }

  /// Of one stream, or of many where they are side by side.
  void measure_memory(AblationRow& row, const KvMeter& meter) {
    const MemoryUse use = engine_->memory_use();
    row.weight_bytes = use.weight_bytes;
    row.workspace_bytes = use.workspace_bytes + use.draft_bytes;
    row.kv_pool_bytes = use.kv_bytes;
    if (row.config.cache) {
      row.kv_bytes = meter.peak_bytes();
      if (row.config.is_batched() || !row.one.ttft_seconds.extrapolated)
        row.kv_utilisation = meter.utilisation();
      else  // of shorter prompts; blocks are counted, not guessed
        row.kv_bytes = std::max(
            row.kv_bytes,
            engine_->kv_sizes().bytes(options().prompt_tokens + options().output_tokens - 1));
    } else {
      row.workspace_bytes += use.kv_bytes;
    }
  }

  /// The first row of plain weights that has the time for it is what the others are held against.
  Status measure_quality(AblationRow& row) {
    const double seconds = static_cast<double>(windows_.size()) *
                           row.one.prompt_fit.seconds(static_cast<double>(options().eval_context));
    if (seconds > options().seconds_per_row) {
      row.no_quality = fmt::format("would take {:.0f} s", seconds);
      return {};
    }
    const bool plain =
        row.config.id == "baseline" || row.config.role == AblationConfig::Role::kHonestStart;
    if (!base_ && plain) {
      RIDGELINE_TRY(base_, predict_base(*engine_, windows_));
      row.perplexity = base_->perplexity;
      report_.quality_base = row.config.id;
      return {};
    }
    if (!base_) {
      row.no_quality = "there is no base before it";
      return {};
    }
    RIDGELINE_TRY(const Quality quality, compare_with_base(*engine_, windows_, *base_));
    row.perplexity = quality.perplexity;
    row.divergence = quality.divergence;
    return {};
  }

  void find_factors() {
    const AblationRow* const baseline = report_.find("baseline");
    const AblationRow* const honest = report_.find("honest-start");
    const AblationRow* before = nullptr;
    const auto over = [](const AblationRow* other, double value,
                         auto&& figure) -> std::optional<double> {
      if (other == nullptr || !other->left_out.empty()) return std::nullopt;
      return value / figure(*other);
    };
    const auto one = [](const AblationRow& r) { return r.one.tokens_per_second.value; };
    const auto many = [](const AblationRow& r) { return r.throughput.value; };
    for (AblationRow& row : report_.rows) {
      if (!row.left_out.empty()) continue;
      row.one_stream = {over(before, one(row), one), over(baseline, one(row), one),
                        over(honest, one(row), one)};
      row.many_streams = {over(before, many(row), many), over(baseline, many(row), many),
                          over(honest, many(row), many)};
      if (row.config.role == AblationConfig::Role::kLadder)
        before = &row;
      else if (row.config.role == AblationConfig::Role::kHonestStart)
        row.one_stream.before = row.many_streams.before = std::nullopt;
    }
  }

  void write_notes();

  std::string path_;
  ModelConfig config_;
  std::int64_t longest_ = 0;  ///< sequence that there will be
  AblationReport report_;
  std::vector<TokenId> prompt_;
  std::vector<StreamRequest> requests_;
  std::vector<EvalWindow> windows_;
  std::unique_ptr<Engine> engine_;
  std::string engine_key_;
  std::optional<BasePredictions> base_;
};

void Ablation::write_notes() {
  const AblationOptions& o = options();
  for (const AblationRow& row : report_.rows) {
    if (!row.left_out.empty())
      report_.notes.push_back(fmt::format("Not run: {}: {}.", row.config.title, row.left_out));
    if (!row.no_quality.empty())
      report_.notes.push_back(
          fmt::format("No perplexity: {}: {}.", row.config.title, row.no_quality));
    const bool extrapolated = row.one.ttft_seconds.extrapolated ||
                              row.one.tokens_per_second.extrapolated || row.throughput.extrapolated;
    if (row.left_out.empty() && extrapolated) {
      const auto longest = std::ranges::max_element(row.one.prompts, {}, &GrowthPoint::length);
      report_.notes.push_back(fmt::format(
          "* {}: extrapolated. Measured were prompts of up to {:.0f} tokens ({:.3g} s), fitted as "
          "{:.3g} n + {:.3g} n² s{}.",
          row.config.title, longest->length, longest->seconds, row.one.prompt_fit.linear,
          row.one.prompt_fit.quadratic,
          row.config.cache ? fmt::format(", and steps as {:.3g} + {:.3g} n s",
                                         row.one.step_fit.constant, row.one.step_fit.linear)
                           : std::string(", one such pass for every token")));
    }
  }
  report_.notes.push_back(
      fmt::format("One stream: a prompt of {} tokens, {} of output. {} streams: {} requests with "
                  "prompts of {} to {} tokens and {} to {} of output. Context: {}.",
                  o.prompt_tokens, o.output_tokens, o.streams, requests_.size(),
                  o.prompt_tokens / 16, o.prompt_tokens / 4,
                  std::max<std::int64_t>(2, o.output_tokens / 4), o.output_tokens, o.context));
  report_.notes.push_back(
      "× before: times the ladder's row before it. KV and workspace are of one stream, or of all "
      "where they run side by side.");
  if (!report_.quality_base.empty())
    report_.notes.push_back(
        fmt::format("Perplexity and KL of {} tokens of the text; KL is from '{}'.",
                    report_.scored_tokens, report_.find(report_.quality_base)->config.title));
}

}  // namespace

const AblationRow* AblationReport::find(std::string_view id) const {
  const auto it = std::ranges::find_if(rows, [&](const auto& row) { return row.config.id == id; });
  return it == rows.end() ? nullptr : &*it;
}

const AblationRow* AblationReport::first() const {
  for (const AblationRow& row : rows)
    if (row.config.role == AblationConfig::Role::kLadder && row.left_out.empty()) return &row;
  return nullptr;
}

const AblationRow* AblationReport::last() const {
  const AblationRow* found = nullptr;
  for (const AblationRow& row : rows)
    if (row.config.role == AblationConfig::Role::kLadder && row.left_out.empty()) found = &row;
  return found;
}

Result<AblationReport> run_ablation(const std::string& path, const AblationOptions& options) {
  return Ablation(path, options).run();
}

}  // namespace ridgeline
