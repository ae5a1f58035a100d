#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "ridgeline/engine/request.h"
#include "ridgeline/server/metrics/histogram.h"
#include "ridgeline/server/metrics/rolling_percentiles.h"
#include "ridgeline/server/metrics/server_metrics.h"

namespace ridgeline {

// vLLM's bounds, so that its dashboards' heat maps fit.
inline constexpr std::array kFirstTokenBounds = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                                 0.25,  0.5,   0.75, 1.0,  2.5,  5.0,  7.5,  10.0,
                                                 20.0,  40.0,  80.0, 160., 640., 2560.};
inline constexpr std::array kTokenGapBounds = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,
                                               0.3,  0.4,   0.5,  0.75,  1.0, 2.5,  5.0,
                                               7.5,  10.0,  20.0, 40.0,  80.0};
inline constexpr std::array kLatencyBounds = {0.3,  0.5,  0.8,  1.0,  1.5,   2.0,   2.5,
                                              5.0,  10.0, 15.0, 20.0, 30.0,  40.0,  50.0,
                                              60.0, 120., 240., 480., 960.0, 1920., 7680.};
inline constexpr std::array kTokenCountBounds = {
    1., 2., 5., 10., 20., 50., 100., 200., 500., 1000., 2000., 5000., 1e4, 2e4, 5e4, 1e5, 2e5, 5e5};
inline constexpr std::array kStepTokenBounds = {1.,   8.,    16.,   32.,   64.,   128.,  256.,
                                                512., 1024., 2048., 4096., 8192., 16384.};
inline constexpr std::array kChoiceBounds = {1., 2., 5., 10., 20., 50., 128.};
// Of our own.
inline constexpr std::array kStepSecondsBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                  0.1,   0.15,   0.2,   0.3,  0.4,   0.5,
                                                  0.75,  1.0,    2.5,   5.0,  10.0};
inline constexpr std::array kStepErrorBounds = {0.5,  0.7, 0.8, 0.9, 0.95, 1.0,
                                                1.05, 1.1, 1.2, 1.3, 1.5,  2.0};

inline constexpr std::size_t kFinishReasons = 5;

/// SpeculationCounts of the last ten seconds.
class RecentSpeculation {
 public:
  void add(const SpeculationCounts& step, Clock::time_point now);
  /// Absent: there was nothing to tell it from.
  struct Ratios {
    std::optional<double> acceptance, tokens_per_pass, speedup;
  };
  Ratios ratios(Clock::time_point now) const;

 private:
  RollingRate passes_, tokens_, drafted_, accepted_, seconds_, plain_seconds_;
};

/// What has been counted since the start.
struct ServerMetrics::Impl {
  explicit Impl(std::string model) : model_name(std::move(model)) {}

  const std::string model_name;
  const std::chrono::system_clock::time_point started = std::chrono::system_clock::now();

  Histogram time_to_first_token{kFirstTokenBounds};
  Histogram inter_token_latency{kTokenGapBounds};
  Histogram time_per_output_token{kTokenGapBounds};
  Histogram e2e_latency{kLatencyBounds};
  Histogram queue_time{kLatencyBounds};
  Histogram prefill_time{kLatencyBounds};
  Histogram decode_time{kLatencyBounds};
  Histogram inference_time{kLatencyBounds};
  Histogram prompt_tokens{kTokenCountBounds};
  Histogram generation_tokens{kTokenCountBounds};
  Histogram max_generation_tokens{kTokenCountBounds};
  Histogram params_max_tokens{kTokenCountBounds};
  Histogram params_n{kChoiceBounds};
  Histogram step_tokens{kStepTokenBounds};
  Histogram step_seconds{kStepSecondsBounds};
  Histogram step_error{kStepErrorBounds};  // measured / predicted
  std::atomic<double> predicted_seconds{0}, predicted_steps_seconds{0};

  RollingPercentiles recent_first_token, recent_token_gap, recent_e2e;
  RollingRate recent_output, recent_prompt;
  RecentSpeculation recent_speculation;

  std::array<std::atomic<std::uint64_t>, kFinishReasons> finished{};

  /// Counters by labels that the caller names; the API's threads only.
  std::mutex mutex;
  /// What may be expected is there from the start: a rate needs a first value.
  std::map<std::string, std::uint64_t, std::less<>> refused = {
      {"draining", 0},   {"invalid", 0},   {"overload", 0},    {"queue_full", 0},
      {"rate_limit", 0}, {"too_large", 0}, {"unauthorized", 0}};
  std::map<std::pair<std::string, int>, std::uint64_t> responses;
};

/// finished_reason, in vLLM's words where it has one.
std::string_view finished_reason_label(FinishReason reason);

}  // namespace ridgeline
