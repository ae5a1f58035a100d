#include "ridgeline/server/limits/degradation_ladder.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace ridgeline {
namespace {

constexpr double kShrunkPrefill = 0.5;

double ratio(double value, double limit) { return limit > 0 ? value / limit : 0; }

/// Since when `holds` has been true without a break.
void follow(bool holds, Clock::time_point now, std::optional<Clock::time_point>& since) {
  if (!holds) since.reset();
  if (holds && !since) since = now;
}

}  // namespace

std::string_view name(Rung rung) {
  constexpr std::array<std::string_view, kRungs> kNames = {
      "normal",           "small_prefill",       "no_speculation",
      "cap_low_priority", "refuse_low_priority", "refuse_all"};
  return kNames[static_cast<std::size_t>(rung)];
}

DegradationLadder::DegradationLadder(LadderOptions options, LadderActions actions)
    : options_(options), actions_(std::move(actions)) {}

DegradationLadder::Signals DegradationLadder::measure(const EngineStats& stats,
                                                      double memory_use) const {
  Signals signals;
  const double target = options_.queue_delay_target_seconds;
  signals.queue_delay = ratio(stats.oldest_normal_waiting_seconds, target);
  signals.low_priority_queue_delay = ratio(stats.oldest_waiting_seconds, target);
  // A full cache hurts only those who wait for a place in it. What is merely cached gives way.
  if (stats.waiting > 0 && stats.kv_blocks > 0) {
    signals.kv =
        ratio(static_cast<double>(stats.kv_blocks_in_use) / static_cast<double>(stats.kv_blocks),
              options_.kv_use_max);
  }
  // An idle engine cannot free memory by refusing work: without this exception, weights that
  // just fit would keep the server closed for good.
  if (stats.running > 0 || stats.waiting > 0) {
    signals.memory = ratio(memory_use, options_.memory_use_max);
  }
  return signals;
}

void DegradationLadder::update(const EngineStats& stats, double memory_use, Clock::time_point now) {
  const Signals signals = measure(stats, memory_use);
  const Rung at = rung();
  // How far each signal may push on its own, and where it starts to hold back.
  const struct {
    double value, relief;
    Rung rung_max;
  } levels[] = {
      {signals.queue_delay, options_.queue_delay_relief, Rung::kRefuseAll},
      {signals.low_priority_queue_delay, options_.queue_delay_relief, Rung::kRefuseLowPriority},
      {signals.kv, options_.kv_relief, Rung::kCapLowPriority},
      {signals.memory, options_.memory_relief, Rung::kRefuseAll}};
  bool pressure = false, relief = true;
  for (const auto& level : levels) {
    pressure |= level.value >= 1 && at < level.rung_max;
    relief &= level.value < level.relief || at > level.rung_max;
  }
  {
    const std::lock_guard lock(mutex_);
    report_.signals = signals;
  }
  follow(pressure, now, pressure_since_);
  follow(relief, now, relief_since_);

  // Both the state of affairs and the rung must have lasted.
  const auto lasted = [&](const std::optional<Clock::time_point>& since, double seconds) {
    if (!since) return false;
    const Clock::time_point start = moved_ ? std::max(*since, *moved_) : *since;
    return std::chrono::duration<double>(now - start).count() >= seconds;
  };
  const int rung = static_cast<int>(at);
  if (rung + 1 < kRungs && lasted(pressure_since_, options_.step_up_seconds)) {
    move_to(rung + 1, now);
  } else if (rung > 0 && lasted(relief_since_, options_.step_down_seconds)) {
    move_to(rung - 1, now);
  }
}

void DegradationLadder::move_to(int rung, Clock::time_point now) {
  const auto is_at = [](int at, Rung least) { return at >= static_cast<int>(least); };
  const int before = rung_.exchange(rung, std::memory_order_relaxed);
  moved_ = now;
  {
    const std::lock_guard lock(mutex_);
    report_.rung = static_cast<Rung>(rung);
    ++report_.entered[static_cast<std::size_t>(rung)];
  }
  const bool shrunk = is_at(rung, Rung::kSmallPrefill);
  if (shrunk != is_at(before, Rung::kSmallPrefill) && actions_.scale_prefill_share) {
    actions_.scale_prefill_share(shrunk ? kShrunkPrefill : 1.0);
  }
  const bool plain = is_at(rung, Rung::kNoSpeculation);
  if (plain != is_at(before, Rung::kNoSpeculation) && actions_.allow_speculation) {
    actions_.allow_speculation(!plain);
  }
  if (actions_.moved) actions_.moved(static_cast<Rung>(before), static_cast<Rung>(rung));
}

std::optional<int> DegradationLadder::max_tokens_cap(int priority) const {
  if (rung() < Rung::kCapLowPriority || priority <= kNormalPriority) return std::nullopt;
  return options_.capped_max_tokens;
}

std::optional<Overload> DegradationLadder::refuses(int priority) const {
  const Rung at = rung();
  if (at < Rung::kRefuseLowPriority) return std::nullopt;
  if (at < Rung::kRefuseAll && priority <= kNormalPriority) return std::nullopt;
  // No rung is left earlier than that.
  const int wait = std::max(1, static_cast<int>(std::ceil(options_.step_down_seconds)));
  return Overload{at == Rung::kRefuseAll
                      ? "The server is overloaded and takes no new requests for now."
                      : "The server is overloaded and takes no requests of low priority for now.",
                  wait};
}

DegradationLadder::Report DegradationLadder::report() const {
  const std::lock_guard lock(mutex_);
  return report_;
}

}  // namespace ridgeline
