#include "ridgeline/model/pack_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "ridgeline/platform/crc32c.h"

namespace ridgeline {
namespace {

/// A unit's source and packed form together stay in a core's second-level cache.
constexpr std::size_t kUnitBytes = std::size_t{256} << 10;
/// Of the packed form. The file's pages of one batch are resident beside it.
constexpr std::size_t kBatchBytes = std::size_t{8} << 20;

/// The bytes of the file that rows are made of: with a conversion, about.
std::span<const std::byte> file_part(const TensorView& t, std::int64_t row, std::int64_t count) {
  const auto at = [&](std::int64_t r) {
    return static_cast<std::size_t>(static_cast<double>(t.bytes) * static_cast<double>(r) /
                                    static_cast<double>(t.rows()));
  };
  if (t.is_spread) return {t.data, t.bytes};
  if (t.convert) return {t.data + at(row), at(row + count) - at(row)};
  const std::size_t stride = row_bytes(t.dtype, t.cols());
  return {t.data + static_cast<std::size_t>(row) * stride,
          static_cast<std::size_t>(count) * stride};
}

/// Calls body(tensor view) for every run of units that lie together in one tensor.
template <class Body>
void for_runs(std::span<const PackUnit> units, Body&& body) {
  for (std::size_t i = 0; i < units.size();) {
    TensorView run;
    run.data = units[i].source.data();
    const TensorView* const tensor = units[i].tensor;
    for (; i < units.size() && units[i].tensor == tensor; ++i) run.bytes += units[i].source.size();
    run.bytes = std::min(run.bytes, tensor->bytes);
    body(run);
  }
}

}  // namespace

std::span<const std::byte> PackUnit::read() const {
  thread_local std::vector<std::byte> scratch;
  return tensor->read_rows(first_row, rows, scratch);
}

std::int64_t matrices_in(const TensorView& t) {
  if (t.shape.size() < 2 || t.elements() == 0 || t.name.ends_with(".bias") ||
      t.name.ends_with("attn_kv_b.weight"))
    return 0;
  std::int64_t count = 1;
  for (std::size_t i = 0; i + 2 < t.shape.size(); ++i) count *= t.shape[i];
  // The gate's rows, then the up product's, of each expert.
  const bool fused = t.name.ends_with("ffn_gate_up_exps.weight");
  return fused && t.rows() / count % 2 == 0 ? 2 * count : count;
}

MatrixType matrix_type(const TensorView& t) {
  return {t.dtype, t.name == "output.weight" || t.name == "token_embd.weight" ||
                       t.name == "position_embd.weight" || t.name == "token_types.weight" ||
                       t.name.find("ffn_gate_inp") != t.name.npos};
}

bool takes_int8(const TensorView& t) {
  return (t.dtype == DType::kF16 || t.dtype == DType::kBF16) && matrices_in(t) > 0 &&
         !matrix_type(t).kept;
}

Result<PackPlan> PackPlan::make(const Checkpoint& file, const Backend& backend) {
  PackPlan plan;
  const std::int64_t group = backend.pack_granularity();
  std::map<MatrixType, std::uint64_t> layouts;
  for (const TensorView& t : file.tensors()) {
    const std::int64_t matrices = matrices_in(t);
    if (matrices == 0) continue;
    const std::int64_t matrix_rows = t.rows() / matrices;
    const MatrixType type = matrix_type(t);
    const auto matrix_bytes = backend.packed_bytes(type, matrix_rows, t.cols());
    if (!matrix_bytes)
      return fail(
          fmt::format("{}: tensor '{}' has {}", file.path(), t.name, matrix_bytes.error().message));
    plan.places_[t.name] = {plan.bytes_, static_cast<std::size_t>(matrices) * *matrix_bytes,
                            t.input_order};
    const auto [layout, is_new] = layouts.try_emplace(type);
    if (is_new) layout->second = backend.packed_layout(type);
    plan.description_ += fmt::format(
        "{} {} {}{}x{} layout {:016x}{}\n", t.name, name(t.dtype),
        matrices > 1 ? fmt::format("{} of ", matrices) : "", matrix_rows, t.cols(), layout->second,
        t.input_order
            ? fmt::format(" order {:08x}", crc32c(std::as_bytes(std::span(*t.input_order))))
            : "");

    const std::size_t stride = row_bytes(t.dtype, t.cols());
    const std::int64_t rows =
        std::max<std::int64_t>(1, static_cast<std::int64_t>(kUnitBytes / stride) / group) * group;
    for (std::int64_t first = 0; first < t.rows(); first += matrix_rows) {
      for (std::int64_t row = 0; row < matrix_rows; row += rows) {
        const std::int64_t count = std::min(rows, matrix_rows - row);
        RIDGELINE_TRY(const std::size_t bytes, backend.packed_bytes(type, count, t.cols()));
        plan.units_.push_back(
            {&t, first + row, count, file_part(t, first + row, count), plan.bytes_, bytes});
        plan.bytes_ += bytes;
      }
    }
  }
  plan.description_ += fmt::format("{} units of {} bytes\n", plan.units_.size(), kUnitBytes);
  return plan;
}

std::span<const PackUnit> PackPlan::batch(std::size_t first) const {
  std::size_t end = first, bytes = 0;
  while (end < units_.size() && bytes < kBatchBytes) bytes += units_[end++].bytes;
  return std::span(units_).subspan(first, end - first);
}

const PackPlan::Place* PackPlan::find(const std::string& tensor) const {
  const auto it = places_.find(tensor);
  return it == places_.end() ? nullptr : &it->second;
}

void will_read(const Checkpoint& file, std::span<const PackUnit> units) {
  for_runs(units, [&](const TensorView& run) { file.will_read(run); });
}

void release(const Checkpoint& file, std::span<const PackUnit> units) {
  for_runs(units, [&](const TensorView& run) { file.release(run); });
}

}  // namespace ridgeline
