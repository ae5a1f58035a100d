#include "ridgeline/model/decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ridgeline/base/check.h"

namespace ridgeline {

Decoder::Decoder(ModelConfig config, Backend& backend) : ops_(backend), config_(std::move(config)) {
  inverse_frequencies_ = config_.rope.inverse_frequencies();
}

Status Decoder::load(const Checkpoint& file, const LoadOptions& options) {
  RIDGELINE_TRY(const PackedWeights packed,
                PackedWeights::load(file, ops_, options.packed_cache, options.progress));
  packed_cache_ = packed.report();
  WeightLoader loader(file, packed, ops_);
  RIDGELINE_TRY(embedding_,
                loader.matrix("token_embd.weight", config_.vocab_size, config_.hidden_size));
  for (int i = 0; i < config_.layers; ++i)
    RIDGELINE_TRY_STATUS(load_layer(loader, fmt::format("blk.{}.", i)));
  RIDGELINE_TRY(final_norm_, loader.vector("output_norm.weight", config_.hidden_size));
  if (loader.has("output.weight")) {
    RIDGELINE_TRY(untied_head_,
                  loader.matrix("output.weight", config_.vocab_size, config_.hidden_size));
  }
  RIDGELINE_TRY_STATUS(loader.expect_all_used());
  weight_bytes_ = loader.bytes();
  return allocate_workspace(options);
}

Result<Matrix> Decoder::workspace_matrix(std::int64_t rows, std::int64_t cols, const char* what) {
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
  RIDGELINE_TRY(v_, workspace_matrix(rows, config_.kv_size(), "values"));
  RIDGELINE_TRY(attention_, workspace_matrix(rows, config_.q_size(), "attention results"));
  RIDGELINE_TRY(ffn_, workspace_matrix(rows, config_.ffn_size, "feed-forward activations"));
  RIDGELINE_TRY(rope_, workspace_matrix(rows, config_.rope.dims, "rotation angles"));
  RIDGELINE_TRY(logits_, workspace_matrix(options.max_logit_rows, config_.vocab_size, "logits"));

  Backend::Limits limits;
  limits.max_rows = std::max(rows, options.max_logit_rows);
  limits.max_cols = std::max({config_.hidden_size, config_.q_size(), config_.ffn_size});
  limits.max_positions = options.max_positions > 0 ? options.max_positions : config_.context_length;
  limits.query_heads = config_.num_heads;
  limits.kv_heads = config_.num_kv_heads;
  limits.head_dim = config_.head_dim;
  return ops_.reserve(limits);
}

std::size_t Decoder::workspace_bytes() const {
  std::size_t bytes = ops_.workspace_bytes();
  for (const auto& b : workspace_) bytes += b->bytes();
  return bytes;
}

void Decoder::set_rows(std::int64_t rows) {
  for (Matrix* m : {&x_, &h_, &q_, &k_, &v_, &attention_, &ffn_, &rope_}) m->rows = rows;
}

void Decoder::begin(const Batch& batch) {
  set_rows(batch.rows());
  ops_.embed(*embedding_, batch.tokens, x_);
  ops_.rope_table(batch.slices, inverse_frequencies_, 1.0F, rope_);
}

bool Decoder::keep_logit_rows(const Batch& batch) {
  const auto wanted = static_cast<std::int64_t>(batch.logit_rows.size());
  if (wanted < batch.rows()) {
    ops_.gather_rows(x_, batch.logit_rows, x_);
    ops_.gather_rows(attention_, batch.logit_rows, attention_);
    set_rows(wanted);
  }
  return wanted > 0;
}

void Decoder::finish() { ops_.rms_norm(x_, floats(final_norm_), config_.rms_norm_eps, h_); }

void Decoder::head(std::int64_t begin, std::int64_t count, std::span<float> out) {
  RIDGELINE_CHECK(begin >= 0 && begin + count <= h_.rows && count <= logits_.rows);
  const Matrix logits = logits_.first_rows(count);
  const PackedWeight& weight = untied_head_ ? *untied_head_ : *embedding_;
  const std::array<LinearOutput, 1> output{LinearOutput{&weight, logits}};
  ops_.linear(h_.slice_rows(begin, count), output);
  ops_.read(logits, out);
}

}  // namespace ridgeline
