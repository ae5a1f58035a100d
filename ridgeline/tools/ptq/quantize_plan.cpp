#include "ridgeline/tools/ptq/quantize_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <regex>
#include <tuple>
#include <utility>

#include "ridgeline/quant/block_format.h"
#include "ridgeline/tools/ptq/type_mixture.h"

namespace ridgeline::ptq {
namespace {

Result<DType> read_type(const std::string& option, const std::string& wanted) {
  if (const auto type = dtype_from_name(wanted); type && can_encode(*type)) return *type;
  std::string names;
  for (const DTypeInfo& t : all_dtypes())
    if (can_encode(t.dtype)) names += (names.empty() ? "" : ", ") + std::string(t.name);
  return fail(fmt::format("{}: '{}' is no type that can be written; expected one of: {}", option,
                          wanted, names));
}

/// Null where none is wanted.
Result<const DTypeInfo*> read_optional_type(const std::string& option, const std::string& wanted) {
  if (wanted.empty()) return nullptr;
  RIDGELINE_TRY(const DType type, read_type(option, wanted));
  return &info(type);
}

/// --tensor-type PATTERN=TYPE
class Override {
 public:
  static Result<Override> make(const std::string& pattern, const std::string& type) {
    Override out;
    out.option_ = fmt::format("--tensor-type {}={}", pattern, type);
    RIDGELINE_TRY(out.type_, read_type(out.option_, type));
    try {
      out.regex_ = std::regex(pattern, std::regex::ECMAScript | std::regex::optimize);
    } catch (const std::regex_error&) {
      return fail(fmt::format(
          "{}: '{}' is no regular expression; expected one such as 'attn_v' or 'blk\\.[0-3]\\.'",
          out.option_, pattern));
    }
    return out;
  }

  /// Error: the expression is more than the library can search with.
  Result<bool> matches(const std::string& tensor) {
    try {
      const bool found = std::regex_search(tensor, regex_);
      was_used_ = was_used_ || found;
      return found;
    } catch (const std::regex_error&) {
      return fail(fmt::format("{}: the regular expression is too complex", option_));
    }
  }
  DType type() const { return type_; }
  bool was_used() const { return was_used_; }
  const std::string& option() const { return option_; }

 private:
  std::string option_;
  DType type_ = DType::kF32;
  std::regex regex_;
  bool was_used_ = false;
};

/// Norms, biases and other vectors are F32 in GGUF, where llama.cpp expects them so.
bool is_widened(const TensorView& t) {
  if (t.dtype != DType::kF16 && t.dtype != DType::kBF16) return false;
  const bool is_vector = t.rows() <= 1;
  return is_vector || !t.name.ends_with(".weight") || t.name.ends_with("_norm.weight") ||
         t.name.ends_with("ffn_gate_inp.weight");
}

class Planner {
 public:
  Planner(const Checkpoint& model, const TypeChoice& choice, bool requantize)
      : model_(model), choice_(choice), requantize_(requantize) {}

  Status read_options() {
    RIDGELINE_TRY(output_type_, read_optional_type("--output-type", choice_.output_type));
    RIDGELINE_TRY(embedding_type_,
                  read_optional_type("--token-embedding-type", choice_.token_embedding_type));
    for (const auto& [pattern, type] : choice_.overrides) {
      RIDGELINE_TRY(Override o, Override::make(pattern, type));
      overrides_.push_back(std::move(o));
    }
    return {};
  }

  struct Choice {
    DType type;
    bool is_free = false;
  };
  Result<Choice> choose(const TensorView& t, int layer, MixtureRules& rules) {
    if (!may_be_rounded(t)) return Choice{is_widened(t) ? DType::kF32 : t.dtype};
    // Asked in any case: it counts.
    const DType by_mixture = rules.choose(t, layer);
    const bool is_head = t.name == "output.weight";
    const bool is_embedding = t.name == "token_embd.weight";
    if (choice_.keep_output && (is_head || (is_embedding && rules.is_tied())))
      return Choice{t.dtype};
    const bool stays = t.dtype == DType::kMXFP4 && !requantize_;
    DType wanted = stays ? t.dtype : by_mixture;
    bool is_named = false;
    for (Override& o : overrides_) {
      RIDGELINE_TRY(const bool found, o.matches(t.name));
      if (found) wanted = o.type();
      is_named = is_named || found;
    }
    const DTypeInfo* by_role = nullptr;
    if (is_head || (is_embedding && rules.is_tied())) by_role = output_type_;
    if (is_embedding && embedding_type_ != nullptr) by_role = embedding_type_;
    if (!is_named && by_role != nullptr) wanted = by_role->dtype;
    return Choice{fitting_type(wanted, t.cols()), !stays && !is_named && by_role == nullptr};
  }

