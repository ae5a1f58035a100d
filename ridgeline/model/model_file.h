#pragma once

#include <memory>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/format/gguf.h"
#include "ridgeline/model/model_config.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

/// A model's file, opened and checked, before any weight is read: what those above
/// `model` see of file formats.
class ModelFile {
 public:
  /// Errors: those of GgufFile::open.
  static Result<ModelFile> open(const std::string& path);

  const std::string& path() const { return gguf_.path(); }
  Result<ModelConfig> config() const { return read_model_config(gguf_); }
  Result<std::unique_ptr<Tokenizer>> tokenizer() const;
  const GgufFile& gguf() const { return gguf_; }

 private:
  explicit ModelFile(GgufFile gguf) : gguf_(std::move(gguf)) {}
  GgufFile gguf_;
};

}  // namespace ridgeline
