#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/model/model_config.h"
#include "ridgeline/tensor/tensor_view.h"

namespace ridgeline {

/// What a model file holds and needs.
struct FileReport {
  struct TypeTotal {
    int tensors = 0;
    std::int64_t elements = 0;
    std::size_t bytes = 0;
  };
  std::string path;
  std::size_t file_bytes = 0;
  std::string format;  ///< "GGUF v3"
  std::string architecture;
  std::int64_t parameters = 0;
  std::size_t tensor_bytes = 0;
  std::map<std::string, TypeTotal, std::less<>> types;
  std::vector<TensorView> tensors;    ///< without their data, which goes with the file
  std::optional<ModelConfig> config;  ///< absent where it cannot be run
  std::string unsupported;            ///< why it is absent
  std::string tokenizer, pre_tokenizer;
  std::size_t vocab_tokens = 0;
  bool chat_template = false;

  /// KV cache of a sequence of `tokens`. Needs `config`.
  std::int64_t kv_bytes(DType type, std::int64_t tokens) const;
};

/// Errors: those of opening the file; one that cannot be run is reported all the same.
/// `quantize`: what is found as ModelFile::Options would load it.
Result<FileReport> inspect_file(const std::string& path,
                                std::optional<DType> quantize = std::nullopt);

}  // namespace ridgeline
