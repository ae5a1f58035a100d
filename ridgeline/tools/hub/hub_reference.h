#pragma once

#include <string>
#include <string_view>

#include "ridgeline/base/result.h"

namespace ridgeline::hub {

inline constexpr std::string_view kScheme = "hf:";

/// What "hf:owner/repo@revision:selector" names; revision and selector may be absent.
struct HubReference {
  std::string repo;               ///< "owner/name", or "name" of the first models
  std::string revision = "main";  ///< a branch, a tag, or a commit
  std::string selector;           ///< a file or a quantization; "": by preference

  /// With or without the "hf:". Errors name the part that is not as the hub has it.
  static Result<HubReference> parse(std::string_view text);
};

/// Forty hexadecimal digits, which name a commit for ever.
bool is_commit(std::string_view revision);
bool is_lower_hex(std::string_view text);

/// A path that stays inside the folder it is put in: relative, without empty, "." and ".."
/// parts, without control characters. What a server calls a file is such a path or refused.
bool is_safe_path(std::string_view path);

}  // namespace ridgeline::hub
