#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
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
  /// content. Errors name the file and the entry: what ends early or has sizes that do not
  /// agree; sums and counts that are negative or no numbers.
  static Result<ImportanceMatrix> read(const std::string& path);
  /// The bytes of such a file; `path` names it in errors.
  static Result<ImportanceMatrix> parse(std::span<const std::byte> bytes, const std::string& path);
  /// GGUF, or the older form where the path ends in ".dat". Whole or not at all. Sums and counts
  /// become F32, of a .dat file the last of `datasets` is kept and what no text reached is left
  /// out. Errors: those of reading it again.
  Status write(const std::string& path) const;

  /// Under the tensor's name ("blk.0.attn_q.weight"); null if it was not seen.
  const Entry* find(std::string_view tensor) const;
  /// Mean squares for a tensor of so many matrices (experts; else 1) and inputs,
  /// [matrices][cols], all ones for a matrix that saw no row; empty if the tensor was not seen.
  /// Some files have one count for all matrices of a tensor. Error: an entry of another size.
  Result<std::vector<float>> mean_squares(std::string_view tensor, std::int64_t matrices,
                                          std::int64_t cols) const;

  std::map<std::string, Entry, std::less<>>& entries() { return entries_; }
  const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }

  std::vector<std::string> datasets;  ///< of the calibration, for people
  std::int64_t chunks = 0;            ///< windows of text
  std::int64_t chunk_size = 0;        ///< tokens of each; 0: not known (.dat)

 private:
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace ridgeline::ptq
