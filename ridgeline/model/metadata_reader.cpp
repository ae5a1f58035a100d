#include "ridgeline/model/metadata_reader.h"

#include <fmt/format.h>

#include <limits>

namespace ridgeline {

Result<int> MetadataReader::integer(std::string_view name, std::int64_t low, std::int64_t high,
                                    std::optional<std::int64_t> fallback) const {
  const std::string full = key(name);
  RIDGELINE_TRY(auto value, file_.integer(full));
  if (!value) value = fallback;
  if (!value) return fail(fmt::format("{}: metadata '{}' is missing", file_.path(), full));
  if (*value < low || *value > high)
    return fail(fmt::format("{}: metadata '{}' is {}, expected {} to {}", file_.path(), full,
                            *value, low, high));
  return static_cast<int>(*value);
}

Result<float> MetadataReader::positive(std::string_view name, float fallback) const {
  const std::string full = key(name);
  RIDGELINE_TRY(const auto value, file_.number(full));
  const double v = value.value_or(static_cast<double>(fallback));
  if (!(v > 0.0) || !(v <= static_cast<double>(std::numeric_limits<float>::max())))
    return fail(
        fmt::format("{}: metadata '{}' is {}, expected a positive number", file_.path(), full, v));
  return static_cast<float>(v);
}

Result<bool> MetadataReader::boolean(std::string_view name, bool fallback) const {
  RIDGELINE_TRY(const auto value, file_.boolean(key(name)));
  return value.value_or(fallback);
}

}  // namespace ridgeline
