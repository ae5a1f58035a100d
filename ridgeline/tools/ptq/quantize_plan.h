#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"

namespace ridgeline::ptq {

/// A tensor of the file to be written.
struct PlannedTensor {
  const TensorView* source;
  DType type;      ///< in the new file
  int layer = -1;  ///< that it belongs to; -1: none
  /// The type follows from the mixture: the tensor may be rounded, and nobody asked for a type by
  /// its name.
  bool is_free = false;

  bool changes() const { return source->dtype != type; }
  /// Becomes blocks: what a Method is asked for. The rest is copied or converted exactly.
  bool is_rounded() const { return changes() && info(type).block_elements > 1; }
  std::size_t bytes() const;  ///< in the new file
};

/// What the user asked for; types by name, "" for none.
struct TypeChoice {
  std::string type{};  ///< a type ("Q4_0") or a mixture ("Q4_K_M")
  /// --tensor-type PATTERN=TYPE, the last one that matches wins: a regular expression that is
  /// searched for in the tensor's name.
  std::vector<std::pair<std::string, std::string>> overrides{};
  std::string output_type{};           ///< of the head, and of a tied embedding
  std::string token_embedding_type{};  ///< of the embedding, also of a tied one
  bool keep_output = false;            ///< the head (and a tied embedding) stays as it is
  bool importance = false;             ///< rounding will be weighted: some mixtures depend on it
};

/// Which type each tensor gets, in the order in which they are computed and written: layer by
/// layer, then what belongs to none (the embedding and the head last).
class QuantizePlan {
 public:
  /// Errors: an unknown type or pattern; a tensor that is quantized already (unless
  /// `requantize`), but for MXFP4, in which models are published and which stays; a pattern
  /// that matches nothing.
  static Result<QuantizePlan> make(const Checkpoint& model, const TypeChoice& choice,
                                   bool requantize = false);

  const std::vector<PlannedTensor>& tensors() const { return tensors_; }
  std::vector<PlannedTensor>& tensors() { return tensors_; }
  /// GGUF's general.file_type, which people are shown; llama.cpp does not compute with it.
  int file_type() const { return file_type_; }
  /// As asked for, by its full name: "Q4_K_M" for "q4_k".
  const std::string& type_name() const { return type_name_; }
  /// After the tensors' types were changed: the file's type is that of most of its bytes.
  void rename(std::string type_name);
  std::size_t bytes() const;
  std::int64_t elements() const;
  double bits_per_weight() const;

 private:
  std::vector<PlannedTensor> tensors_;
  int file_type_ = 0;
  std::string type_name_;
};

}  // namespace ridgeline::ptq
