#include "ridgeline/format/json_file.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace ridgeline {

Result<std::string> read_small_text(const std::string& path, std::size_t bytes_max) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) return fail(fmt::format("{}: {}", path, error.message()));
  if (size > bytes_max)
    return fail(fmt::format("{}: has {} bytes, expected at most {}", path, size, bytes_max));
  std::string text(size, '\0');
  std::ifstream file(path, std::ios::binary);
  if (!file.read(text.data(), static_cast<std::streamsize>(size)))
    return fail(fmt::format("{}: cannot be read", path));
  return text;
}

Result<nlohmann::json> parse_json_object(std::string_view text, const std::string& name) {
  // Values are taken apart iteratively and so is their memory freed; but whoever walks a
  // value recursively should not meet thousands of levels.
  constexpr int kDepthMax = 64;
  bool too_deep = false;
  const auto bound_depth = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    too_deep = too_deep || depth > kDepthMax;
    return !too_deep;
  };
  nlohmann::json value = nlohmann::json::parse(text, bound_depth, /*allow_exceptions=*/false);
  if (too_deep) return fail(fmt::format("{}: is nested deeper than {} levels", name, kDepthMax));
  if (value.is_discarded()) return fail(fmt::format("{}: is not JSON", name));
  if (!value.is_object()) return fail(fmt::format("{}: expected a JSON object", name));
  return value;
}

Result<nlohmann::json> read_json_object(const std::string& path, std::size_t bytes_max) {
  RIDGELINE_TRY(const std::string text, read_small_text(path, bytes_max));
  return parse_json_object(text, path);
}

}  // namespace ridgeline
