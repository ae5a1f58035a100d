#include "ridgeline/model/quantize_on_load.h"

#include <fmt/format.h>

#include <utility>

#include "ridgeline/model/pack_plan.h"
#include "ridgeline/quant/block_format.h"

namespace ridgeline {
namespace {

bool is_plain(DType type) { return info(type).block_elements == 1; }

bool stays(const TensorView& t) {
  return matrices_in(t) == 0 || t.name.find("ffn_gate_inp") != std::string::npos ||
         t.name.starts_with("position_embd") || t.name.starts_with("token_types");
}

bool fits(DType type, std::int64_t cols) { return cols % info(type).block_elements == 0; }

TensorView quantized(TensorView source, DType type) {
  TensorView out;
  out.name = source.name;
  out.dtype = type;
  out.shape = source.shape;
  out.data = source.data;
  out.bytes = source.bytes;
  out.is_spread = source.is_spread;
  out.convert = [source = std::move(source), type](std::int64_t first, std::int64_t count,
                                                   std::byte* to) {
    const std::int64_t cols = source.cols();
    std::vector<std::byte> scratch;
    std::vector<float> row(static_cast<std::size_t>(cols));
    const std::size_t from_stride = row_bytes(source.dtype, cols);
    const std::size_t to_stride = row_bytes(type, cols);
    const std::byte* from = source.read_rows(first, count, scratch).data();
    for (std::int64_t i = 0; i < count; ++i, from += from_stride, to += to_stride) {
      decode(source.dtype, from, cols, row.data());
      encode(type, row.data(), cols, to);
    }
  };
  return out;
}

}  // namespace

Result<Checkpoint> quantize_on_load(Checkpoint checkpoint, DType type) {
  if (!can_encode(type))
    return fail(fmt::format("--quantize {}: there is no encoder for this type", name(type)));
  Checkpoint::Contents contents = std::move(checkpoint).take();
  for (TensorView& t : contents.tensors) {
    if (stays(t)) continue;
    if (!is_plain(t.dtype))
      return fail(
          fmt::format("{}: tensor '{}' is {} already; --quantize {} expects a model of "
                      "F32, F16 or BF16",
                      contents.path, t.name, name(t.dtype), name(type)));
    const DType target = fits(type, t.cols()) ? type : DType::kQ8_0;
    if (fits(target, t.cols()) && target != t.dtype) t = quantized(std::move(t), target);
  }
  return Checkpoint(std::move(contents));
}

}  // namespace ridgeline
