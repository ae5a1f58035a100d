#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"

namespace ridgeline {

/// Typed, bounded reads of "<architecture>.<key>". Errors name the file, the key, its
/// value and what was expected.
class MetadataReader {
 public:
  MetadataReader(const Checkpoint& file, std::string architecture)
      : file_(file), architecture_(std::move(architecture)) {}

  const Checkpoint& file() const { return file_; }
  const std::string& architecture() const { return architecture_; }
  std::string key(std::string_view key) const { return architecture_ + "." + std::string(key); }
  bool has(std::string_view name) const { return file_.has(key(name)); }

  Result<int> integer(std::string_view key, std::int64_t low, std::int64_t high,
                      std::optional<std::int64_t> fallback = {}) const;
  Result<float> positive(std::string_view key, float fallback) const;
  Result<bool> boolean(std::string_view key, bool fallback) const;

 private:
  const Checkpoint& file_;
  std::string architecture_;
};

}  // namespace ridgeline
