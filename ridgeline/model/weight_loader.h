#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"
#include "ridgeline/model/packed_cache.h"
#include "ridgeline/ops/backend.h"

namespace ridgeline {

/// Hands out a file's tensors by name and shape, matrices as they were packed for the
/// backend. Remembers which names were asked for.
class WeightLoader {
 public:
  WeightLoader(const Checkpoint& file, const PackedWeights& packed, Backend& backend)
      : file_(file), packed_(packed), backend_(backend) {}

  const Checkpoint& file() const { return file_; }
  const std::string& path() const { return file_.path(); }
  bool has(const std::string& name) const { return file_.tensor(name) != nullptr; }
  /// Of a tensor whose number of rows only the file says.
  Result<int> rows(const std::string& name) const;
  /// [rows][cols], any supported type.
  Result<std::unique_ptr<PackedWeight>> matrix(const std::string& name, std::int64_t rows,
                                               std::int64_t cols);
  /// A stack [matrices][rows][cols] of them.
  Result<std::vector<std::unique_ptr<PackedWeight>>> stack(const std::string& name,
                                                           std::int64_t matrices, std::int64_t rows,
                                                           std::int64_t cols);
  /// A row of weights as a matrix of one row.
  Result<std::unique_ptr<PackedWeight>> row(const std::string& name, std::int64_t cols);
  /// Keys' and values' parts of multi-head latent attention by head, [latent][key] and
  /// [value][latent], from a file that holds them as one matrix
  /// [heads * (key + value)][latent]. Turning the keys' over keeps plain types and makes F32
  /// of blocks, which only divide along a row: `heads * key * latent * 4` bytes.
  struct LatentHeads {
    std::vector<std::unique_ptr<PackedWeight>> k, v;
  };
  Result<LatentHeads> latent_heads(const std::string& name, std::int64_t heads, std::int64_t key,
                                   std::int64_t value, std::int64_t latent);
  /// Rows [first, first + rows) of a matrix of `total` rows, which holds several.
  Result<std::unique_ptr<PackedWeight>> matrix_rows(const std::string& name, std::int64_t total,
                                                    std::int64_t first, std::int64_t rows,
                                                    std::int64_t cols);
  /// [size], converted to F32.
  Result<std::unique_ptr<DeviceBuffer>> vector(const std::string& name, std::int64_t size);
  /// Elements [first, first + size) of a vector of `total`.
  Result<std::unique_ptr<DeviceBuffer>> vector_part(const std::string& name, std::int64_t total,
                                                    std::int64_t first, std::int64_t size);
  /// Null if the file has no such tensor.
  Result<std::unique_ptr<DeviceBuffer>> optional_vector(const std::string& name, std::int64_t size);

  /// [rows][cols], converted to F32.
  Result<std::unique_ptr<DeviceBuffer>> table(const std::string& name, std::int64_t rows,
                                              std::int64_t cols);

  /// A tensor that nobody asked for would be silently ignored: an error names it.
  Status expect_all_used() const;
  /// Of what was handed out.
  std::size_t bytes() const { return bytes_; }

 private:
  Result<const TensorView*> find(const std::string& name, std::vector<std::int64_t> shape);
  /// Of rows that lie in no packed file.
  Result<std::unique_ptr<PackedWeight>> pack(MatrixType type, std::int64_t rows, std::int64_t cols,
                                             const std::byte* data);

  const Checkpoint& file_;
  const PackedWeights& packed_;
  Backend& backend_;
  std::set<std::string, std::less<>> used_;
  std::size_t bytes_ = 0;
};

/// Null-safe data pointer of an optional vector.
inline const float* floats(const std::unique_ptr<DeviceBuffer>& buffer) {
  return buffer ? buffer->floats() : nullptr;
}

}  // namespace ridgeline
