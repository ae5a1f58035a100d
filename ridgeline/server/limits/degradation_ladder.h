#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "ridgeline/engine/engine_stats.h"

namespace ridgeline {

/// What the server gives up under pressure, in this order; each rung includes those before it.
enum class Rung {
  kNormal,
  kSmallPrefill,       ///< prompts get half of their share of a step
  kNoSpeculation,      ///< no tokens are guessed
  kCapLowPriority,     ///< new requests of low priority: max_tokens capped
  kRefuseLowPriority,  ///< new requests of low priority: 503
  kRefuseAll,          ///< all new requests: 503
};
inline constexpr int kRungs = 6;
std::string_view name(Rung rung);  ///< "normal", "small_prefill", ...

/// Requests whose priority is a larger number than this are of low priority.
inline constexpr int kNormalPriority = 0;

struct LadderOptions {
  // Pressure is any of:
  /// Someone has waited for longer without having run. Of those of low priority alone that goes
  /// no further than kRefuseLowPriority: to wait is what they are there for.
  double queue_delay_target_seconds = 10;
  /// So much of the KV cache is in use, and someone waits. That alone goes no further than
  /// kCapLowPriority: a saturated server's cache is full, and whether those who wait for it
  /// wait too long, the queue delay says.
  double kv_use_max = 0.95;
  double memory_use_max = 0.95;  ///< so much of the memory limit is used
  /// Relief is all three below these shares of the values above; in between the ladder stays
  /// where it is. Memory's is near 1, as weights and KV cache stay where they are.
  double queue_delay_relief = 0.5;
  double kv_relief = 0.9;
  double memory_relief = 0.97;

  double step_up_seconds = 2;     ///< of pressure without a break, for each rung
  double step_down_seconds = 10;  ///< of relief without a break, for each rung
  int capped_max_tokens = 256;    ///< kCapLowPriority
};

/// What the ladder sets in motion; called in update(), and only when it changes. May be empty.
struct LadderActions {
  std::function<void(double scale)> scale_prefill_share = {};  ///< 0.5, or 1 again
  std::function<void(bool allowed)> allow_speculation = {};
  std::function<void(Rung from, Rung to)> moved = {};  ///< for the log
};

/// 503 with Retry-After.
struct Overload {
  std::string message;
  int retry_after_seconds = 0;
};

/// Steps down in service, not in honesty: one rung at a time, and never faster than its
/// options say. update() belongs to one thread, a few times a second; the rest may be called
/// from any.
class DegradationLadder {
 public:
  explicit DegradationLadder(LadderOptions options, LadderActions actions = {});

  /// `memory_use`: of the memory limit, see MemoryWatch.
  void update(const EngineStats& stats, double memory_use, Clock::time_point now = Clock::now());

  Rung rung() const { return static_cast<Rung>(rung_.load(std::memory_order_relaxed)); }
  /// The most tokens that a new request of this priority may ask for; absent: as many as ever.
  std::optional<int> max_tokens_cap(int priority) const;
  /// Why a new request of this priority is not taken; absent: it is.
  std::optional<Overload> refuses(int priority) const;

  /// For metrics and /stats: the last update's signals, each divided by its limit (1 and more
  /// is pressure), and how often each rung was entered.
  struct Signals {
    double queue_delay = 0;               ///< of normal priority or higher
    double low_priority_queue_delay = 0;  ///< of anyone
    double kv = 0, memory = 0;
  };
  struct Report {
    Rung rung = Rung::kNormal;
    Signals signals;
    std::array<std::uint64_t, kRungs> entered{};
  };
  Report report() const;

 private:
  Signals measure(const EngineStats& stats, double memory_use) const;
  void move_to(int rung, Clock::time_point now);

  const LadderOptions options_;
  const LadderActions actions_;
  std::atomic<int> rung_{0};
  std::optional<Clock::time_point> pressure_since_, relief_since_;
  std::optional<Clock::time_point> moved_;
  mutable std::mutex mutex_;  // guards report_
  Report report_;
};

}  // namespace ridgeline
