#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"

namespace ridgeline::load {

/// One request of recorded traffic.
struct TraceRequest {
  double arrival_s = 0;  ///< since the first
  std::int64_t prompt_tokens = 0;
  std::int64_t output_tokens = 0;
  /// Names of the prompt's blocks of kTraceBlockTokens: equal ones are equal text. Empty
  /// where the trace does not tell.
  std::vector<std::int64_t> blocks;
};

/// Mooncake's (Qin et al. 2024, section 4).
inline constexpr std::int64_t kTraceBlockTokens = 512;

/// The first `limit` requests, in order of arrival. Azure's CSV (TIMESTAMP, ContextTokens,
/// GeneratedTokens; Patel et al. 2024) or Mooncake's JSON lines (timestamp in milliseconds,
/// input_length, output_length, hash_ids). Errors name the line.
Result<std::vector<TraceRequest>> parse_trace(std::string_view text, std::size_t limit);
Result<std::vector<TraceRequest>> read_trace(const std::string& path, std::size_t limit);

}  // namespace ridgeline::load
