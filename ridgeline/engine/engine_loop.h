#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/engine_stats.h"
#include "ridgeline/engine/request.h"

namespace ridgeline {

class Engine;

/// What one step brought one request: at least one event, or the summary.
struct RequestUpdate {
  RequestId request = 0;
  std::vector<TokenEvent> events;
  Clock::time_point time;                 ///< when the step ended
  std::optional<RequestSummary> summary;  ///< in the last update, which always comes
};

/// Why a request was not taken.
struct Refusal {
  enum class Kind {
    kInvalid,   ///< the request itself: Error names the field
    kTooLarge,  ///< prompt or output beyond what the context or the KV cache could ever hold
    kQueueFull,
    kDraining,
  };
  Kind kind = Kind::kInvalid;
  std::string message;
};

struct EngineLoopOptions {
  std::int64_t max_waiting_requests = 256;   ///< not yet running
  std::int64_t max_waiting_tokens = 262144;  ///< in their prompts, together
  /// After each step, on the loop's thread; may be empty.
  std::function<void(const StepReport&)> on_step;
};

/// An Engine and the thread that runs its loop: sleeps while there is nothing to do. Every
/// function may be called from any thread and returns at once.
class EngineLoop {
 public:
  /// Called on the loop's thread, in order; must not block. Nothing comes after the update
  /// with the summary.
  using Sink = std::function<void(RequestUpdate&&)>;

  EngineLoop(std::unique_ptr<Engine> engine, EngineLoopOptions options);
  /// Stops at once.
  ~EngineLoop();
  EngineLoop(const EngineLoop&) = delete;
  EngineLoop& operator=(const EngineLoop&) = delete;

  /// Queues a request. The sink may be called before this returns.
  tl::expected<RequestId, Refusal> submit(Request request, Sink sink);
  /// Takes several requests or none of them; all belong to one call of the API.
  tl::expected<std::vector<RequestId>, Refusal> submit(std::vector<Request> requests, Sink sink);
  /// Ends a request before the next step, with FinishReason::kCancelled; unknown ids are ignored.
  void cancel(RequestId id);

  /// As of the end of the last step.
  EngineStats stats() const;
  /// The engine's constants (tokenizer, config, context, generation_defaults) may be read from
  /// any thread; nothing else of it may be touched.
  const Engine& engine() const;

  /// Of a step's time, what prompts may take while others generate, in [0, 1); the degradation
  /// ladder lowers it.
  void set_prefill_share(double share);
  double prefill_share() const;
  /// Whether drafts are made, from the next step on, where there are drafters; the degradation
  /// ladder stands them down.
  void set_speculation(bool allowed);

  /// No new work from here on; what was taken goes on.
  void drain();
  bool draining() const;
  /// Ends everything that is left with kCancelled, and the thread.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ridgeline
