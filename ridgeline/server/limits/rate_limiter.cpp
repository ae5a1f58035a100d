#include "ridgeline/server/limits/rate_limiter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <string_view>
#include <unordered_map>

namespace ridgeline {
namespace {

/// Holds a minute's worth and refills evenly. Below zero it is in debt.
class Bucket {
 public:
  explicit operator bool() const { return capacity_ > 0; }
  double capacity() const { return capacity_; }
  double left() const { return std::max(0.0, level_); }
  /// Seconds until it holds `amount`.
  double wait(double amount) const { return std::max(0.0, (amount - level_) * 60 / capacity_); }
  void take(double amount) { level_ -= amount; }
  void give(double amount) { level_ = std::min(capacity_, level_ + amount); }

  void refill(std::int64_t capacity, double seconds) {
    give(std::max(0.0, seconds) * capacity_ / 60);
    // Where the limit is new or changed, what was used stays used.
    const double wanted = static_cast<double>(capacity);
    level_ += wanted - capacity_;
    capacity_ = wanted;
  }

 private:
  double capacity_ = 0, level_ = 0;
};

double whole(std::int64_t tokens) { return static_cast<double>(std::max<std::int64_t>(0, tokens)); }

}  // namespace

struct RateTicket::Account {
  std::mutex mutex;
  Clock::time_point refilled{};
  Bucket requests, tokens;
  std::int64_t concurrent = 0;
};

RateTicket& RateTicket::operator=(RateTicket&& other) noexcept {
  if (this != &other) {
    release();
    account_ = std::move(other.account_);
    reserved_ = other.reserved_;
    settled_ = other.settled_;
  }
  return *this;
}

RateTicket::~RateTicket() { release(); }

void RateTicket::settle(std::int64_t tokens) {
  if (account_ == nullptr || settled_) return;
  settled_ = true;
  const std::lock_guard lock(account_->mutex);
  if (account_->tokens) account_->tokens.give(reserved_ - whole(tokens));
}

void RateTicket::release() {
  if (account_ == nullptr) return;
  settle(0);
  {
    const std::lock_guard lock(account_->mutex);
    --account_->concurrent;
  }
  account_.reset();
}

struct RateLimiter::Impl {
  std::mutex mutex;  // guards the map; an account has its own
  std::unordered_map<std::uint64_t, std::shared_ptr<RateTicket::Account>> accounts;

  std::shared_ptr<RateTicket::Account> account(std::uint64_t tenant) {
    const std::lock_guard lock(mutex);
    auto& account = accounts[tenant];
    if (account == nullptr) account = std::make_shared<RateTicket::Account>();
    return account;
  }
};

RateLimiter::RateLimiter() : impl_(std::make_unique<Impl>()) {}
RateLimiter::~RateLimiter() = default;

namespace {

void add_headers(std::string_view kind, const Bucket& bucket, Admission& admission) {
  if (!bucket) return;
  const auto add = [&](std::string_view what, std::string value) {
    admission.headers.emplace_back(fmt::format("x-ratelimit-{}-{}", what, kind), std::move(value));
  };
  add("limit", fmt::format("{:.0f}", bucket.capacity()));
  add("remaining", fmt::format("{:.0f}", std::floor(bucket.left())));
  add("reset", rate_limit_duration(bucket.wait(bucket.capacity())));
}

/// A sentence and, if it helps to come back, when.
void refuse(Admission::Limit limit, std::string message, double wait_seconds,
            Admission& admission) {
  admission.refused_by = limit;
  admission.message = std::move(message);
  if (admission.too_large) return;
  admission.message += fmt::format(" Please try again in {}.", rate_limit_duration(wait_seconds));
  admission.headers.emplace_back("Retry-After",
                                 fmt::format("{:.0f}", std::max(1.0, std::ceil(wait_seconds))));
  // Whole seconds are coarse; OpenAI's clients look for this first.
  admission.headers.emplace_back(
      "retry-after-ms", fmt::format("{:.0f}", std::max(1.0, std::ceil(wait_seconds * 1e3))));
}

// Nobody can say when one of the running requests will end.
constexpr double kConcurrentWaitSeconds = 1;

}  // namespace

Admission RateLimiter::admit(const ApiKey& key, std::int64_t prompt_tokens,
                             std::int64_t max_output_tokens, Clock::time_point now) {
  Admission admission;
  const auto account = impl_->account(key.tenant);
  const KeyLimits& limits = key.limits;
  const std::lock_guard lock(account->mutex);
  const double seconds = std::chrono::duration<double>(now - account->refilled).count();
  account->refilled = std::max(account->refilled, now);
  account->requests.refill(limits.requests_per_minute, seconds);
  account->tokens.refill(limits.tokens_per_minute, seconds);
  Bucket& requests = account->requests;
  Bucket& tokens = account->tokens;

  const double prompt = whole(prompt_tokens);
  const double reserved =
      tokens ? std::min(prompt + whole(max_output_tokens), tokens.capacity()) : 0;
  if (tokens && prompt > tokens.capacity()) {
    admission.too_large = true;
    refuse(Admission::Limit::kTokens,
           fmt::format("The prompt has {} tokens, and the API key '{}' may use {} a minute.",
                       prompt_tokens, key.name, limits.tokens_per_minute),
           0, admission);
  } else if (limits.concurrent_requests > 0 && account->concurrent >= limits.concurrent_requests) {
    refuse(Admission::Limit::kConcurrent,
           fmt::format("The API key '{}' may have {} requests at the same time, and has them.",
                       key.name, limits.concurrent_requests),
           kConcurrentWaitSeconds, admission);
  } else if (requests && requests.wait(1) > 0) {
    refuse(Admission::Limit::kRequests,
           fmt::format("The API key '{}' has reached its limit of {} requests a minute.", key.name,
                       limits.requests_per_minute),
           requests.wait(1), admission);
  } else if (tokens && tokens.wait(reserved) > 0) {
    refuse(Admission::Limit::kTokens,
           fmt::format("The API key '{}' may use {} tokens a minute; {:.0f} are left, and the "
                       "request may need {:.0f}.",
                       key.name, limits.tokens_per_minute, std::floor(tokens.left()), reserved),
           tokens.wait(reserved), admission);
  } else {
    requests.take(requests ? 1 : 0);
    tokens.take(reserved);
    ++account->concurrent;
    admission.ticket = RateTicket(account, reserved);
  }
  add_headers("requests", requests, admission);
  add_headers("tokens", tokens, admission);
  return admission;
}

std::string rate_limit_duration(double seconds) {
  const auto ms = static_cast<std::int64_t>(std::ceil(std::clamp(seconds, 0.0, 1e9) * 1e3 - 1e-6));
  if (ms < 1000) return fmt::format("{}ms", ms);
  const std::int64_t whole_seconds = ms / 1000;
  std::string text;
  if (whole_seconds >= 3600) text += fmt::format("{}h", whole_seconds / 3600);
  if (whole_seconds >= 60) text += fmt::format("{}m", whole_seconds / 60 % 60);
  // Shortest form: 8.64s, not 8.640s.
  return text + fmt::format("{}s", static_cast<double>(ms % 60000) / 1e3);
}

}  // namespace ridgeline
