#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"
#include "ridgeline/model/model.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline::ptq {

/// Some windows of text on their way through a model that is loaded layer by layer. In memory
/// are their residual streams, [tokens][hidden_size] floats, and one layer at a time.
class LayerwisePass {
 public:
  struct Options {
    BackendOptions backend{};
    std::int64_t batch_rows = 1024;  ///< or one window, if that is longer
    /// Called after each batch with the rows that have passed a layer since start().
    std::function<void(std::int64_t rows)> progress{};
    const std::atomic<bool>* stop = nullptr;  ///< looked at before each batch
  };
  /// Computes the windows' embeddings. `model` must outlive the pass. Errors: those of
  /// Model::load(); a window that is empty; too little memory.
  static Result<std::unique_ptr<LayerwisePass>> start(const Checkpoint& model, ModelConfig config,
                                                      std::vector<std::vector<TokenId>> windows,
                                                      Options options);

  /// Tensors to use in place of the file's, by name.
  using Replacements = std::map<std::string, TensorView, std::less<>>;
  enum class Output { kKeep, kDrop };
  /// Runs a layer over all windows. `observer`, or null, sees its products. kKeep: what comes out
  /// is the next layer's input; kDrop: the layer's input stays, to run it again.
  /// `after`, or none, is given what comes out, batch by batch, where the streams' rows are.
  using After = std::function<Status(std::int64_t first_row, Matrix out)>;
  Status run(int layer, const Replacements& replacements, LinearObserver* observer, Output output,
             const After& after = {});
  /// Rows of the residual streams: what comes into the next layer.
  Matrix rows(std::int64_t first, std::int64_t count) {
    return {x_.data() + first * config_.hidden_size, count, config_.hidden_size,
            config_.hidden_size};
  }
  /// The rows as the head gets them, some at a time.
  Status finish(const std::function<Status(Matrix rows)>& sink);

  const ModelConfig& config() const { return config_; }
  std::int64_t tokens() const { return tokens_; }
  Backend& backend() { return *backend_; }

 private:
  LayerwisePass(const Checkpoint& model, ModelConfig config, Options options)
      : model_(model), config_(std::move(config)), options_(std::move(options)) {}

  /// Whole windows that go together: their rows in x_, and what the model is told of them.
  struct Piece {
    std::int64_t first_row;
    Batch batch;
  };
  void cut(const std::vector<std::vector<TokenId>>& windows);
  /// A model of that part, with the file's tensors of `prefix`, or all that are in no layer.
  Result<std::unique_ptr<Model>> load(const Model::Part& part, const Replacements& replacements);
  std::span<float> rows_of(const Piece& piece);

  const Checkpoint& model_;
  ModelConfig config_;
  Options options_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<KvCache> kv_cache_;
  std::vector<std::int32_t> block_ids_;
  std::vector<Piece> pieces_;
  std::int64_t tokens_ = 0, context_ = 0, batch_rows_ = 0, passed_rows_ = 0;
  std::vector<float> x_;        ///< [tokens][hidden_size]
  std::vector<float> scratch_;  ///< a piece's
};

}  // namespace ridgeline::ptq
