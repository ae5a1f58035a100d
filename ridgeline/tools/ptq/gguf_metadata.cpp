#include "ridgeline/tools/ptq/gguf_metadata.h"

#include <cstdint>

namespace ridgeline::ptq {
namespace {

constexpr std::uint32_t kQuantizationVersion = 2;  // GGML_QNT_VERSION: how blocks are laid out

}  // namespace

GgufMetadata quantized_metadata(const GgufMetadata& model, const QuantizePlan& plan) {
  GgufMetadata out;
  for (const auto& pair : model) {
    const bool is_ours =
        pair.first == "general.file_type" || pair.first == "general.quantization_version";
    if (!is_ours && !pair.first.starts_with("split.")) out.push_back(pair);
  }
  out.emplace_back("general.file_type",
                   GgufValue::of(static_cast<std::uint32_t>(plan.file_type())));
  out.emplace_back("general.quantization_version", GgufValue::of(kQuantizationVersion));
  return out;
}

}  // namespace ridgeline::ptq
