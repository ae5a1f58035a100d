#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ridgeline/engine/speculation/speculation_stats.h"

namespace ridgeline {

enum class LogFormat { kText, kJson };

/// What is said about a request when it is over. Never what it asked or was answered.
struct RequestRecord {
  std::string_view id;        ///< x-request-id
  std::string_view key;       ///< ApiKey::name
  std::string_view client;    ///< the peer's address
  std::string_view endpoint;  ///< "/v1/chat/completions"
  int status = 0;
  std::int64_t prompt_tokens = 0, cached_tokens = 0, output_tokens = 0;
  std::optional<double> queue_seconds, first_token_seconds;  ///< absent: never came to that
  double total_seconds = 0;
  std::optional<double> tokens_per_second;  ///< of output, after the first token
  std::string_view finish_reason;           ///< "stop", "length", "cancelled", ...; may be empty
  int preemptions = 0;
  std::optional<SpeculationCounts> speculation;  ///< absent: no drafts could have been checked
  std::string_view error;  ///< why it failed, in the server's own words; may be empty
};

/// One line, without its end: key=value, or a JSON object. Values that are not plain words are
/// quoted; control characters and what is not UTF-8 are escaped, so a line is a line.
/// `unix_seconds` is its time, written in UTC.
std::string format_request(const RequestRecord& record, LogFormat format, double unix_seconds);

/// Writes lines on a thread of its own, so that a reader that is slow (a terminal, a full pipe)
/// does not hold up the engine: up to a megabyte waits, then lines are dropped and counted.
/// Every function may be called from any thread.
class RequestLog {
 public:
  RequestLog(LogFormat format, int file_descriptor);
  /// Writes what waits, for a second at most.
  ~RequestLog();
  RequestLog(const RequestLog&) = delete;
  RequestLog& operator=(const RequestLog&) = delete;

  void write(const RequestRecord& record);
  /// A line that is about no request: "keys reloaded".
  void message(std::string_view text);
  std::uint64_t dropped() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ridgeline
