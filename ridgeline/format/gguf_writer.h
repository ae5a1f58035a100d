#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/format/gguf.h"
#include "ridgeline/platform/atomic_file.h"
#include "ridgeline/tensor/tensor_view.h"

namespace ridgeline {

/// Metadata in the order in which it is written.
using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;

/// A tensor to come. The shape is outermost first, as in TensorView.
struct GgufTensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
};

/// Writes a GGUF v3 file from front to back, so that tensors need not be in memory at
/// once: create() with everything but the tensors' bytes, append() those in the order
/// of `tensors`, finish(). The file appears at `path` when finish() succeeds, whole;
/// until then it has a temporary name beside it (AtomicFile), which goes away with the
/// writer, or if that was killed, with the next one for the same path.
class GgufWriter {
 public:
  /// Takes the whole file's disk space. Refuses what Checkpoint would not read again:
  /// double or overlong names, a value that its type cannot hold, rows that are no
  /// multiple of the block, a bad general.alignment.
  static Result<GgufWriter> create(const std::string& path, const GgufMetadata& metadata,
                                   std::span<const GgufTensorInfo> tensors);

  /// The next bytes of the tensor in turn; a tensor may come in pieces, but no piece
  /// goes past its end. The alignment's padding is the writer's business.
  Status append(std::span<const std::byte> bytes);

  /// All tensors are complete: flushes to the disk and renames to `path`.
  Status finish();

 private:
  GgufWriter() = default;

  std::optional<AtomicFile> file_;  ///< none: finished
  std::vector<std::size_t> tensor_bytes_;
  std::size_t alignment_ = 0;
  std::size_t tensor_ = 0;   ///< the one in turn
  std::size_t written_ = 0;  ///< bytes of it
  std::size_t offset_ = 0;   ///< in the file, of what comes next
};

/// The same in one call, for tensors that are in memory.
Status write_gguf(const std::string& path, const GgufMetadata& metadata,
                  std::span<const TensorView> tensors);

}  // namespace ridgeline
