#include "ridgeline/tools/ptq/layerwise_pass.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ridgeline/base/check.h"
#include "ridgeline/tools/ptq/type_mixture.h"

namespace ridgeline::ptq {
namespace {

constexpr std::int64_t kHeadRows = 16;  // of logits, which nobody asks for here

std::int64_t blocks_of(std::int64_t tokens) {
  return (tokens + kKvBlockTokens - 1) / kKvBlockTokens;
}

}  // namespace

Result<std::unique_ptr<LayerwisePass>> LayerwisePass::start(
    const Checkpoint& model, ModelConfig config, std::vector<std::vector<TokenId>> windows,
    Options options) {
  std::unique_ptr<LayerwisePass> pass(
      new LayerwisePass(model, std::move(config), std::move(options)));
  for (const auto& window : windows) {
    if (window.empty()) return fail("a window of calibration text is empty");
    pass->context_ = std::max(pass->context_, static_cast<std::int64_t>(window.size()));
  }
  pass->batch_rows_ = std::max(pass->context_, pass->options_.batch_rows);
  pass->cut(windows);
  RIDGELINE_TRY(pass->backend_, create_backend(pass->options_.backend));

  // Every window of a batch has blocks of its own, the same in all groups of layers.
  std::size_t most_blocks = 0;
  for (const Piece& piece : pass->pieces_) {
    std::size_t blocks = 0;
    for (const SequenceSlice& slice : piece.batch.slices)
      blocks += static_cast<std::size_t>(blocks_of(slice.rows));
    most_blocks = std::max(most_blocks, blocks);
  }
  pass->block_ids_.resize(most_blocks);
  std::iota(pass->block_ids_.begin(), pass->block_ids_.end(), 0);
  for (Piece& piece : pass->pieces_) {
    std::size_t first = 0;
    for (SequenceSlice& slice : piece.batch.slices) {
      const auto blocks = static_cast<std::size_t>(blocks_of(slice.rows));
      slice.block_tables =
          KvBlockTables(KvBlockTables::Table(pass->block_ids_).subspan(first, blocks));
      first += blocks;
    }
  }
  RIDGELINE_TRY(pass->kv_cache_, pass->backend_->make_kv_cache(pass->config_.kv_shape(
                                     DType::kF16, static_cast<int>(most_blocks))));

  pass->x_.resize(static_cast<std::size_t>(pass->tokens_ * pass->config_.hidden_size));
  RIDGELINE_TRY(const auto ends, pass->load({0, 0, true}, {}));
  for (const Piece& piece : pass->pieces_) ends->embed(piece.batch, pass->rows_of(piece));
  return pass;
}

void LayerwisePass::cut(const std::vector<std::vector<TokenId>>& windows) {
  for (const auto& window : windows) {
    const auto rows = static_cast<std::int32_t>(window.size());
    if (pieces_.empty() || pieces_.back().batch.rows() + rows > batch_rows_)
      pieces_.push_back({tokens_, {}});
    Batch& batch = pieces_.back().batch;
    batch.slices.push_back({static_cast<std::int32_t>(batch.rows()), rows, 0, {}});
    batch.tokens.insert(batch.tokens.end(), window.begin(), window.end());
    tokens_ += rows;
  }
  for (Piece& piece : pieces_) {
    piece.batch.logit_rows.resize(piece.batch.tokens.size());
    std::iota(piece.batch.logit_rows.begin(), piece.batch.logit_rows.end(), 0);
  }
}

Result<std::unique_ptr<Model>> LayerwisePass::load(const Model::Part& part,
                                                   const Replacements& replacements) {
  Checkpoint::Contents contents;
  contents.path = model_.path();
  for (const TensorView& t : model_.tensors()) {
    const int layer = layer_of(t.name);
    if (layer < 0 ? !part.ends : layer < part.first_layer || layer >= part.end_layer) continue;
    const auto it = replacements.find(t.name);
    contents.tensors.push_back(it == replacements.end() ? t : it->second);
  }
  Model::LoadOptions load;
  load.max_batch_rows = batch_rows_;
  load.max_logit_rows = kHeadRows;
  load.max_positions = context_;
  load.part = part;
  const Checkpoint some(std::move(contents));
  RIDGELINE_TRY(auto loaded, Model::load(some, config_, *backend_, load));
  // It was packed; the subset of tensors does not know its file.
  for (const TensorView& t : some.tensors()) model_.release(t);
  return loaded;
}

std::span<float> LayerwisePass::rows_of(const Piece& piece) {
  const auto hidden = static_cast<std::size_t>(config_.hidden_size);
  return std::span(x_).subspan(static_cast<std::size_t>(piece.first_row) * hidden,
                               static_cast<std::size_t>(piece.batch.rows()) * hidden);
}

Status LayerwisePass::run(int layer, const Replacements& replacements, LinearObserver* observer,
                          Output output, const After& after) {
  RIDGELINE_TRY(const auto model, load({layer, layer + 1, false}, replacements));
  backend_->set_observer(observer);
  for (const Piece& piece : pieces_) {
    if (options_.stop != nullptr && options_.stop->load()) {
      backend_->set_observer(nullptr);
      return fail(fmt::format("{}: calibration was interrupted", model_.path()));
    }
    std::span<float> x = rows_of(piece);
    if (output == Output::kDrop) {
      scratch_.assign(x.begin(), x.end());
      x = scratch_;
    }
    model->run_layer(layer, piece.batch, *kv_cache_, x);
    if (after) {
      const std::int64_t hidden = config_.hidden_size;
      if (auto status = after(piece.first_row, {x.data(), piece.batch.rows(), hidden, hidden});
          !status) {
        backend_->set_observer(nullptr);
        return status;
      }
    }
    passed_rows_ += piece.batch.rows();
    if (options_.progress) options_.progress(passed_rows_);
  }
  backend_->set_observer(nullptr);
  return {};
}

Status LayerwisePass::finish(const std::function<Status(Matrix rows)>& sink) {
  RIDGELINE_TRY(const auto model, load({0, 0, true}, {}));
  for (const Piece& piece : pieces_) {
    model->finish(piece.batch, rows_of(piece));
    scratch_.resize(rows_of(piece).size());
    model->hidden(0, piece.batch.rows(), scratch_);
    RIDGELINE_TRY_STATUS(
        sink({scratch_.data(), piece.batch.rows(), config_.hidden_size, config_.hidden_size}));
  }
  return {};
}

}  // namespace ridgeline::ptq
