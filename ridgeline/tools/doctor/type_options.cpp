#include "ridgeline/tools/doctor/type_options.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "ridgeline/model/pack_plan.h"
#include "ridgeline/quant/block_format.h"
#include "ridgeline/tools/ptq/quantize_plan.h"

namespace ridgeline::doctor {
namespace {

constexpr std::array kMixtures{"Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q3_K_M", "Q2_K"};

std::uint64_t stored_bytes(const TensorView& tensor, DType type) {
  return static_cast<std::uint64_t>(tensor.rows()) * row_bytes(type, tensor.cols());
}

/// Fills in sizes and work from option.types.
Status measure_sizes(TypeOption& option, std::span<const TensorView> tensors,
                     const ModelConfig& config, const EngineOptions& options,
                     const Backend& backend, double kv_bytes, std::uint64_t other_bytes) {
  RIDGELINE_TRY(option.weight_bytes, packed_weight_bytes(backend, tensors, option.types));
  std::uint64_t bytes = 0;
  double elements = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    bytes += stored_bytes(tensors[i], option.types[i]);
    elements += static_cast<double>(tensors[i].elements());
  }
  option.file_bytes = bytes + other_bytes;
  option.bits_per_weight = 8 * static_cast<double>(bytes) / std::max(1.0, elements);
  option.work = model_work(config, tensors, options.backend.activations, kv_bytes, option.types);
  return {};
}

bool is_plain(std::span<const TensorView> tensors) {
  return std::ranges::all_of(tensors, [](const TensorView& t) {
    return matrices_in(t) == 0 || info(t.dtype).block_elements == 1;
  });
}

}  // namespace

std::string types_text(std::span<const TensorView> tensors) {
  std::map<DType, double> bytes;
  double all = 0;
  for (const TensorView& tensor : tensors) {
    if (matrices_in(tensor) == 0) continue;
    const auto stored = static_cast<double>(stored_bytes(tensor, tensor.dtype));
    bytes[tensor.dtype] += stored;
    all += stored;
  }
  std::vector<std::pair<double, DType>> by_size;
  for (const auto& [type, count] : bytes)
    if (count > 0.02 * all) by_size.emplace_back(-count, type);
  std::ranges::sort(by_size);
  std::string text;
  for (const auto& [count, type] : by_size)
    text += (text.empty() ? "" : " + ") + std::string(name(type));
  return text;
}

Result<std::vector<TypeOption>> type_options(const Checkpoint& file, const ModelConfig& config,
                                             const EngineOptions& options, const Backend& backend,
                                             double kv_bytes, std::uint64_t file_bytes) {
  const auto& tensors = file.tensors();
  std::uint64_t tensor_bytes = 0;
  TypeOption current;
  current.is_current = true;
  current.name = types_text(tensors);
  for (const TensorView& tensor : tensors) {
    current.types.push_back(tensor.dtype);
    tensor_bytes += stored_bytes(tensor, tensor.dtype);
  }
  const std::uint64_t other_bytes = file_bytes - std::min(file_bytes, tensor_bytes);
  RIDGELINE_TRY_STATUS(
      measure_sizes(current, tensors, config, options, backend, kv_bytes, other_bytes));
  std::vector<TypeOption> list{std::move(current)};

  const bool plain = is_plain(tensors);
  for (const char* mixture : kMixtures) {
    const auto plan = ptq::QuantizePlan::make(file, {.type = mixture}, /*requantize=*/true);
    if (!plan) continue;
    TypeOption option;
    option.name = mixture;
    std::map<const TensorView*, DType> chosen;
    for (const ptq::PlannedTensor& planned : plan->tensors()) chosen[planned.source] = planned.type;
    for (const TensorView& tensor : tensors) {
      const auto it = chosen.find(&tensor);
      option.types.push_back(it != chosen.end() ? it->second : tensor.dtype);
    }
    if (option.types == list.front().types) continue;  // the file is that already
    if (!measure_sizes(option, tensors, config, options, backend, kv_bytes, other_bytes)) continue;
    // Types that are no mixtures come out of loading just as well.
    if (plain && dtype_from_name(mixture) && can_encode(*dtype_from_name(mixture)))
      option.on_load = mixture;
    std::ranges::transform(option.on_load, option.on_load.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    });
    list.push_back(std::move(option));
  }
  return list;
}

std::vector<MatrixType> types_in(const std::vector<TypeOption>& options) {
  std::set<MatrixType> types;
  for (const TypeOption& option : options)
    for (const ModelWork::Weights& weights : option.work.weights) types.insert(weights.type);
  return {types.begin(), types.end()};
}

void describe_speeds(std::vector<TypeOption>& list, const MemoryFit& fit, const SpeedRates& rates,
                     std::int64_t batch_tokens) {
  for (TypeOption& option : list) {
    MemoryFit with = fit;
    with.weight_bytes = option.weight_bytes;
    option.fits = with.fits();
    option.decode_tokens_per_second = predicted_tokens_per_second(
        option.work, rates, {Workload::Kind::kDecode, 1, kDecodeDepth, 1}, batch_tokens);
    option.prefill_tokens_per_second = predicted_tokens_per_second(
        option.work, rates, {Workload::Kind::kPrefill, kPromptTokens, 0, 1}, batch_tokens);
  }
}

}  // namespace ridgeline::doctor
