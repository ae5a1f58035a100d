#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ridgeline/engine/engine_loop.h"
#include "ridgeline/server/http/error_response.h"
#include "ridgeline/server/http/exchange.h"
#include "ridgeline/server/limits/api_keys.h"
#include "ridgeline/server/limits/degradation_ladder.h"
#include "ridgeline/server/limits/rate_limiter.h"
#include "ridgeline/server/metrics/request_log.h"
#include "ridgeline/server/metrics/server_metrics.h"

namespace ridgeline::openai {

/// What the endpoints stand on. Everything outlives the service; what may be null is not there.
struct ServiceParts {
  EngineLoop* loop = nullptr;
  const ApiKeys* keys = nullptr;
  RateLimiter* limiter = nullptr;       ///< may be null
  DegradationLadder* ladder = nullptr;  ///< may be null
  ServerMetrics* metrics = nullptr;     ///< may be null
  RequestLog* log = nullptr;            ///< may be null
  /// What /metrics and /stats show beside the engine; may be empty.
  std::function<ServerState()> state;
};

/// One HTTP request on its way to its answer.
struct Call {
  HttpRequest http;
  std::shared_ptr<Exchange> exchange;
  std::string_view endpoint;  ///< the route, for metrics and log
  ApiKey key;
  Clock::time_point arrived = Clock::now();
};

/// Answers, counts and logs a call that the engine was not asked for, or did not take.
void answer(const ServiceParts& parts, const Call& call, HttpResponse response,
            std::string_view error = "");
/// `reason`: a word for the metrics, "" if the request itself was at fault.
void answer_error(const ServiceParts& parts, const Call& call, const ApiError& error,
                  HttpHeaders headers = {}, std::string_view reason = "");

}  // namespace ridgeline::openai
