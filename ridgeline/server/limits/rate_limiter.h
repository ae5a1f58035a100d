#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ridgeline/engine/request.h"
#include "ridgeline/server/limits/api_keys.h"

namespace ridgeline {

/// A request that was let in. Whoever has it holds one of its key's concurrent requests, until
/// it is destroyed.
class RateTicket {
 public:
  RateTicket() = default;
  RateTicket(RateTicket&&) noexcept = default;
  RateTicket& operator=(RateTicket&& other) noexcept;
  /// Without settle() the request counts as one that used no tokens.
  ~RateTicket();

  /// What it used: the rest of what was set aside for it is given back, or what it used
  /// beyond that is taken. Later calls do nothing.
  void settle(std::int64_t tokens);

 private:
  friend class RateLimiter;
  struct Account;
  RateTicket(std::shared_ptr<Account> account, double reserved)
      : account_(std::move(account)), reserved_(reserved) {}
  void release();

  std::shared_ptr<Account> account_;
  double reserved_ = 0;
  bool settled_ = false;
};

struct Admission {
  enum class Limit { kNone, kRequests, kTokens, kConcurrent };
  Limit refused_by = Limit::kNone;
  /// Refused, and retrying is in vain: the prompt alone is more than a minute's tokens.
  bool too_large = false;
  std::string message;  ///< of a refusal: which limit, its value, when to come back
  RateTicket ticket;    ///< of an admission
  /// For the answer, either way: x-ratelimit-*, and Retry-After with a refusal. As OpenAI has
  /// them; a limit that a key does not have has no headers.
  std::vector<std::pair<std::string, std::string>> headers;

  bool admitted() const { return refused_by == Limit::kNone; }
};

/// Holds each key to its limits. Requests and tokens are token buckets that hold a minute's
/// worth and refill evenly, so a key may use its minute at once and then goes on at its rate.
/// Every function may be called from any thread; keys share nothing but a short lookup.
class RateLimiter {
 public:
  RateLimiter();
  ~RateLimiter();
  RateLimiter(const RateLimiter&) = delete;
  RateLimiter& operator=(const RateLimiter&) = delete;

  /// Sets prompt and output tokens aside, though no more than a minute's worth: a request with
  /// a large max_tokens waits for a full bucket, and what it then really used may leave a debt.
  /// The key's limits may differ from those of the last call (the file was read again): what
  /// was used stays used.
  Admission admit(const ApiKey& key, std::int64_t prompt_tokens, std::int64_t max_output_tokens,
                  Clock::time_point now = Clock::now());

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// "120ms", "1s", "8.64s", "6m0s", "1h0m0s": as x-ratelimit-reset-* have it; rounded up to
/// milliseconds.
std::string rate_limit_duration(double seconds);

}  // namespace ridgeline
