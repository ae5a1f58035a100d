#include "ridgeline/quant/round_to_nearest.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "ridgeline/base/check.h"

namespace ridgeline {
namespace {

using Granularity = RoundToNearest::Granularity;

struct Range {
  float min = 0.0f, max = 0.0f;  // zero is always among them
};
Range range_of(std::span<const float> w) {
  Range range;
  for (const float v : w) {
    range.min = std::min(range.min, v);
    range.max = std::max(range.max, v);
  }
  return range;
}

/// How the numbers of one group become integers.
struct Rounding {
  float scale;
  int zero, low, high;

  void operator()(std::span<const float> w, std::int8_t* to) const {
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double steps = static_cast<double>(w[i]) / scale;
      const int level = static_cast<int>(steps + (steps < 0 ? -0.5 : 0.5)) + zero;
      to[i] = static_cast<std::int8_t>(std::clamp(level, low, high));
    }
  }
};

Rounding rounding_for(const Range& range, const RoundToNearest& scheme) {
  const int half = 1 << (scheme.bits - 1);
  const double min = range.min, max = range.max;
  const double width =
      scheme.symmetric ? std::max(-min, max) / (half - 1) : (max - min) / (2 * half - 1);
  // Below the least normal number a scale would lose the bits that the bound needs.
  const float scale = std::max(static_cast<float>(width), std::numeric_limits<float>::min());
  if (scheme.symmetric) return {scale, 0, 1 - half, half - 1};
  const int zero = static_cast<int>(std::round(-min / scale)) - half;
  return {scale, zero, -half, half - 1};
}

std::string describe(const RoundToNearest& scheme, std::int64_t cols) {
  if (scheme.bits != 4 && scheme.bits != 8)
    return "cannot be rounded to " + std::to_string(scheme.bits) + " bits; 4 and 8 are supported";
  if (scheme.granularity != Granularity::kGroup) return {};
  if (scheme.group != 32 && scheme.group != 64 && scheme.group != 128)
    return "cannot be rounded in groups of " + std::to_string(scheme.group) +
           "; 32, 64 and 128 are supported";
  if (cols % scheme.group != 0)
    return "has rows of " + std::to_string(cols) + " elements, which groups of " +
           std::to_string(scheme.group) + " do not divide";
  return {};
}

std::int64_t group_of(const RoundToNearest& scheme, std::int64_t rows, std::int64_t cols) {
  switch (scheme.granularity) {
    case Granularity::kTensor:
      return rows * cols;
    case Granularity::kChannel:
      return cols;
    case Granularity::kGroup:
      break;
  }
  return scheme.group;
}

std::span<const float> part(std::span<const float> w, std::int64_t at, std::int64_t n) {
  return w.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(n));
}

}  // namespace

double RoundedMatrix::bits_per_weight() const {
  const double bytes = static_cast<double>(codes.size() + 4 * scales.size() + zero_points.size());
  return 8.0 * bytes / static_cast<double>(rows * cols);
}

Result<RoundedMatrix> round_to_nearest(std::span<const float> w, std::int64_t rows,
                                       std::int64_t cols, const RoundToNearest& scheme,
                                       const std::string& name) {
  RIDGELINE_CHECK(rows > 0 && cols > 0 && static_cast<std::int64_t>(w.size()) == rows * cols);
  if (const std::string problem = describe(scheme, cols); !problem.empty())
    return fail(name + " " + problem);
  const auto odd = std::ranges::find_if_not(w, [](float v) { return std::isfinite(v); });
  if (odd != w.end()) {
    const std::int64_t at = odd - w.begin();
    return fail(name + " has " + std::to_string(*odd) + " in row " + std::to_string(at / cols) +
                ", column " + std::to_string(at % cols) + "; only finite weights can be rounded");
  }

  RoundedMatrix out{.scheme = scheme,
                    .rows = rows,
                    .cols = cols,
                    .group = group_of(scheme, rows, cols),
                    .scales = {},
                    .zero_points = {},
                    .codes = {}};
  std::vector<Rounding> roundings;
  for (std::int64_t at = 0; at < rows * cols; at += out.group) {
    roundings.push_back(rounding_for(range_of(part(w, at, out.group)), scheme));
    out.scales.push_back(roundings.back().scale);
    if (!scheme.symmetric)
      out.zero_points.push_back(static_cast<std::int8_t>(roundings.back().zero));
  }

  out.codes.resize(static_cast<std::size_t>(rows * out.row_bytes()));
  std::vector<std::int8_t> levels(static_cast<std::size_t>(cols));
  const std::int64_t segment = std::min(out.group, cols);
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t c = 0; c < cols; c += segment) {
      const std::int64_t at = row * cols + c;
      roundings[static_cast<std::size_t>(at / out.group)](part(w, at, segment), levels.data() + c);
    }
    std::uint8_t* to = out.codes.data() + row * out.row_bytes();
    if (scheme.bits == 4)
      pack_int4(levels, to);
    else
      std::ranges::transform(levels, to,
                             [](std::int8_t q) { return static_cast<std::uint8_t>(q); });
  }
  return out;
}

void dequantize(const RoundedMatrix& matrix, std::span<float> out) {
  RIDGELINE_CHECK(static_cast<std::int64_t>(out.size()) == matrix.rows * matrix.cols);
  std::vector<std::int8_t> levels(static_cast<std::size_t>(matrix.cols));
  const std::int64_t segment = std::min(matrix.group, matrix.cols);
  for (std::int64_t row = 0; row < matrix.rows; ++row) {
    const std::uint8_t* from = matrix.codes.data() + row * matrix.row_bytes();
    if (matrix.scheme.bits == 4)
      unpack_int4(from, levels);
    else
      std::ranges::transform(from, from + matrix.cols, levels.begin(),
                             [](std::uint8_t q) { return static_cast<std::int8_t>(q); });
    for (std::int64_t first = 0; first < matrix.cols; first += segment) {
      const auto group = static_cast<std::size_t>((row * matrix.cols + first) / matrix.group);
      const int zero = matrix.zero_points.empty() ? 0 : matrix.zero_points[group];
      float* to = out.data() + row * matrix.cols;
      for (std::int64_t c = first; c < first + segment; ++c)
        to[c] =
            matrix.scales[group] * static_cast<float>(levels[static_cast<std::size_t>(c)] - zero);
    }
  }
}

void pack_int4(std::span<const std::int8_t> from, std::uint8_t* to) {
  for (std::size_t i = 0; i < from.size(); i += 2) {
    const int low = from[i] & 15;
    const int high = i + 1 < from.size() ? from[i + 1] & 15 : 0;
    to[i / 2] = static_cast<std::uint8_t>(low | high << 4);
  }
}

void unpack_int4(const std::uint8_t* from, std::span<std::int8_t> to) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    const int nibble = from[i / 2] >> (i % 2 * 4) & 15;
    to[i] = static_cast<std::int8_t>((nibble ^ 8) - 8);
  }
}

}  // namespace ridgeline
