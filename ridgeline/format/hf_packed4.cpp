#include "ridgeline/format/hf_packed4.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <numeric>
#include <utility>

#include "ridgeline/format/gguf_text.h"
#include "ridgeline/quant/half.h"
#include "ridgeline/quant/int4.h"

// Read in GPTQModel 7.7 (nn_modules/qlinear/__init__.py: pack_block, dequantize_weight;
// utils/model.py: convert_gptq_v1_to_v2_format_module; quantization/awq/utils/packing_utils.py)
// and AutoAWQ 0.2.9 (awq/modules/linear/gemm.py, awq/utils/packing_utils.py).

namespace ridgeline {
namespace {

constexpr int kLevelsPerWord = 8;
/// Bits of AWQ's output e of a word's eight.
constexpr std::array<int, kLevelsPerWord> kAwqShift{0, 16, 4, 20, 8, 24, 12, 28};

std::uint32_t load_word(const std::byte* p) {
  std::uint32_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

std::uint16_t load_half(const std::byte* p) {
  std::uint16_t half;
  std::memcpy(&half, p, sizeof half);
  return half;
}

/// Everything that rows are made from. Sizes in elements.
struct Source {
  const std::byte *qweight, *qzeros, *scales;
  bool is_awq = false, scales_are_bf16 = false;
  std::uint32_t zero_offset = 0;  ///< what a word of qzeros lacks
  std::int64_t inputs = 0, outputs = 0;
  InputOrder order;  ///< null: as they lie
  std::vector<std::int32_t> group_of_block;

  int shift_of_output(std::int64_t output) const {
    return is_awq ? kAwqShift[static_cast<std::size_t>(output % kLevelsPerWord)]
                  : static_cast<int>(output % kLevelsPerWord) * 4;
  }
  std::uint8_t zero(std::int64_t group, std::int64_t output) const {
    const std::int64_t word = group * (outputs / kLevelsPerWord) + output / kLevelsPerWord;
    return (load_word(qzeros + word * 4) + zero_offset) >> shift_of_output(output) & 15;
  }
  std::uint16_t scale(std::int64_t group, std::int64_t output) const {
    const std::uint16_t bits = load_half(scales + (group * outputs + output) * 2);
    return scales_are_bf16 ? f32_to_f16(bf16_to_f32(bits)) : bits;
  }
  /// Of one input, for outputs [first, first + count).
  void levels(std::int64_t input, std::int64_t first, std::int64_t count, std::uint8_t* to) const {
    if (is_awq) {
      const std::byte* line = qweight + input * (outputs / kLevelsPerWord) * 4;
      for (std::int64_t o = first; o < first + count; ++o)
        *to++ = load_word(line + o / kLevelsPerWord * 4) >> shift_of_output(o) & 15;
    } else {
      const std::byte* line = qweight + (input / kLevelsPerWord * outputs + first) * 4;
      const int shift = static_cast<int>(input % kLevelsPerWord) * 4;
      for (std::int64_t o = 0; o < count; ++o) *to++ = load_word(line + o * 4) >> shift & 15;
    }
  }
};

/// Rows in blocks of kGroup. Some rows go together, as they share the words of a line.
template <int kGroup>
void write_rows(const Source& source, std::int64_t first, std::int64_t count, std::byte* to) {
  constexpr std::int64_t kRowsMax = 16, kRun = 32;
  const std::int64_t blocks = source.inputs / kGroup;
  std::uint8_t levels[kRun][kRowsMax];
  for (std::int64_t begin = 0; begin < count; begin += kRowsMax) {
    const std::int64_t rows = std::min(kRowsMax, count - begin);
    for (std::int64_t b = 0; b < blocks; ++b) {
      BlockInt4<kGroup> out[kRowsMax];
      const std::int64_t group = source.group_of_block[static_cast<std::size_t>(b)];
      for (std::int64_t r = 0; r < rows; ++r) {
        const std::uint16_t scale = source.scale(group, first + begin + r);
        std::memcpy(out[r].d, &scale, sizeof scale);
        out[r].zero = source.zero(group, first + begin + r);
      }
      for (std::int64_t run = 0; run < kGroup; run += kRun) {
        for (std::int64_t i = 0; i < kRun; ++i) {
          const std::int64_t at = b * kGroup + run + i;
          source.levels(source.order ? (*source.order)[static_cast<std::size_t>(at)] : at,
                        first + begin, rows, levels[i]);
        }
        for (std::int64_t r = 0; r < rows; ++r)
          for (std::int64_t j = 0; j < kRun / 2; ++j)
            out[r].qs[run / 2 + j] =
                static_cast<std::uint8_t>(levels[j][r] | levels[j + kRun / 2][r] << 4);
      }
      for (std::int64_t r = 0; r < rows; ++r)
        std::memcpy(to + ((begin + r) * blocks + b) * static_cast<std::int64_t>(sizeof out[r]),
                    &out[r], sizeof out[r]);
    }
  }
}

class Reader {
 public:
  Reader(const Packed4Tensors& tensors, const HfQuantization& quantization, InputOrders& orders,
         const std::string& path)
      : t_(tensors), quantization_(quantization), orders_(orders), path_(path) {}

  Result<TensorView> read() {
    RIDGELINE_TRY_STATUS(read_sizes());
    RIDGELINE_TRY_STATUS(read_groups());
    RIDGELINE_TRY_STATUS(arrange());
    RIDGELINE_TRY_STATUS(check_scales());
    TensorView view;
    view.name = t_.qweight->name;
    view.dtype = block_ == 128  ? DType::kINT4_128
                 : block_ == 64 ? DType::kINT4_64
                                : DType::kINT4_32;
    view.shape = {source_.outputs, source_.inputs};
    view.data = t_.qweight->data.data();
    view.bytes = t_.qweight->data.size();
    view.is_spread = true;
    view.input_order = source_.order;
    const auto write = block_ == 128  ? write_rows<128>
                       : block_ == 64 ? write_rows<64>
                                      : write_rows<32>;
    view.convert = [source = std::make_shared<const Source>(std::move(source_)), write](
                       std::int64_t first, std::int64_t count, std::byte* to) {
      write(*source, first, count, to);
    };
    return view;
  }

 private:
  template <class... Args>
  tl::unexpected<Error> wrong(const StoredTensor& t, fmt::format_string<Args...> format,
                              Args&&... args) const {
    return fail(fmt::format("{}: tensor {} ", path_, gguf::quoted(t.name)) +
                fmt::format(format, std::forward<Args>(args)...));
  }
  Status expect(const StoredTensor& t, std::initializer_list<std::string_view> dtypes,
                const std::vector<std::int64_t>& shape) const {
    if (std::ranges::find(dtypes, t.dtype) == dtypes.end() || t.shape != shape)
      return wrong(t, "is {} [{}], expected {} [{}]", t.dtype, fmt::join(t.shape, ", "),
                   fmt::join(dtypes, " or "), fmt::join(shape, ", "));
    return {};
  }

  /// Inputs and outputs from qweight's shape.
  Status read_sizes() {
    const StoredTensor& t = *t_.qweight;
    source_.is_awq = quantization_.method == HfQuantization::Method::kAwq;
    if (t.dtype != "I32" || t.shape.size() != 2 || t.shape[0] < 1 || t.shape[1] < 1)
      return wrong(t, "is {} [{}], expected I32 [{}]", t.dtype, fmt::join(t.shape, ", "),
                   source_.is_awq ? "inputs, outputs / 8" : "inputs / 8, outputs");
    source_.inputs = t.shape[0] * (source_.is_awq ? 1 : kLevelsPerWord);
    source_.outputs = t.shape[1] * (source_.is_awq ? kLevelsPerWord : 1);
    // The shape's bytes lie in a file, so neither product overflows.
    constexpr std::int64_t kRun = 32;
    if (source_.inputs % kRun != 0)
      return wrong(t, "has {} inputs, expected a multiple of {}", source_.inputs, kRun);
    if (source_.outputs % kLevelsPerWord != 0)
      return wrong(t, "has {} outputs, expected a multiple of {}", source_.outputs, kLevelsPerWord);
    source_.qweight = t.data.data();
    return {};
  }

  Status read_groups() {
    const std::int64_t inputs = source_.inputs;
    std::int64_t size = quantization_.group_size > 0 ? quantization_.group_size : inputs;
    if (quantization_.varies && t_.scales->shape.size() == 2 && t_.scales->shape[0] > 0 &&
        inputs % t_.scales->shape[0] == 0)
      size = inputs / t_.scales->shape[0];
    if (inputs % size != 0)
      return wrong(*t_.qweight, "has {} inputs, which groups of {} do not divide", inputs, size);
    const std::int64_t groups = inputs / size;
    RIDGELINE_TRY_STATUS(expect(*t_.scales, {"F16", "BF16"}, {groups, source_.outputs}));
    RIDGELINE_TRY_STATUS(expect(*t_.qzeros, {"I32"}, {groups, source_.outputs / kLevelsPerWord}));
    source_.scales = t_.scales->data.data();
    source_.scales_are_bf16 = t_.scales->dtype == "BF16";
    source_.qzeros = t_.qzeros->data.data();
    source_.zero_offset = quantization_.zeros_less_one ? 0x11111111U : 0;

    group_of_.resize(static_cast<std::size_t>(inputs));
    for (std::int64_t i = 0; i < inputs; ++i)
      group_of_[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i / size);
    if (t_.g_idx == nullptr) return {};
    RIDGELINE_TRY_STATUS(expect(*t_.g_idx, {"I32"}, {inputs}));
    std::memcpy(group_of_.data(), t_.g_idx->data.data(), group_of_.size() * sizeof(std::int32_t));
    for (std::size_t i = 0; i < group_of_.size(); ++i)
      if (group_of_[i] < 0 || group_of_[i] >= groups)
        return wrong(*t_.g_idx, "puts input {} in group {} of {}", i, group_of_[i], groups);
    return {};
  }

  /// Chooses the blocks' size, and the order of the inputs where groups do not lie together.
  Status arrange() {
    for (const std::int64_t size : {128, 64, 32})
      if (lies_in_blocks(group_of_, size)) return set_blocks(group_of_, size);
    std::vector<std::int32_t> order(group_of_.size());
    std::iota(order.begin(), order.end(), 0);
    const auto group = [this](std::int32_t input) {
      return group_of_[static_cast<std::size_t>(input)];
    };
    std::ranges::stable_sort(order, {}, group);
    std::vector<std::int32_t> sorted(order.size());
    std::ranges::transform(order, sorted.begin(), group);
    for (const std::int64_t size : {128, 64, 32}) {
      if (!lies_in_blocks(sorted, size)) continue;
      InputOrder& shared = orders_[order];
      if (shared == nullptr)
        shared = std::make_shared<const std::vector<std::int32_t>>(std::move(order));
      source_.order = shared;
      return set_blocks(sorted, size);
    }
    auto begin = sorted.begin(), end = begin;
    while ((end - begin) % 32 == 0) {
      begin = end;
      end = std::upper_bound(begin, sorted.end(), *begin);
    }
    return wrong(*(t_.g_idx != nullptr ? t_.g_idx : t_.qweight),
                 "has {} inputs in group {}, expected a multiple of 32", end - begin, *begin);
  }
  static bool lies_in_blocks(const std::vector<std::int32_t>& groups, std::int64_t size) {
    if (static_cast<std::int64_t>(groups.size()) % size != 0) return false;
    for (std::size_t i = 0; i < groups.size(); ++i)
      if (groups[i] != groups[i - i % static_cast<std::size_t>(size)]) return false;
    return true;
  }
  Status set_blocks(const std::vector<std::int32_t>& groups, std::int64_t size) {
    block_ = size;
    for (std::size_t i = 0; i < groups.size(); i += static_cast<std::size_t>(size))
      source_.group_of_block.push_back(groups[i]);
    return {};
  }

  /// F16 has more digits than BF16, but ends at 65504 and thins out below 2^-14.
  Status check_scales() const {
    if (!source_.scales_are_bf16) return {};
    for (std::int64_t i = 0; i < t_.scales->shape[0] * t_.scales->shape[1]; ++i) {
      const float value = bf16_to_f32(load_half(source_.scales + i * 2));
      const float kept = f16_to_f32(f32_to_f16(value));
      if (kept != value)
        return wrong(*t_.scales, "has the BF16 scale {}, which F16 does not hold exactly", value);
    }
    return {};
  }

  const Packed4Tensors& t_;
  const HfQuantization& quantization_;
  InputOrders& orders_;
  const std::string& path_;
  Source source_{};
  std::vector<std::int32_t> group_of_;  ///< each input's
  std::int64_t block_ = 0;
};

}  // namespace

Result<TensorView> packed4(const Packed4Tensors& tensors, const HfQuantization& quantization,
                           InputOrders& orders, const std::string& path) {
  return Reader(tensors, quantization, orders, path).read();
}

}  // namespace ridgeline
