#include "ridgeline/tools/ptq/gguf_metadata.h"

#include <cstdint>

namespace ridgeline::ptq {
namespace {

constexpr std::uint32_t kQuantizationVersion = 2;  // GGML_QNT_VERSION: how blocks are laid out

}  // namespace

GgufMetadata quantized_metadata(const Checkpoint& model, const QuantizePlan& plan) {
  auto pairs = model.metadata();
  std::erase_if(pairs, [](const auto& pair) { return pair.first.starts_with("split."); });
  pairs.insert_or_assign("general.file_type",
                         GgufValue::of(static_cast<std::uint32_t>(plan.file_type())));
  pairs.insert_or_assign("general.quantization_version", GgufValue::of(kQuantizationVersion));
  return {pairs.begin(), pairs.end()};
}

}  // namespace ridgeline::ptq
