#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"
#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/tools/ptq/method.h"

namespace ridgeline::ptq {

/// Walks over a tensor's rows from the first to the last, a few megabytes at a time, on all
/// threads, and lets the file's pages go behind it. Memory: the rows of one step in the new
/// type (about 4 MiB + 1 MiB a thread in F32), and some rows in F32 for each thread.
class RowStream {
 public:
  /// Both outlive this.
  RowStream(const Checkpoint& file, ThreadPool& threads);

  /// Rows [first, first + count) of F32 to the form of the new type; from any thread.
  using Encode = std::function<void(std::int64_t first, std::int64_t count, const float* rows,
                                    std::byte* out)>;
  /// Error: weights that are no finite numbers, or that the type cannot hold.
  Status convert(const PlannedTensor& tensor, const Encode& encode, const Method::Append& append,
                 TensorQuality& quality);
  /// The tensor as it is.
  Status copy(const TensorView& tensor, const Method::Append& append);

 private:
  struct Worker {
    std::vector<std::byte> source;
    std::vector<float> original, decoded;
  };
  struct Step {
    std::int64_t rows_each;  ///< of what a thread does at a time
    std::int64_t items;
  };
  Step step_for(std::int64_t cols) const;

  const Checkpoint& file_;
  ThreadPool& threads_;
  std::vector<Worker> workers_;
  std::vector<std::byte> out_;
  std::vector<TensorQuality> qualities_;
};

}  // namespace ridgeline::ptq
