#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ridgeline::load {

/// What became of one request. Times are seconds since the run's beginning.
struct RequestRecord {
  double due_s = 0;   ///< when it was to be sent; latencies count from here
  double sent_s = 0;  ///< when it was: later, if the load generator was held up
  double end_s = 0;
  /// When each chunk came that brought tokens.
  std::vector<double> chunk_times_s;
  std::string text;
  std::string finish_reason;
  std::int64_t sent_prompt_tokens = 0;  ///< as measured before; 0: not known
  std::int64_t asked_tokens = 0;
  /// By the server's usage; else tokens of the prompt are not known, and each chunk is
  /// taken for a token.
  bool has_usage = false;
  std::int64_t prompt_tokens = 0, output_tokens = 0;
  std::optional<std::int64_t> cached_tokens;
  /// "" where all went well; else "connect", "timeout", "http 503", "disconnected", "server
  /// error" (told within the stream), "bad answer", "empty answer".
  std::string failure;
  std::string failure_message;

  bool failed() const { return !failure.empty(); }
  double ttft_s() const { return chunk_times_s.front() - due_s; }
  double total_s() const { return end_s - due_s; }
  /// Per token after the first; absent with fewer than two.
  std::optional<double> time_per_output_token_s() const {
    if (output_tokens < 2) return std::nullopt;
    return (chunk_times_s.back() - chunk_times_s.front()) / static_cast<double>(output_tokens - 1);
  }
};

}  // namespace ridgeline::load
