// An importance matrix as GGUF.

#include <fmt/format.h>

#include <cstring>
#include <limits>

#include "ridgeline/format/gguf.h"
#include "ridgeline/format/gguf_layout.h"
#include "ridgeline/format/gguf_text.h"
#include "ridgeline/format/gguf_writer.h"
#include "ridgeline/tools/ptq/importance_file.h"

namespace ridgeline::ptq {
namespace {

using gguf::quoted;

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";
constexpr std::int64_t kUint32Max = std::numeric_limits<std::uint32_t>::max();

std::vector<double> values_of(const TensorView& tensor) {
  std::vector<float> stored(static_cast<std::size_t>(tensor.elements()));
  std::memcpy(stored.data(), tensor.data, stored.size() * sizeof(float));
  return {stored.begin(), stored.end()};
}

Result<std::int64_t> read_count(const Checkpoint& file, const char* key) {
  RIDGELINE_TRY(const std::optional<std::int64_t> value, file.integer(key));
  if (value && (*value < 0 || *value > kUint32Max))
    return fail(
        fmt::format("{}: {} is {}, expected 0 to {}", file.path(), key, *value, kUint32Max));
  return value.value_or(0);
}

/// [matrices][cols]; ggml drops outer sizes of one.
std::vector<std::int64_t> shape_of(std::int64_t matrices, std::int64_t cols) {
  if (matrices == 1) return {cols};
  return {matrices, cols};
}

/// The tensors of a file to be written, and their numbers.
class Tensors {
 public:
  void add(std::string name, std::vector<std::int64_t> shape, const std::vector<double>& values) {
    storage_.emplace_back(values.begin(), values.end());
    TensorView view;
    view.name = std::move(name);
    view.dtype = DType::kF32;
    view.shape = std::move(shape);
    view.data = reinterpret_cast<const std::byte*>(storage_.back().data());
    view.bytes = values.size() * sizeof(float);
    views_.push_back(std::move(view));
  }
  const std::vector<TensorView>& views() const { return views_; }

 private:
  std::vector<std::vector<float>> storage_;
  std::vector<TensorView> views_;
};

}  // namespace

bool is_gguf(std::span<const std::byte> bytes) {
  return bytes.size() >= sizeof gguf::kMagic &&
         std::memcmp(bytes.data(), &gguf::kMagic, sizeof gguf::kMagic) == 0;
}

Result<ImportanceMatrix> parse_importance_gguf(std::span<const std::byte> bytes,
                                               const std::string& path) {
  RIDGELINE_TRY(const Checkpoint file, parse_gguf(bytes, path));
  RIDGELINE_TRY(const auto type, file.string("general.type"));
  if (type != "imatrix")
    return fail(fmt::format("{}: general.type is {}, expected 'imatrix'", path,
                            type ? quoted(*type) : "absent"));
  ImportanceMatrix matrix;
  RIDGELINE_TRY(const auto datasets, file.strings("imatrix.datasets"));
  if (datasets) matrix.datasets.assign(datasets->begin(), datasets->end());
  RIDGELINE_TRY(matrix.chunks, read_count(file, "imatrix.chunk_count"));
  RIDGELINE_TRY(matrix.chunk_size, read_count(file, "imatrix.chunk_size"));

  // What is neither a sum nor a count is left to programs that know it.
  for (const TensorView& tensor : file.tensors()) {
    const bool is_sum = tensor.name.ends_with(kSums);
    if (!is_sum && !tensor.name.ends_with(kCounts)) continue;
    if (tensor.dtype != DType::kF32)
      return fail(fmt::format("{}: tensor {} is {}, expected F32", path, quoted(tensor.name),
                              name(tensor.dtype)));
    const std::size_t suffix = (is_sum ? kSums : kCounts).size();
    auto& entry = matrix.entries()[tensor.name.substr(0, tensor.name.size() - suffix)];
    (is_sum ? entry.sums : entry.counts) = values_of(tensor);
  }
  if (matrix.entries().empty())
    return fail(fmt::format("{}: there is no tensor NAME{} in it", path, kSums));
  for (const auto& [tensor, entry] : matrix.entries())
    RIDGELINE_TRY_STATUS(check_importance(path, tensor, entry));
  return matrix;
}

Status write_importance_gguf(const ImportanceMatrix& matrix, const std::string& path) {
  for (const std::int64_t count : {matrix.chunks, matrix.chunk_size})
    if (count < 0 || count > kUint32Max)
      return fail(
          fmt::format("cannot write {}: chunks of {} tokens, {} of them, expected numbers "
                      "of 32 bits",
                      path, matrix.chunk_size, matrix.chunks));
  const std::vector<std::string_view> datasets(matrix.datasets.begin(), matrix.datasets.end());
  const GgufMetadata metadata = {
      {"general.type", GgufValue::of("imatrix")},
      {"imatrix.datasets", GgufValue::of(datasets)},
      {"imatrix.chunk_count", GgufValue::of(static_cast<std::uint32_t>(matrix.chunks))},
      {"imatrix.chunk_size", GgufValue::of(static_cast<std::uint32_t>(matrix.chunk_size))}};
  Tensors tensors;
  for (const auto& [name, entry] : matrix.entries()) {
    const auto matrices = static_cast<std::int64_t>(entry.counts.size());
    tensors.add(name + std::string(kSums), shape_of(matrices, entry.cols()), entry.sums);
    tensors.add(name + std::string(kCounts), shape_of(matrices, 1), entry.counts);
  }
  return write_gguf(path, metadata, tensors.views());
}

}  // namespace ridgeline::ptq
