#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"
#include "ridgeline/ops/backend.h"

namespace ridgeline {

/// How many matrices a tensor holds: 0 for a vector, a table of biases, and what is packed
/// only after it was taken apart (WeightLoader::latent_heads()); more than 1 for the stacks of a
/// mixture of experts, [experts][rows][cols].
std::int64_t matrices_in(const TensorView& tensor);

/// How a tensor's matrices are packed: tables of embeddings, the head and routers keep their
/// precision. bitsandbytes leaves the head alone, too; a router is small and decides much.
MatrixType matrix_type(const TensorView& tensor);
/// Are there matrices in it that int8 and llm.int8 round?
bool takes_int8(const TensorView& tensor);

/// Some rows of a matrix: what one thread packs at a time.
struct PackUnit {
  const TensorView* tensor;
  std::int64_t first_row, rows;
  std::span<const std::byte> source;  ///< the part of the file that is read for them
  std::size_t offset;                 ///< of the packed rows, among all packed bytes
  std::size_t bytes;

  /// The rows as the tensor's type has them; valid until this thread's next call.
  std::span<const std::byte> read() const;
};

/// All matrices of a file in a backend's layout, one after the other, and the order of
/// the work. It follows from the file's tensors and the backend alone, so that a later
/// process finds every byte where an earlier one put it.
class PackPlan {
 public:
  /// Error: the backend has no kernel for a matrix's type.
  static Result<PackPlan> make(const Checkpoint& file, const Backend& backend);

  std::size_t bytes() const { return bytes_; }
  std::span<const PackUnit> units() const { return units_; }
  /// Units from the first-th on that make up a few megabytes: packed together, between
  /// two looks at progress and memory.
  std::span<const PackUnit> batch(std::size_t first) const;

  struct Place {
    std::size_t offset, bytes;  ///< of all the tensor's matrices, which are of equal size
    InputOrder input_order = nullptr;
  };
  /// Null for a tensor that is no matrix.
  const Place* find(const std::string& tensor) const;

  /// Everything that the packed bytes depend on but for the tensors' values, as text.
  const std::string& description() const { return description_; }

 private:
  std::vector<PackUnit> units_;
  std::map<std::string, Place, std::less<>> places_;
  std::string description_;
  std::size_t bytes_ = 0;
};

/// Tells the file which of its pages will be needed, and which no more.
void will_read(const Checkpoint& file, std::span<const PackUnit> units);
void release(const Checkpoint& file, std::span<const PackUnit> units);

}  // namespace ridgeline