  Status check_source(const TensorView& t, DType type) const {
    if (t.dtype == type || info(t.dtype).block_elements == 1 || requantize_) return {};
    return fail(
        fmt::format("{}: tensor '{}' is {} already, expected F32, F16 or BF16; --allow-requantize "
                    "rounds it a second time, which loses more than rounding the original once",
                    model_.path(), t.name, name(t.dtype)));
  }

  Status check_overrides() const {
    for (const Override& o : overrides_)
      if (!o.was_used())
        return fail(
            fmt::format("{}: the expression matches no tensor that can be rounded, "
                        "expected one that is found in a name such as "
                        "'blk.0.ffn_down.weight'",
                        o.option()));
    return {};
  }

 private:
  const Checkpoint& model_;
  const TypeChoice& choice_;
  bool requantize_;
  const DTypeInfo *output_type_ = nullptr, *embedding_type_ = nullptr;
  std::vector<Override> overrides_;
};

/// Layers first, then the rest with the embedding and the head behind it.
auto place(const PlannedTensor& t) {
  const std::string& name = t.source->name;
  const int kind = t.layer >= 0                  ? 0
                   : name == "token_embd.weight" ? 2
                   : name.starts_with("output.") ? 3
                                                 : 1;
  return std::tuple<int, int, const std::string&>(kind, t.layer, name);
}

}  // namespace

std::size_t PlannedTensor::bytes() const {
  return static_cast<std::size_t>(source->rows()) * row_bytes(type, source->cols());
}

Result<QuantizePlan> QuantizePlan::make(const Checkpoint& model, const TypeChoice& choice,
                                        bool requantize) {
  RIDGELINE_TRY(const MixtureInfo mixture, find_mixture(choice.type));
  Planner planner(model, choice, requantize);
  RIDGELINE_TRY_STATUS(planner.read_options());
  RIDGELINE_TRY(MixtureRules rules, MixtureRules::make(model, mixture, choice.importance));

  QuantizePlan plan;
  plan.file_type_ = mixture.file_type;
  plan.type_name_ = mixture.name;
  for (const TensorView& t : model.tensors())
    plan.tensors_.push_back({&t, t.dtype, layer_of(t.name), false});
  std::ranges::sort(plan.tensors_,
                    [](const auto& a, const auto& b) { return place(a) < place(b); });
  for (PlannedTensor& t : plan.tensors_) {
    RIDGELINE_TRY(const Planner::Choice chosen, planner.choose(*t.source, t.layer, rules));
    t.type = chosen.type;
    t.is_free = chosen.is_free;
    RIDGELINE_TRY_STATUS(planner.check_source(*t.source, t.type));
  }
  RIDGELINE_TRY_STATUS(planner.check_overrides());
  return plan;
}

void QuantizePlan::rename(std::string type_name) {
  type_name_ = std::move(type_name);
  std::map<DType, std::size_t> bytes;
  for (const PlannedTensor& t : tensors_) bytes[t.type] += t.bytes();
  const auto most = std::ranges::max_element(
      bytes, {}, [](const auto& type_and_bytes) { return type_and_bytes.second; });
  if (most == bytes.end()) return;
  if (const auto mixture = find_mixture(name(most->first))) file_type_ = mixture->file_type;
}

std::size_t QuantizePlan::bytes() const {
  std::size_t sum = 0;
  for (const PlannedTensor& t : tensors_) sum += t.bytes();
  return sum;
}

std::int64_t QuantizePlan::elements() const {
  std::int64_t sum = 0;
  for (const PlannedTensor& t : tensors_) sum += t.source->elements();
  return sum;
}

double QuantizePlan::bits_per_weight() const {
  return 8 * static_cast<double>(bytes()) /
         static_cast<double>(std::max<std::int64_t>(1, elements()));
}

}  // namespace ridgeline::ptq
