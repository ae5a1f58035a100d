#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ridgeline/ops/experts.h"

namespace ridgeline {

/// The places of one expert's rows among those of all experts.
struct Segment {
  std::size_t expert;
  std::int64_t begin, rows;     ///< places
  std::int64_t first_tile;      ///< its rows fill tiles of their own
  std::int64_t first_item = 0;  ///< of the loop that is being run over all segments
};

/// A batch's rows sorted by the experts that they chose: first by expert, then by row.
/// A row has a place for each of its experts.
class Segments {
 public:
  /// No sort() of as much as this allocates.
  void reserve(std::int64_t rows, int per_row, int experts);
  void sort(const ExpertChoice& choice, std::int64_t rows, std::size_t experts);

  std::span<const Segment> all() const { return segments_; }
  std::span<Segment> all() { return segments_; }
  std::int64_t tiles() const { return tiles_; }
  std::int64_t row(std::int64_t place) const { return rows_[static_cast<std::size_t>(place)]; }
  float weight(std::int64_t place) const { return weights_[static_cast<std::size_t>(place)]; }
  const Segment& of_tile(std::int64_t tile) const;
  const Segment& of_item(std::int64_t item) const;

  static std::int64_t tiles_max(std::int64_t rows, int per_row, int experts);

 private:
  std::vector<Segment> segments_;     ///< of experts that have rows, ascending
  std::vector<std::int32_t> rows_;    ///< by place
  std::vector<float> weights_;        ///< by place
  std::vector<std::int64_t> places_;  ///< by expert: the next one
  std::int64_t tiles_ = 0;
};

}  // namespace ridgeline
