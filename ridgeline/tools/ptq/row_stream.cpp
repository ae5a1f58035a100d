#include "ridgeline/tools/ptq/row_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ridgeline/quant/block_format.h"
#include "ridgeline/quant/decode_rows.h"

namespace ridgeline::ptq {
namespace {

/// A thread's rows and their decoded image stay in its second-level cache.
constexpr std::int64_t kItemElements = std::int64_t{1} << 16;
/// So many items for each thread that the last ones of a step leave nobody idle for long.
constexpr std::int64_t kItemsPerThread = 4;
constexpr std::int64_t kItemsMin = 16;

/// Bytes of the file that hold rows [first, first + count), or all where they are converted.
TensorView pages_of(const TensorView& tensor, std::int64_t first, std::int64_t count) {
  TensorView part;
  part.data = tensor.data;
  part.bytes = tensor.bytes;
  if (!tensor.convert) {
    const std::size_t stride = row_bytes(tensor.dtype, tensor.cols());
    part.data += static_cast<std::size_t>(first) * stride;
    part.bytes = static_cast<std::size_t>(count) * stride;
  }
  return part;
}

Status check(const std::string& path, const PlannedTensor& tensor, const TensorQuality& quality) {
  const TensorView& source = *tensor.source;
  if (!std::isfinite(quality.signal))
    return fail(fmt::format("{}: tensor '{}' holds weights that are infinite or no numbers at all",
                            path, source.name));
  if (!std::isfinite(quality.noise))
    return fail(fmt::format(
        "{}: tensor '{}' holds weights that are too large for {}; expected a type of a larger "
        "range, such as --tensor-type '{}=BF16'",
        path, source.name, name(tensor.type), source.name));
  return {};
}

}  // namespace

RowStream::RowStream(const Checkpoint& file, ThreadPool& threads)
    : file_(file), threads_(threads), workers_(static_cast<std::size_t>(threads.size())) {}

RowStream::Step RowStream::step_for(std::int64_t cols) const {
  return {std::max<std::int64_t>(1, kItemElements / std::max<std::int64_t>(1, cols)),
          std::max(kItemsMin, kItemsPerThread * threads_.size())};
}

Status RowStream::convert(const PlannedTensor& tensor, const Encode& encode,
                          const Method::Append& append, TensorQuality& quality) {
  const TensorView& source = *tensor.source;
  const std::int64_t rows = source.rows(), cols = source.cols();
  const std::size_t stride = row_bytes(tensor.type, cols);
  const auto [rows_each, items_max] = step_for(cols);

  for (std::int64_t begin = 0; begin < rows; begin += rows_each * items_max) {
    const std::int64_t count = std::min(rows - begin, rows_each * items_max);
    const std::int64_t items = (count + rows_each - 1) / rows_each;
    file_.will_read(pages_of(source, begin, count));
    out_.resize(static_cast<std::size_t>(count) * stride);
    qualities_.assign(static_cast<std::size_t>(items), {});
    threads_.parallel_for(items, [&](std::int64_t item, int worker) {
      Worker& w = workers_[static_cast<std::size_t>(worker)];
      const std::int64_t first = item * rows_each;
      const std::int64_t n = std::min(rows_each, count - first);
      const auto elements = static_cast<std::size_t>(n * cols);
      w.original.resize(elements);
      w.decoded.resize(elements);
      std::byte* const out = out_.data() + static_cast<std::size_t>(first) * stride;
      decode_rows(source, begin + first, n, w.source, w.original.data());
      encode(begin + first, n, w.original.data(), out);
      decode(tensor.type, out, n * cols, w.decoded.data());
      qualities_[static_cast<std::size_t>(item)].add(w.original, w.decoded);
    });
    // In the order of the rows: the same sums whichever thread did what.
    for (const TensorQuality& q : qualities_) quality.add(q);
    RIDGELINE_TRY_STATUS(check(file_.path(), tensor, quality));
    file_.release(pages_of(source, begin, count));
    RIDGELINE_TRY_STATUS(append(out_));
  }
  return {};
}

Status RowStream::copy(const TensorView& tensor, const Method::Append& append) {
  const std::int64_t rows = tensor.rows();
  const auto [rows_each, items_max] = step_for(tensor.cols());
  const std::size_t stride = row_bytes(tensor.dtype, tensor.cols());
  for (std::int64_t begin = 0; begin < rows; begin += rows_each * items_max) {
    const std::int64_t count = std::min(rows - begin, rows_each * items_max);
    const TensorView pages = pages_of(tensor, begin, count);
    file_.will_read(pages);
    if (!tensor.convert) {
      RIDGELINE_TRY_STATUS(append(tensor.read_rows(begin, count, out_)));
      file_.release(pages);
      continue;
    }
    out_.resize(static_cast<std::size_t>(count) * stride);
    threads_.parallel_for((count + rows_each - 1) / rows_each, [&](std::int64_t item, int) {
      const std::int64_t first = item * rows_each;
      tensor.convert(begin + first, std::min(rows_each, count - first),
                     out_.data() + static_cast<std::size_t>(first) * stride);
    });
    file_.release(pages);
    RIDGELINE_TRY_STATUS(append(out_));
  }
  return {};
}

}  // namespace ridgeline::ptq
