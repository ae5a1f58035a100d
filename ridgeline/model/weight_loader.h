#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/format/gguf.h"
#include "ridgeline/ops/backend.h"

namespace ridgeline {

/// Takes tensors out of a file by name and shape, repacks them for the backend and
/// lets go of the file's pages stripe by stripe, so that a tensor is never resident
/// twice. Remembers which names were asked for.
class WeightLoader {
 public:
  WeightLoader(const GgufFile& file, Backend& backend, std::function<void(double)> progress);

  bool has(const std::string& name) const { return file_.tensor(name) != nullptr; }
  /// [rows][cols], any supported type.
  Result<std::unique_ptr<PackedWeight>> matrix(const std::string& name, std::int64_t rows,
                                               std::int64_t cols);
  /// [size], converted to F32.
  Result<std::unique_ptr<DeviceBuffer>> vector(const std::string& name, std::int64_t size);
  /// Null if the file has no such tensor.
  Result<std::unique_ptr<DeviceBuffer>> optional_vector(const std::string& name, std::int64_t size);

  /// A tensor that nobody asked for would be silently ignored: an error names it.
  Status expect_all_used() const;
  std::size_t packed_bytes() const { return packed_bytes_; }

 private:
  Result<const TensorView*> find(const std::string& name, std::int64_t rows, std::int64_t cols);
  void advance(std::size_t bytes);

  const GgufFile& file_;
  Backend& backend_;
  std::function<void(double)> progress_;
  std::set<std::string, std::less<>> used_;
  std::size_t total_bytes_ = 0;
  std::size_t done_bytes_ = 0;
  std::size_t packed_bytes_ = 0;
};

}  // namespace ridgeline
