#include "ridgeline/model/decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "ridgeline/base/check.h"

namespace ridgeline {

Decoder::Decoder(ModelConfig config, Backend& backend)
    : ops_(backend), config_(std::move(config)) {}

Status Decoder::load(const Checkpoint& file, const LoadOptions& options) {
  RIDGELINE_TRY(const PackedWeights packed,
                PackedWeights::load(file, ops_, options.packed_cache, options.progress));
  packed_cache_ = packed.report();
  WeightLoader loader(file, packed, ops_);
  const Part part = options.part.value_or(Part{0, config_.layers, true});
  first_layer_ = part.first_layer;
  if (config_.rope.dims > 0) {
    inverse_frequencies_ = config_.rope.inverse_frequencies(max_positions(options));
    local_inverse_frequencies_ = config_.local_rope.inverse_frequencies(max_positions(options));
  }
  if (part.ends) {
    RIDGELINE_TRY(embedding_,
                  loader.matrix("token_embd.weight", config_.vocab_size, config_.hidden_size));
    RIDGELINE_TRY_STATUS(load_positions(loader, options));
  }
  for (int i = part.first_layer; i < part.end_layer; ++i)
    RIDGELINE_TRY_STATUS(load_layer(loader, fmt::format("blk.{}.", i)));
  if (part.ends) RIDGELINE_TRY_STATUS(load_ends(loader));
  RIDGELINE_TRY_STATUS(loader.expect_all_used());
  weight_bytes_ = loader.bytes();
  return allocate_workspace(options);
}

Status Decoder::load_positions(WeightLoader& loader, const LoadOptions& options) {
  if (config_.rope.dims > 0) return {};
  const std::int64_t context = max_positions(options);
  RIDGELINE_TRY(positions_,
                loader.matrix("position_embd.weight", config_.context_length, config_.hidden_size));
  if (context > config_.context_length)
    return fail(
        fmt::format("{}: a context of {} tokens: the model knows {} positions, which are learned "
                    "and not computed",
                    loader.file().path(), context, config_.context_length));
  position_ids_.reserve(static_cast<std::size_t>(options.max_batch_rows));
  return {};
}

Status Decoder::load_ends(WeightLoader& loader) {
  RIDGELINE_TRY(final_norm_, NormWeights::load(loader, "output_norm", config_.hidden_size));
  if (loader.has("output.weight")) {
    RIDGELINE_TRY(untied_head_,
                  loader.matrix("output.weight", config_.vocab_size, config_.hidden_size));
  }
  RIDGELINE_TRY(head_bias_, loader.optional_vector("output.bias", config_.vocab_size));
  return {};
}

Result<Matrix> Decoder::workspace_matrix(std::int64_t rows, std::int64_t cols, const char* what) {
  if (cols == 0) return Matrix{nullptr, rows, 0, 0};
  RIDGELINE_TRY(auto buffer,
                ops_.allocate(static_cast<std::size_t>(rows * cols) * sizeof(float), what));
  workspace_.push_back(std::move(buffer));
  return Matrix{workspace_.back()->floats(), rows, cols, cols};
}

Status Decoder::allocate_workspace(const LoadOptions& options) {
  const std::int64_t rows = options.max_batch_rows;
  RIDGELINE_TRY(x_, workspace_matrix(rows, config_.hidden_size, "the residual stream"));
  RIDGELINE_TRY(h_, workspace_matrix(rows, config_.hidden_size, "activations"));
  RIDGELINE_TRY(q_, workspace_matrix(rows, config_.q_size(), "queries"));
  RIDGELINE_TRY(k_, workspace_matrix(rows, config_.kv_size(), "keys"));
  RIDGELINE_TRY(v_, workspace_matrix(rows, config_.value_size(), "values"));
  RIDGELINE_TRY(attention_, workspace_matrix(rows, config_.attention_size(), "attention results"));
  RIDGELINE_TRY(ffn_, workspace_matrix(rows, config_.dense_ffn_size(), "feed-forward activations"));
  RIDGELINE_TRY(rope_, workspace_matrix(rows, config_.rope.dims, "rotation angles"));
  RIDGELINE_TRY(local_rope_, workspace_matrix(rows, config_.local_rope.dims, "rotation angles"));
  RIDGELINE_TRY(logits_, workspace_matrix(options.max_logit_rows, config_.vocab_size, "logits"));

  Backend::Limits limits;
  limits.max_rows = std::max(rows, options.max_logit_rows);
  limits.max_cols = std::max({config_.hidden_size, config_.latent_kv ? 0 : config_.attention_size(),
                              config_.dense_ffn_size()});
  limits.max_positions = max_positions(options);
  limits.query_heads = config_.num_heads;
  limits.kv_heads = config_.num_kv_heads;
  limits.head_dim = config_.head_dim;
  limits.value_dim = config_.v_dim();
  limits.latent = config_.latent_kv;
  Mixture::extend(config_, limits);
  if (config_.latent_kv) {
    const LatentConfig& latent = config_.latent;
    limits.max_cols = std::max({limits.max_cols, std::int64_t{latent.q_rank},
                                std::int64_t{config_.num_heads} * latent.value_dim});
    limits.product_heads = config_.num_heads;
    limits.product_head_cols = std::max(latent.key_dim, latent.rank);
  }
  RIDGELINE_TRY_STATUS(allocate_own(rows));
  RIDGELINE_TRY_STATUS(mixture_.allocate(ops_, config_, rows));
  return ops_.reserve(limits);
}

std::size_t Decoder::workspace_bytes() const {
  std::size_t bytes = ops_.workspace_bytes() + mixture_.bytes();
  for (const auto& b : workspace_) bytes += b->bytes();
  return bytes;
}

void Decoder::set_rows(std::int64_t rows) {
  for (Matrix* m : {&x_, &h_, &q_, &k_, &v_, &attention_, &ffn_, &rope_, &local_rope_})
    m->rows = rows;
}

void Decoder::forward(const Batch& batch, KvCache& cache) {
  set_rows(batch.rows());
  embed_tokens(batch);
  compute_angles(batch);
  for (int layer = 0; layer < config_.layers; ++layer)
    if (!forward_layer(layer, batch, cache)) return;
  finish();
}

void Decoder::embed(const Batch& batch, std::span<float> x) {
  set_rows(batch.rows());
  embed_tokens(batch);
  ops_.read(x_, x);
}

void Decoder::run_layer(int layer, const Batch& batch, KvCache& cache, std::span<float> x) {
  set_rows(batch.rows());
  compute_angles(batch);
  ops_.write(x, x_);
  if (forward_layer(layer, batch, cache)) ops_.read(x_, x);
}

void Decoder::finish(const Batch& batch, std::span<const float> x) {
  set_rows(batch.rows());
  ops_.write(x, x_);
  finish();
}

void Decoder::embed_tokens(const Batch& batch) {
  ops_.embed(*embedding_, batch.tokens, x_);
  if (config_.embedding_scale != 1.0F) ops_.scale(x_, config_.embedding_scale);
  if (positions_) {
    position_ids_.clear();
    for (const SequenceSlice& slice : batch.slices)
      for (std::int32_t r = 0; r < slice.rows; ++r)
        position_ids_.push_back(static_cast<std::int32_t>(slice.first_position + r));
    ops_.embed(*positions_, position_ids_, h_);
    ops_.add(h_, x_);
  }
}

void Decoder::compute_angles(const Batch& batch) {
  const auto angles = [&](const RopeConfig& rope, std::span<const float> frequencies, Matrix out) {
    if (rope.dims > 0) ops_.rope_table(batch.slices, frequencies, rope.magnitude, out);
  };
  angles(config_.rope, inverse_frequencies_, rope_);
  angles(config_.local_rope, local_inverse_frequencies_, local_rope_);
}

void Decoder::norm(Matrix x, const NormWeights& w, Matrix out) {
  if (config_.norm == Norm::kLayer)
    ops_.layer_norm(x, floats(w.weight), floats(w.bias), config_.layer_norm_eps, out);
  else
    ops_.rms_norm(x, floats(w.weight), config_.rms_norm_eps, out);
}

void Decoder::project(Matrix x, const AttentionWeights& w) {
  ops_.linear(x, std::array{LinearOutput{w.q.get(), q_, floats(w.q_bias)},
                            LinearOutput{w.k.get(), k_, floats(w.k_bias)},
                            LinearOutput{w.v.get(), v_, floats(w.v_bias)}});
}

void Decoder::rotate(int layer) {
  if (config_.rope.dims == 0) return;
  const bool is_local = local_rope_.cols > 0 && config_.window(layer) > 0;
  const Matrix& table = is_local ? local_rope_ : rope_;
  ops_.rope(q_, config_.num_heads, table, config_.rope.style);
  ops_.rope(k_, config_.num_kv_heads, table, config_.rope.style);
}

void Decoder::attend(const Batch& batch, KvCache& cache, int layer, const float* sinks) {
  AttentionParams params;
  params.scale = config_.attention_scale > 0.0F
                     ? config_.attention_scale
                     : 1.0F / std::sqrt(static_cast<float>(config_.head_dim));
  params.window = config_.window(layer);
  params.softcap = config_.attention_softcap;
  params.sinks = sinks;
  params.causal = !config_.is_encoder;
  ops_.append_kv(cache, layer, k_, v_, batch.slices);
  ops_.attention(cache, layer, q_, batch.slices, params, attention_);
}

bool Decoder::keep_logit_rows(const Batch& batch) {
  const auto wanted = static_cast<std::int64_t>(batch.logit_rows.size());
  if (wanted < batch.rows()) {
    ops_.gather_rows(x_, batch.logit_rows, x_);
    ops_.gather_rows(h_, batch.logit_rows, h_);
    ops_.gather_rows(attention_, batch.logit_rows, attention_);
    set_rows(wanted);
  }
  return wanted > 0;
}

void Decoder::finish() { norm(x_, final_norm_, h_); }

void Decoder::hidden(std::int64_t begin, std::int64_t count, std::span<float> out) {
  RIDGELINE_CHECK(begin >= 0 && begin + count <= h_.rows);
  ops_.read(h_.slice_rows(begin, count), out);
}

void Decoder::head(std::int64_t begin, std::int64_t count, std::span<float> out) {
  RIDGELINE_CHECK(begin >= 0 && begin + count <= h_.rows && count <= logits_.rows &&
                  !config_.is_encoder);
  const Matrix logits = logits_.first_rows(count);
  const PackedWeight& weight = untied_head_ ? *untied_head_ : *embedding_;
  LinearOutput output{&weight, logits, floats(head_bias_)};
  output.scale = config_.logit_scale;
  ops_.linear(h_.slice_rows(begin, count), std::span(&output, 1));
  if (config_.logit_softcap > 0.0F) ops_.softcap(logits, config_.logit_softcap);
  ops_.read(logits, out);
}

}  // namespace ridgeline
