#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"
#include "ridgeline/model/model_config.h"
#include "ridgeline/model/rope_override.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

/// A model's files, opened and checked, before any weight is read: what those above
/// `model` see of file formats.
class ModelFile {
 public:
  struct Options {
    /// Weights of F32, F16 or BF16 are rounded to this type as they are read.
    std::optional<DType> quantize{};
    RopeOverride rope{};
  };
  /// A GGUF file, any part of one that was split, or a Hugging Face folder. Errors: those
  /// of open_gguf(), open_hugging_face(), quantize_on_load() and override_rope().
  static Result<ModelFile> open(const std::string& path, const Options& options);
  static Result<ModelFile> open(const std::string& path) { return open(path, {}); }

  const std::string& path() const { return checkpoint_.path(); }
  Result<ModelConfig> config() const { return read_model_config(checkpoint_); }
  Result<std::unique_ptr<Tokenizer>> tokenizer() const;
  /// The source of the chat template of that name ("": the default one; "tool_use"), if
  /// the model has one. load_chat_template() makes one to use.
  Result<std::optional<std::string>> chat_template(std::string_view name = "") const;
  const Checkpoint& checkpoint() const { return checkpoint_; }

 private:
  ModelFile(Checkpoint checkpoint, std::string folder)
      : checkpoint_(std::move(checkpoint)), folder_(std::move(folder)) {}
  Checkpoint checkpoint_;
  std::string folder_;  ///< of Hugging Face files; "" for GGUF
};

}  // namespace ridgeline
