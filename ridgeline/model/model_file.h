#pragma once

#include <memory>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"
#include "ridgeline/model/model_config.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

/// A model's file, opened and checked, before any weight is read: what those above
/// `model` see of file formats.
class ModelFile {
 public:
  /// Errors: those of open_gguf.
  static Result<ModelFile> open(const std::string& path);

  const std::string& path() const { return checkpoint_.path(); }
  Result<ModelConfig> config() const { return read_model_config(checkpoint_); }
  Result<std::unique_ptr<Tokenizer>> tokenizer() const;
  const Checkpoint& checkpoint() const { return checkpoint_; }

 private:
  explicit ModelFile(Checkpoint checkpoint) : checkpoint_(std::move(checkpoint)) {}
  Checkpoint checkpoint_;
};

}  // namespace ridgeline
