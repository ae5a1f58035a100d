// Engine::embed: whole texts in, one vector each out. Texts share batches as far as rows and
// blocks of the KV cache go; sums run in the order of positions, so that a text's vector does
// not depend on its company.

#include "ridgeline/engine/embedding.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <list>

#include "ridgeline/engine/engine.h"

namespace ridgeline {
namespace {

/// A text on its way through the batches.
struct Text {
  Text(std::size_t number, std::span<const TokenId> ids, KvPools& pools, std::size_t width)
      : index(number), tokens(ids), blocks(pools), sum(width, 0.0) {}

  std::int64_t left() const { return static_cast<std::int64_t>(tokens.size()) - done; }

  std::size_t index;
  std::span<const TokenId> tokens;
  SequenceBlocks blocks;
  std::vector<double> sum;  ///< [hidden_size], of the rows that are pooled
  std::int64_t done = 0;    ///< tokens computed
  std::int64_t pooled = 0;  ///< rows in the sum
};

/// Rows of a text in a batch, and those of them that are pooled.
struct Run {
  Text* text;
  std::int64_t count;
  std::int64_t pooled_begin, pooled_end;  ///< of the text's positions
};

Run make_run(Text& text, std::int64_t count, Pooling pooling) {
  const std::int64_t begin = text.done, end = begin + count;
  const auto size = static_cast<std::int64_t>(text.tokens.size());
  if (pooling == Pooling::kCls) return {&text, count, begin, std::max<std::int64_t>(begin, 1)};
  if (pooling == Pooling::kLast) return {&text, count, std::min(size - 1, end), end};
  return {&text, count, begin, end};
}

void add_to(Batch& batch, const Run& run) {
  const auto first_row = static_cast<std::int32_t>(batch.rows());
  Text& text = *run.text;
  text.blocks.advance(text.done, text.done + run.count);
  const auto tokens =
      text.tokens.subspan(static_cast<std::size_t>(text.done), static_cast<std::size_t>(run.count));
  batch.tokens.insert(batch.tokens.end(), tokens.begin(), tokens.end());
  batch.slices.push_back(
      {first_row, static_cast<std::int32_t>(run.count), text.done, text.blocks.tables()});
  for (std::int64_t p = run.pooled_begin; p < run.pooled_end; ++p)
    batch.logit_rows.push_back(first_row + static_cast<std::int32_t>(p - text.done));
}

std::vector<float> vector_of(const Text& text, bool normalize) {
  double squares = 0;
  for (double v : text.sum) squares += v * v;
  double scale = 1.0 / static_cast<double>(text.pooled);
  if (normalize) scale = squares > 0 ? 1.0 / std::sqrt(squares) : 0.0;
  std::vector<float> vector(text.sum.size());
  std::ranges::transform(text.sum, vector.begin(),
                         [scale](double v) { return static_cast<float>(v * scale); });
  return vector;
}

}  // namespace

std::optional<Pooling> pooling_from_name(std::string_view wanted) {
  for (Pooling p : {Pooling::kMean, Pooling::kCls, Pooling::kLast})
    if (name(p) == wanted) return p;
  return std::nullopt;
}

std::string_view name(Pooling pooling) {
  switch (pooling) {
    case Pooling::kNone:
      return "none";
    case Pooling::kMean:
      return "mean";
    case Pooling::kCls:
      return "cls";
    case Pooling::kLast:
      return "last";
  }
  return "";
}

Pooling Engine::pooling(const EmbedOptions& options) const {
  Pooling chosen = options.pooling.value_or(Pooling::kNone);
  if (chosen == Pooling::kNone) chosen = config().pooling;
  return chosen == Pooling::kNone ? Pooling::kMean : chosen;
}

Result<std::vector<float>> Engine::embed(std::span<const TokenId> tokens,
                                         const EmbedOptions& options) {
  const std::vector<std::vector<TokenId>> texts{{tokens.begin(), tokens.end()}};
  RIDGELINE_TRY(auto vectors, embed(texts, options));
  return std::move(vectors.front());
}

Result<std::vector<float>> Engine::embed(std::string_view text, const EmbedOptions& options) {
  return embed(tokenizer_->encode(text), options);
}

Result<std::vector<std::vector<float>>> Engine::embed(std::span<const std::vector<TokenId>> texts,
                                                      const EmbedOptions& options) {
  for (const std::vector<TokenId>& text : texts) {
    const auto length = static_cast<std::int64_t>(text.size());
    if (length == 0 || length > context_)
      return fail(
          fmt::format("a text of {} tokens cannot be embedded: expected 1 to {} (the context)",
                      length, context_));
    RIDGELINE_TRY_STATUS(check_ids(text, "the text"));
  }

  const Pooling how = pooling(options);
  const auto width = static_cast<std::size_t>(config().hidden_size);
  std::vector<std::vector<float>> vectors(texts.size());
  std::list<Text> active;
  std::vector<Run> runs;
  std::vector<float> hidden;
  for (std::size_t next = 0; next < texts.size() || !active.empty();) {
    batch_.clear();
    runs.clear();
    const auto take = [&](Text& text) {
      const std::int64_t room = batch_tokens_ - batch_.rows();
      // Every position of an encoder sees every other.
      if (room == 0 || (config().is_encoder && text.left() > room)) return;
      runs.push_back(make_run(text, std::min(room, text.left()), how));
      add_to(batch_, runs.back());
    };
    for (Text& text : active) take(text);
    while (next < texts.size() && batch_.rows() < batch_tokens_) {
      Text& text = active.emplace_back(next, texts[next], *pools_, width);
      if (!text.blocks.reserve(text.left(), batch_tokens_)) {
        active.pop_back();
        break;
      }
      ++next;
      take(text);
    }
    if (runs.empty())
      return fail(
          "the KV cache has no room for the text: its blocks are in use by other sequences");

    model_->forward(batch_, *kv_cache_);
    const std::size_t rows = batch_.logit_rows.size();
    hidden.resize(rows * width);
    if (rows > 0) model_->hidden(0, static_cast<std::int64_t>(rows), hidden);
    std::size_t row = 0;
    for (const Run& run : runs) {
      for (std::int64_t p = run.pooled_begin; p < run.pooled_end; ++p, ++row)
        for (std::size_t i = 0; i < width; ++i)
          run.text->sum[i] += static_cast<double>(hidden[row * width + i]);
      run.text->pooled += std::max<std::int64_t>(0, run.pooled_end - run.pooled_begin);
      run.text->done += run.count;
      if (run.text->left() == 0) vectors[run.text->index] = vector_of(*run.text, options.normalize);
    }
    active.remove_if([](const Text& text) { return text.left() == 0; });
  }
  return vectors;
}

}  // namespace ridgeline
