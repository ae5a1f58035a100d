#include "ridgeline/format/hf_convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "ridgeline/base/check.h"
#include "ridgeline/quant/decode_rows.h"

namespace ridgeline {
namespace {

std::size_t element_bytes(const TensorView& t) {
  return static_cast<std::size_t>(info(t.dtype).block_bytes);
}

/// The view with other shape and rows.
TensorView converted(const TensorView& stored, DType dtype, std::vector<std::int64_t> shape,
                     TensorView::Convert convert) {
  return {stored.name,      dtype,
          std::move(shape), stored.data,
          stored.bytes,     std::move(convert),
          stored.is_spread, stored.input_order};
}

}  // namespace

Result<TensorView> as_stored(const StoredTensor& stored, const std::string& path) {
  TensorView view;
  view.name = stored.name;
  view.shape = stored.shape;
  view.data = stored.data.data();
  view.bytes = stored.data.size();
  if (stored.dtype == "F32")
    view.dtype = DType::kF32;
  else if (stored.dtype == "F16")
    view.dtype = DType::kF16;
  else if (stored.dtype == "BF16")
    view.dtype = DType::kBF16;
  else
    return fail(
        fmt::format("{}: tensor '{}' is {}, which is not supported; supported: F32, F16, BF16",
                    path, stored.name, stored.dtype));
  // A header of odd length leaves elements where no float can be read.
  if (reinterpret_cast<std::uintptr_t>(view.data) % element_bytes(view) != 0)
    return pick_rows(view, view.shape, [](std::int64_t row) { return row; });
  return view;
}

TensorView pick_rows(TensorView stored, std::vector<std::int64_t> shape,
                     std::function<std::int64_t(std::int64_t)> source) {
  const std::size_t stride = row_bytes(stored.dtype, stored.cols());
  TensorView out = converted(stored, stored.dtype, std::move(shape), nullptr);
  out.convert = [stored = std::move(stored), source = std::move(source), stride](
                    std::int64_t first, std::int64_t count, std::byte* to) {
    std::vector<std::byte> scratch;
    const auto copy = [&](const std::byte* from) { std::memcpy(to, from, stride), to += stride; };
    std::int64_t low = source(first), high = low;
    for (std::int64_t i = first; i < first + count; ++i) {
      low = std::min(low, source(i));
      high = std::max(high, source(i));
    }
    // Rows that lie near each other are read at once: one by one, a tensor that is_spread is
    // slow.
    if (high - low < 2 * count) {
      const std::byte* rows = stored.read_rows(low, high - low + 1, scratch).data();
      for (std::int64_t i = first; i < first + count; ++i)
        copy(rows + static_cast<std::size_t>(source(i) - low) * stride);
      return;
    }
    for (std::int64_t i = first; i < first + count; ++i)
      copy(stored.read_rows(source(i), 1, scratch).data());
  };
  return out;
}

TensorView reshaped(TensorView stored, std::vector<std::int64_t> shape) {
  RIDGELINE_CHECK(!stored.input_order);
  TensorView out = converted(stored, stored.dtype, std::move(shape), nullptr);
  const std::size_t stride = row_bytes(out.dtype, out.cols());
  out.convert = [stored = std::move(stored), stride](std::int64_t first, std::int64_t count,
                                                     std::byte* to) {
    std::vector<std::byte> scratch;
    const auto all = stored.read_rows(0, stored.rows(), scratch);
    std::memcpy(to, all.data() + static_cast<std::size_t>(first) * stride,
                static_cast<std::size_t>(count) * stride);
  };
  return out;
}

TensorView as_f32(TensorView stored, float offset) {
  TensorView out = converted(stored, DType::kF32, stored.shape, nullptr);
  out.input_order = nullptr;
  out.convert = [source = std::move(stored), offset](std::int64_t first, std::int64_t count,
                                                     std::byte* to) {
    std::vector<std::byte> scratch;
    std::vector<float> values(static_cast<std::size_t>(count * source.cols()));
    decode_rows(source, first, count, scratch, values.data());
    for (float& value : values) value += offset;
    std::memcpy(to, values.data(), values.size() * sizeof(float));
  };
  return out;
}

TensorView transposed(TensorView stored, std::int64_t first, std::int64_t step) {
  RIDGELINE_CHECK(!stored.input_order);
  std::vector<std::int64_t> shape = stored.shape;
  std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  const std::int64_t rows = stored.shape[stored.shape.size() - 2];
  const std::int64_t picked = (stored.cols() - first + step - 1) / step;
  shape[shape.size() - 2] = picked;
  TensorView out = converted(stored, stored.dtype, std::move(shape), nullptr);
  out.is_spread = stored.shape.size() == 2;
  out.convert = [stored = std::move(stored), first, step, rows, picked](
                    std::int64_t begin, std::int64_t count, std::byte* to) {
    const std::size_t size = element_bytes(stored);
    const std::size_t stride = row_bytes(stored.dtype, stored.cols());
    std::vector<std::byte> scratch;
    const std::byte* matrix = nullptr;
    for (std::int64_t i = begin; i < begin + count; ++i) {
      if (i == begin || i % picked == 0)
        matrix = stored.read_rows(i / picked * rows, rows, scratch).data();
      const std::byte* from = matrix + static_cast<std::size_t>(first + i % picked * step) * size;
      for (std::int64_t r = 0; r < rows; ++r, from += stride, to += size)
        std::memcpy(to, from, size);
    }
  };
  return out;
}

Result<TensorView> mxfp4(const StoredTensor& blocks, const StoredTensor& scales, std::int64_t first,
                         std::int64_t step, const std::string& path) {
  constexpr std::int64_t kBytes = 16, kElements = 32;
  const auto& shape = blocks.shape;
  const bool fits = shape.size() >= 3 && shape.back() == kBytes && blocks.dtype == "U8" &&
                    scales.dtype == "U8" &&
                    scales.shape == std::vector<std::int64_t>(shape.begin(), shape.end() - 1);
  if (!fits)
    return fail(
        fmt::format("{}: tensors '{}' of {} [{}] and '{}' of {} [{}] are no MXFP4 blocks of "
                    "16 bytes with a scale each",
                    path, blocks.name, blocks.dtype, fmt::join(shape, ", "), scales.name,
                    scales.dtype, fmt::join(scales.shape, ", ")));
  const std::int64_t row_blocks = shape[shape.size() - 2];
  const std::int64_t rows = shape[shape.size() - 3];
  const std::int64_t picked = (rows - first + step - 1) / step;
  TensorView out;
  out.name = blocks.name;
  out.dtype = DType::kMXFP4;
  out.shape.assign(shape.begin(), shape.end() - 3);
  out.shape.insert(out.shape.end(), {picked, row_blocks * kElements});
  out.data = blocks.data.data();
  out.bytes = blocks.data.size();
  out.convert = [block_data = blocks.data.data(), scale_data = scales.data.data(), row_blocks, rows,
                 picked, first, step](std::int64_t begin, std::int64_t count, std::byte* to) {
    for (std::int64_t i = begin; i < begin + count; ++i) {
      const std::int64_t row = i / picked * rows + first + i % picked * step;
      for (std::int64_t b = row * row_blocks; b < (row + 1) * row_blocks; ++b) {
        const std::byte* from = block_data + b * kBytes;
        *to++ = scale_data[b];
        // Byte j holds elements 2j and 2j + 1; GGUF's holds j and j + 16.
        const auto element = [&](std::int64_t e) {
          const std::byte pair = from[e / 2];
          return e % 2 == 0 ? pair & std::byte{15} : pair >> 4;
        };
        for (std::int64_t j = 0; j < kBytes; ++j) *to++ = element(j) | element(j + kBytes) << 4;
      }
    }
  };
  return out;
}

}  // namespace ridgeline
