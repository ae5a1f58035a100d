#pragma once

#include <cstdint>
#include <vector>

namespace ridgeline {

/// One line of a sweep.
struct Workload {
  enum class Kind {
    kPrefill,  ///< `tokens` prompt tokens of every stream, in passes of the batch size
    kDecode,   ///< `tokens` steps of one token of every stream
  };
  Kind kind = Kind::kPrefill;
  std::int64_t tokens = 512;
  std::int64_t depth = 0;  ///< positions in every stream's cache beforehand
  int streams = 1;         ///< sequences side by side

  /// Of all streams together.
  std::int64_t total_tokens() const { return tokens * streams; }
};

/// One forward pass of a workload: the rows of each stream that takes part.
struct Pass {
  struct Part {
    int stream = 0;
    std::int64_t rows = 0;
    std::int64_t position = 0;  ///< of the first row
    bool logits = false;        ///< of the last row
  };
  std::vector<Part> parts;

  std::int64_t rows() const;
};

/// The passes that compute `work`, in order, of at most `batch_tokens` rows each. Prompts
/// follow each other densely, stream by stream, as a scheduler would put them.
std::vector<Pass> passes_of(const Workload& work, std::int64_t batch_tokens);

}  // namespace ridgeline
