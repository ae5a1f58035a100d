#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/engine/engine_loop.h"
#include "ridgeline/engine/engine_stats.h"
#include "ridgeline/engine/request.h"
#include "ridgeline/server/limits/degradation_ladder.h"

namespace ridgeline {

/// What is asked, as far as it is counted.
struct RequestFacts {
  Clock::time_point arrived = Clock::now();  ///< at the server; latencies count from here
  int choices = 1;
  std::int64_t max_tokens = -1;  ///< as asked for; -1: it was not
};

/// What the server knows and the engine does not, when /metrics or /stats is read.
struct ServerState {
  DegradationLadder::Report ladder;
  std::uint64_t resident_bytes = 0, memory_limit_bytes = 0;
  std::int64_t open_connections = 0;
  std::uint64_t log_lines_dropped = 0;  ///< RequestLog::dropped()
  bool draining = false;
};

/// Everything that /metrics and /stats show. Every function may be called from any thread.
class ServerMetrics {
 public:
  struct Impl;

  /// One request of the engine on its way. It lives where its updates arrive, may be moved, and
  /// must not outlive the ServerMetrics.
  class Request {
   public:
    Request() = default;  ///< observes nothing
    /// What the engine said: on the loop's thread, in order. Records latencies as tokens come,
    /// and the rest with the summary. Some hundred nanoseconds, no allocation.
    void on_update(const RequestUpdate& update);

   private:
    friend class ServerMetrics;
    struct Choice {
      Clock::time_point first_token, last_token;
      std::int64_t tokens = 0;
      bool ended = false;
    };
    void on_token(Choice& choice, Clock::time_point now);
    void end_choice(Choice& choice);
    void on_summary(const RequestSummary& summary, Clock::time_point now);

    Impl* metrics_ = nullptr;
    RequestFacts facts_;
    std::vector<Choice> choices_;
    FinishReason reason_ = FinishReason::kCancelled;  // the last that was told
    bool any_token_ = false;
  };

  /// `model_name` is a label of every family, as vLLM has it.
  explicit ServerMetrics(std::string model_name);
  ~ServerMetrics();
  ServerMetrics(const ServerMetrics&) = delete;
  ServerMetrics& operator=(const ServerMetrics&) = delete;

  /// A request that the engine took.
  Request started(RequestFacts facts);
  /// A request that was not taken; `reason` is one of a few: "queue_full", "rate_limit",
  /// "overload", "draining", "invalid", "too_large", "unauthorized", ...
  void refused(std::string_view reason);
  /// Every answer. `endpoint` is a route ("/v1/chat/completions"), not the path that came in.
  void http_response(std::string_view endpoint, int status);
  /// EngineLoopOptions::on_step.
  void on_step(const StepReport& step, Clock::time_point now = Clock::now());

  /// Prometheus' text format 0.0.4, kPrometheusContentType.
  std::string prometheus_text(const EngineStats& engine, const ServerState& state,
                              Clock::time_point now = Clock::now()) const;
  /// The same in short, for people and the page at /.
  std::string stats_json(const EngineStats& engine, const ServerState& state,
                         Clock::time_point now = Clock::now()) const;

 private:
  std::unique_ptr<Impl> impl_;
};
inline constexpr std::string_view kPrometheusContentType =
    "text/plain; version=0.0.4; charset=utf-8";

}  // namespace ridgeline
