#include "ridgeline/tools/eval.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "ridgeline/base/check.h"
#include "ridgeline/platform/topology.h"

namespace ridgeline {
namespace {

/// Rows of logits computed at a time; Engine::load reserves at least as many.
constexpr std::int64_t kLogitRows = 16;

/// One engine's way through a window.
class WindowRun {
 public:
  explicit WindowRun(Engine& engine)
      : engine_(engine),
        vocab_(static_cast<std::size_t>(engine.config().vocab_size)),
        logits_(static_cast<std::size_t>(kLogitRows) * vocab_) {}

  Status start(const EvalWindow& window) {
    const auto length = static_cast<std::int64_t>(window.tokens.size());
    if (length > engine_.context())
      return fail(fmt::format("a sequence of {} tokens does not fit the context of {}", length,
                              engine_.context()));
    blocks_.emplace(engine_.kv_pools());
    return {};
  }

  /// Computes the positions [begin, end), which follow those before; `rows` of them, the last
  /// ones, are scored.
  void forward(const EvalWindow& window, std::int64_t begin, std::int64_t end, std::int64_t rows) {
    RIDGELINE_CHECK(blocks_->advance(begin, end));
    Batch batch;
    batch.tokens.assign(window.tokens.begin() + begin, window.tokens.begin() + end);
    batch.slices = {{0, static_cast<std::int32_t>(end - begin), begin, blocks_->tables()}};
    for (std::int64_t row = end - begin - rows; row < end - begin; ++row)
      batch.logit_rows.push_back(static_cast<std::int32_t>(row));
    engine_.model().forward(batch, engine_.kv_cache());
  }

  /// Computes the logits of the scored rows [row, row + count), count <= kLogitRows.
  void head(std::int64_t row, std::int64_t count) {
    engine_.model().head(row, count,
                         std::span(logits_).first(static_cast<std::size_t>(count) * vocab_));
  }
  /// Of the i-th of them.
  std::span<const float> logits(std::int64_t i) const {
    return std::span(logits_).subspan(static_cast<std::size_t>(i) * vocab_, vocab_);
  }

  Engine& engine() { return engine_; }

