// Embeddings: the hidden states of a prompt, pooled. Sums run in the order of positions, so that a
// text's vector does not depend on its company nor on how it was cut.

#include "ridgeline/engine/embedding.h"

#include <algorithm>
#include <cmath>

#include "ridgeline/base/check.h"
#include "ridgeline/engine/engine.h"
#include "ridgeline/engine/sequence_output.h"

namespace ridgeline {

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
  RIDGELINE_CHECK(idle());
  const auto request = [&](const std::vector<TokenId>& text) {
    Request r;
    r.prompt = text;
    r.embed = options;
    return r;
  };
  for (const std::vector<TokenId>& text : texts) RIDGELINE_TRY_STATUS(check(request(text)));
  std::unordered_map<RequestId, std::size_t> index;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    RIDGELINE_TRY(const RequestId id, submit(request(texts[i])));
    index[id] = i;
  }
  std::vector<std::vector<float>> vectors(texts.size());
  while (!idle())
    for (TokenEvent& event : step())
      if (event.finished) vectors[index.at(event.request)] = std::move(event.embedding);
  return vectors;
}

void Engine::add_hidden(std::int64_t begin, std::int64_t end) {
  const auto width = static_cast<std::size_t>(config().hidden_size);
  hidden_.resize(static_cast<std::size_t>(end - begin) * width);
  model_->hidden(begin, end - begin, hidden_);
  for (std::int64_t row = begin; row < end; ++row) {
    SequenceOutput& out = *wanted_[static_cast<std::size_t>(row)].sequence->output;
    const float* values = hidden_.data() + static_cast<std::size_t>(row - begin) * width;
    for (std::size_t i = 0; i < width; ++i) out.embedding[i] += static_cast<double>(values[i]);
    ++out.pooled_rows;
  }
}

void Engine::finish_embedding(Sequence& s, std::vector<TokenEvent>& events) {
  const SequenceOutput& out = *s.output;
  double squares = 0;
  for (double v : out.embedding) squares += v * v;
  double scale = 1.0 / static_cast<double>(out.pooled_rows);
  if (out.request->embed->normalize) scale = squares > 0 ? 1.0 / std::sqrt(squares) : 0.0;
  TokenEvent event;
  event.embedding.resize(out.embedding.size());
  std::ranges::transform(out.embedding, event.embedding.begin(),
                         [scale](double v) { return static_cast<float>(v * scale); });
  event.finished = s.finished = FinishReason::kStop;
  emit(s, std::move(event), events);
}

}  // namespace ridgeline
