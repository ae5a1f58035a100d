#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/server/limits/api_keys.h"

namespace ridgeline {

using Sha256 = std::array<unsigned char, 32>;
Sha256 sha256(std::string_view text);

/// An API key as it is held in memory: not the key, but its hash.
struct HashedKey {
  ApiKey key;
  Sha256 hash{};
};

/// The lines of a key file. Errors name `path` and the line, never a key.
Result<std::vector<HashedKey>> parse_key_file(std::string_view text, const std::string& path);

}  // namespace ridgeline