 private:
  Engine& engine_;
  std::size_t vocab_;
  std::vector<float> logits_;
  std::optional<SequenceBlocks> blocks_;
};

/// Takes all engines through the windows side by side. visit(window, position, count) sees
/// the logits of `count` scored positions from `position` on in each of the runs.
template <class Visit>
Status score_windows(std::span<WindowRun> runs, const std::vector<EvalWindow>& windows,
                     const std::function<void(double fraction)>& progress, Visit&& visit) {
  RIDGELINE_CHECK(!windows.empty());
  std::int64_t step = runs.front().engine().batch_tokens();
  for (WindowRun& run : runs) step = std::min(step, run.engine().batch_tokens());
  for (std::size_t w = 0; w < windows.size(); ++w) {
    const EvalWindow& window = windows[w];
    for (WindowRun& run : runs) RIDGELINE_TRY_STATUS(run.start(window));
    // Position p predicts the token after it; the last one predicts nothing that is known.
    const auto inputs = static_cast<std::int64_t>(window.tokens.size()) - 1;
    const std::int64_t first_scored = static_cast<std::int64_t>(window.score_from) - 1;
    for (std::int64_t begin = 0; begin < inputs; begin += step) {
      const std::int64_t end = std::min(inputs, begin + step);
      const std::int64_t first = std::clamp(first_scored, begin, end);
      for (WindowRun& run : runs) run.forward(window, begin, end, end - first);
      for (std::int64_t position = first; position < end; position += kLogitRows) {
        const std::int64_t count = std::min(kLogitRows, end - position);
        for (WindowRun& run : runs) run.head(position - first, count);
        RIDGELINE_TRY_STATUS(visit(window, position, count));
      }
    }
    if (progress) progress(static_cast<double>(w + 1) / static_cast<double>(windows.size()));
  }
  return {};
}

TokenId token_after(const EvalWindow& window, std::int64_t position) {
  return window.tokens[static_cast<std::size_t>(position + 1)];
}

tl::unexpected<Error> not_finite(const char* whose, std::int64_t position) {
  return fail(
      fmt::format("{} logits of position {} are not finite numbers; the weights may be damaged",
                  whose, position));
}

EvalResult result_of(const MeanEstimate& nll, const std::vector<EvalWindow>& windows) {
  return {.nll = nll.mean(),
          .nll_stderr = nll.standard_error(),
          .perplexity = std::exp(nll.mean()),
          .predicted_tokens = nll.count(),
          .windows = static_cast<std::int64_t>(windows.size())};
}

}  // namespace

Result<EvalResult> evaluate(Engine& engine, const std::vector<EvalWindow>& windows,
                            const std::function<void(double fraction)>& progress) {
  WindowRun run(engine);
  MeanEstimate nll;
  RIDGELINE_TRY_STATUS(score_windows(
      {&run, 1}, windows, progress,
      [&](const EvalWindow& window, std::int64_t position, std::int64_t count) -> Status {
        for (std::int64_t i = 0; i < count; ++i) {
          const double value =
              negative_log_likelihood(run.logits(i), token_after(window, position + i));
          if (!std::isfinite(value)) return not_finite("the", position + i);
          nll.add(value);
        }
        return {};
      }));
  return result_of(nll, windows);
}

Status score_tokens(Engine& engine, const std::vector<EvalWindow>& windows,
                    const std::function<void(double fraction)>& progress,
                    const std::function<Status(TokenId, std::span<const float>)>& visit) {
  WindowRun run(engine);
  return score_windows(
      {&run, 1}, windows, progress,
      [&](const EvalWindow& window, std::int64_t position, std::int64_t count) -> Status {
        for (std::int64_t i = 0; i < count; ++i)
          RIDGELINE_TRY_STATUS(visit(token_after(window, position + i), run.logits(i)));
        return {};
      });
}

Result<ComparedEval> evaluate_against(Engine& base, Engine& model,
                                      const std::vector<EvalWindow>& windows,
                                      const std::function<void(double fraction)>& progress) {
  if (base.config().vocab_size != model.config().vocab_size)
    return fail(
        fmt::format("the base predicts {} tokens and the model {}: their probabilities cannot "
                    "be compared",
                    base.config().vocab_size, model.config().vocab_size));
  WindowRun runs[] = {WindowRun(base), WindowRun(model)};
  MeanEstimate base_nll, nll;
  DivergenceStatistics divergence;
  PositionComparison positions[kLogitRows];
  RIDGELINE_TRY_STATUS(score_windows(
      runs, windows, progress,
      [&](const EvalWindow& window, std::int64_t position, std::int64_t count) -> Status {
        model.backend().host_threads().parallel_for(count, [&](std::int64_t i, int) {
          positions[i] = compare_position(runs[0].logits(i), runs[1].logits(i),
                                          token_after(window, position + i));
        });
        for (std::int64_t i = 0; i < count; ++i) {
          const PositionComparison& p = positions[i];
          if (!std::isfinite(p.base_nll)) return not_finite("the base's", position + i);
          if (!std::isfinite(p.nll) || !std::isfinite(p.kl))
            return not_finite("the model's", position + i);
          base_nll.add(p.base_nll);
          nll.add(p.nll);
          divergence.add(p);
        }
        return {};
      }));
  return ComparedEval{result_of(base_nll, windows), result_of(nll, windows), divergence.result()};
}

Status check_both_fit(const ModelFile& base, const ModelFile& model) {
  const auto mebibytes = [](std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  std::uint64_t bytes = 0;
  for (const ModelFile* file : {&base, &model})
    for (const TensorView& tensor : file->checkpoint().tensors()) bytes += tensor.bytes;
  const std::uint64_t available = memory_info().available_bytes;
  if (bytes > available)
    return fail(
        fmt::format("{} and {} are compared side by side and need {:.0f} MiB of memory for their "
                    "weights, but {:.0f} MiB are free",
                    base.path(), model.path(), mebibytes(bytes), mebibytes(available)));
  return {};
}

Status check_same_windows(const std::vector<EvalWindow>& base,
                          const std::vector<EvalWindow>& model) {
  for (std::size_t w = 0; w < std::min(base.size(), model.size()); ++w) {
    const auto [b, m] = std::ranges::mismatch(base[w].tokens, model[w].tokens);
    if (b == base[w].tokens.end() && m == model[w].tokens.end()) continue;
    const auto at = b - base[w].tokens.begin();
    if (b == base[w].tokens.end() || m == model[w].tokens.end())
      return fail(
          fmt::format("window {} of the text has {} tokens for the base and {} for the "
                      "model: their vocabularies differ",
                      w + 1, base[w].tokens.size(), model[w].tokens.size()));
    return fail(
        fmt::format("token {} of window {} of the text is {} for the base and {} for the "
                    "model: their vocabularies differ",
                    at + 1, w + 1, *b, *m));
  }
  if (base.size() != model.size())
    return fail(
        fmt::format("the text has {} windows for the base and {} for the model: their "
                    "vocabularies differ",
                    base.size(), model.size()));
  return {};
}

nlohmann::ordered_json to_json(const EvalResult& result) {
  return {
      {"nll", result.nll}, {"nll_stderr", result.nll_stderr}, {"perplexity", result.perplexity}};
}

nlohmann::ordered_json to_json(const DivergenceResult& result) {
  return {{"kl",
           {{"mean", result.kl_mean},
            {"stderr", result.kl_stderr},
            {"median", result.kl_median},
            {"p99", result.kl_p99},
            {"max", result.kl_max}}},
          {"top1", result.top1},
          {"top1_stderr", result.top1_stderr},
          {"delta_p", {{"mean", result.delta_p_mean}, {"rms", result.delta_p_rms}}},
          {"log_perplexity_ratio",
           {{"mean", result.log_perplexity_ratio}, {"stderr", result.log_perplexity_ratio_stderr}}},
          {"positions", result.positions}};
}

}  // namespace ridgeline
