#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"

namespace ridgeline::ptq {

/// How strongly each input of each matrix is driven by real text: the sums of the squares of
/// its activations. What llama.cpp calls an imatrix, and its files.
class ImportanceMatrix {
 public:
  struct Entry {
    std::vector<double> sums;    ///< [matrices][cols] Σ x²
    std::vector<double> counts;  ///< [matrices] rows summed; 0: an expert that was never chosen
    std::int64_t cols() const {
      return counts.empty() ? 0 : static_cast<std::int64_t>(sums.size() / counts.size());
    }
    /// Mean squares of one matrix's inputs, [cols]; all ones if it saw no row.
    std::vector<float> mean_squares(std::int64_t matrix = 0) const;
  };

  /// llama.cpp's files: GGUF (general.type "imatrix") or the older binary .dat, told apart by
  /// content. Errors name the file and the entry.
  static Result<ImportanceMatrix> read(const std::string& path);
  /// GGUF, or the older form where the path ends in ".dat". Whole or not at all.
  Status write(const std::string& path) const;

  /// Under the tensor's name ("blk.0.attn_q.weight"); null if it was not seen.
  const Entry* find(std::string_view tensor) const;
  std::map<std::string, Entry, std::less<>>& entries() { return entries_; }
  const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }

  std::string dataset;          ///< of the calibration, for people
  std::int64_t chunks = 0;      ///< windows of text
  std::int64_t chunk_size = 0;  ///< tokens of each

 private:
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace ridgeline::ptq
