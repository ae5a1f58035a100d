#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"

namespace ridgeline::ptq {

/// The names that llama.cpp's users know: what a whole file is rounded to. A mixture gives
/// tensors that matter more a wider type.
enum class Mixture {
  kF32,
  kF16,
  kBF16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K_S,
  kQ3_K_M,
  kQ3_K_L,
  kQ4_K_S,
  kQ4_K_M,
  kQ5_K_S,
  kQ5_K_M,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
};

struct MixtureInfo {
  Mixture mixture;
  std::string_view name;
  DType type;     ///< of most tensors
  int file_type;  ///< GGUF's general.file_type
};

/// By name in any case; "Q3_K", "Q4_K" and "Q5_K" are the mixtures M. Error: lists all names.
Result<MixtureInfo> find_mixture(std::string_view name);

/// Whether a tensor may be rounded at all: matrices and stacks of them, but no norms, routers,
/// tables of positions, biases, and none of the small matrices of recurrent and other models
/// that llama.cpp keeps.
bool may_be_rounded(const TensorView& tensor);

/// llama.cpp's choices (llama-quant.cpp, 2026): which type a tensor gets in a mixture.
class MixtureRules {
 public:
  /// `importance`: rounding will be weighted, and some early layers need less care or more.
  static Result<MixtureRules> make(const Checkpoint& model, const MixtureInfo& mixture,
                                   bool importance);

  /// Once for each tensor that may be rounded, in the order of the layers: several rules count
  /// the tensors of a kind.
  DType choose(const TensorView& tensor, int layer);

  bool is_tied() const { return is_tied_; }

 private:
  MixtureRules(const MixtureInfo& mixture, bool importance)
      : mixture_(mixture), importance_(importance) {}

  DType of_output(const TensorView& tensor) const;
  DType of_value(DType type);
  DType of_ffn_down(DType type, int layer);
  DType of_attention_output(DType type) const;

  MixtureInfo mixture_;
  bool importance_;
  bool is_tied_ = true;
  bool is_llama_70b_ = false;
  std::int64_t layers_ = 0, experts_ = 0, heads_per_kv_head_ = 1;
  std::int64_t values_ = 0;  ///< tensors with attention's values
  std::int64_t values_seen_ = 0, ffn_downs_seen_ = 0;
};

/// `type`, or where its block does not divide the tensor's rows the nearest that fits.
DType fitting_type(DType type, std::int64_t cols);

/// N of "blk.N."; -1: a tensor of no layer.
int layer_of(std::string_view tensor);

}  // namespace ridgeline::ptq
