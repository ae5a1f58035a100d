#include "ridgeline/ops/cpu/segments.h"

#include <algorithm>

#include "ridgeline/base/check.h"
#include "ridgeline/kernels/kernel_table.h"

namespace ridgeline {

std::int64_t Segments::tiles_max(std::int64_t rows, int per_row, int experts) {
  const std::int64_t places = rows * per_row;
  return places / kMaxTileRows + std::min<std::int64_t>(experts, places);
}

void Segments::reserve(std::int64_t rows, int per_row, int experts) {
  const auto places = static_cast<std::size_t>(rows * per_row);
  segments_.reserve(static_cast<std::size_t>(experts));
  rows_.reserve(places);
  weights_.reserve(places);
  places_.reserve(static_cast<std::size_t>(experts));
}

void Segments::sort(const ExpertChoice& choice, std::int64_t rows, std::size_t experts) {
  const std::int64_t places = rows * choice.per_row;
  places_.assign(experts, 0);
  for (std::int64_t i = 0; i < places; ++i) {
    RIDGELINE_CHECK(static_cast<std::size_t>(choice.experts[i]) < experts);
    ++places_[static_cast<std::size_t>(choice.experts[i])];
  }

  segments_.clear();
  tiles_ = 0;
  std::int64_t begin = 0;
  for (std::size_t e = 0; e < experts; ++e) {
    const std::int64_t count = places_[e];
    places_[e] = begin;
    if (count == 0) continue;
    segments_.push_back({e, begin, count, tiles_});
    begin += count;
    tiles_ += (count + kMaxTileRows - 1) / kMaxTileRows;
  }

  rows_.resize(static_cast<std::size_t>(places));
  weights_.resize(static_cast<std::size_t>(places));
  for (std::int64_t i = 0; i < places; ++i) {
    const auto place =
        static_cast<std::size_t>(places_[static_cast<std::size_t>(choice.experts[i])]++);
    rows_[place] = static_cast<std::int32_t>(i / choice.per_row);
    weights_[place] = choice.weights[i];
  }
}

const Segment& Segments::of_tile(std::int64_t tile) const {
  return *std::prev(std::ranges::upper_bound(segments_, tile, {}, &Segment::first_tile));
}

const Segment& Segments::of_item(std::int64_t item) const {
  return *std::prev(std::ranges::upper_bound(segments_, item, {}, &Segment::first_item));
}

}  // namespace ridgeline
