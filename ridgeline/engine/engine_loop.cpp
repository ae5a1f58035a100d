#include "ridgeline/engine/engine_loop.h"

#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "ridgeline/engine/engine.h"

namespace ridgeline {

struct EngineLoop::Impl {
  struct Arrival {
    RequestId id;
    Request request;
    std::shared_ptr<Sink> sink;
  };
  struct Open {
    RequestId id;  ///< the loop's
    std::shared_ptr<Sink> sink;
  };

  Impl(std::unique_ptr<Engine> e, EngineLoopOptions o)
      : engine(std::move(e)), options(std::move(o)), share(engine->prefill_share()) {
    published = engine->stats();
  }

  void run();
  /// What came in since the last step; false: the loop is to end.
  bool take_inbox();
  void dispatch(std::vector<TokenEvent> events);
  void end(RequestId engine_id, const RequestSummary& summary);
  void publish();

  std::unique_ptr<Engine> engine;  ///< but for its constants, the loop's thread's alone
  EngineLoopOptions options;

  // The loop's thread's.
  std::unordered_map<RequestId, Open> open;            ///< by the engine's ids
  std::unordered_map<RequestId, RequestId> engine_id;  ///< by the loop's

  mutable std::mutex mutex;
  std::condition_variable wake;
  std::vector<Arrival> arrivals;
  std::vector<RequestId> cancelled;
  std::int64_t arriving_tokens = 0;  ///< in `arrivals`
  RequestId next_id = 1;
  double share;
  bool speculation_allowed = true;
  bool draining = false, stopping = false;
  EngineStats published;

  std::thread thread;
};

EngineLoop::EngineLoop(std::unique_ptr<Engine> engine, EngineLoopOptions options)
    : impl_(std::make_unique<Impl>(std::move(engine), std::move(options))) {
  impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

EngineLoop::~EngineLoop() { stop(); }

const Engine& EngineLoop::engine() const { return *impl_->engine; }

tl::expected<RequestId, Refusal> EngineLoop::submit(Request request, Sink sink) {
  std::vector<Request> one;
  one.push_back(std::move(request));
  auto ids = submit(std::move(one), std::move(sink));
  if (!ids) return tl::unexpected(std::move(ids.error()));
  return ids->front();
}

tl::expected<std::vector<RequestId>, Refusal> EngineLoop::submit(std::vector<Request> requests,
                                                                 Sink sink) {
  const auto refuse = [](Refusal::Kind kind, std::string message) {
    return tl::unexpected(Refusal{kind, std::move(message)});
  };
  std::int64_t tokens = 0;
  for (const Request& request : requests) {
    const auto length = static_cast<std::int64_t>(request.prompt.size());
    if (const Status status = impl_->engine->check(request); !status)
      return refuse(
          length >= impl_->engine->context() ? Refusal::Kind::kTooLarge : Refusal::Kind::kInvalid,
          status.error().message);
    tokens += length;
  }
  auto shared = std::make_shared<Sink>(std::move(sink));
  std::vector<RequestId> ids;
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->draining || impl_->stopping)
      return refuse(Refusal::Kind::kDraining, "the server is shutting down");
    const EngineStats& now = impl_->published;
    const auto waiting = static_cast<std::int64_t>(impl_->arrivals.size()) + now.waiting;
    if (waiting + static_cast<std::int64_t>(requests.size()) > impl_->options.max_waiting_requests)
      return refuse(Refusal::Kind::kQueueFull,
                    fmt::format("{} requests wait already, and no more than {} may", waiting,
                                impl_->options.max_waiting_requests));
    const std::int64_t waiting_tokens = impl_->arriving_tokens + now.waiting_tokens;
    if (waiting_tokens + tokens > impl_->options.max_waiting_tokens)
      return refuse(Refusal::Kind::kQueueFull,
                    fmt::format("requests of {} tokens wait already, and no more than {} may",
                                waiting_tokens, impl_->options.max_waiting_tokens));
    impl_->arriving_tokens += tokens;
    for (Request& request : requests) {
      ids.push_back(impl_->next_id++);
      impl_->arrivals.push_back({ids.back(), std::move(request), shared});
    }
  }
  impl_->wake.notify_one();
  return ids;
}

void EngineLoop::cancel(RequestId id) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->cancelled.push_back(id);
  }
  impl_->wake.notify_one();
}

EngineStats EngineLoop::stats() const {
  const std::lock_guard lock(impl_->mutex);
  EngineStats stats = impl_->published;
  stats.waiting += static_cast<int>(impl_->arrivals.size());
  stats.waiting_tokens += impl_->arriving_tokens;
  stats.prefill_share = impl_->share;
  stats.speculation.allowed = impl_->speculation_allowed;
  return stats;
}

void EngineLoop::set_prefill_share(double share) {
  const std::lock_guard lock(impl_->mutex);
  impl_->share = share;
}

double EngineLoop::prefill_share() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->share;
}

void EngineLoop::set_speculation(bool allowed) {
  const std::lock_guard lock(impl_->mutex);
  impl_->speculation_allowed = allowed;
}

void EngineLoop::drain() {
  const std::lock_guard lock(impl_->mutex);
  impl_->draining = true;
}

bool EngineLoop::draining() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->draining;
}

void EngineLoop::stop() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->wake.notify_one();
  if (impl_->thread.joinable()) impl_->thread.join();
}

void EngineLoop::Impl::run() {
  while (take_inbox()) {
    if (engine->idle()) continue;
    std::vector<TokenEvent> events = engine->step();
    publish();  // first: who hears of an end finds it in the figures
    dispatch(std::move(events));
    if (options.on_step &&
        engine->last_step().sampled_tokens + engine->last_step().prefill_rows > 0)
      options.on_step(engine->last_step());
  }
  // Whoever still waits for an answer gets one.
  std::vector<RequestId> left;
  for (const auto& [id, of] : open) left.push_back(id);
  for (const RequestId id : left)
    if (const auto summary = engine->cancel(id)) end(id, *summary);
}

bool EngineLoop::Impl::take_inbox() {
  std::vector<Arrival> in;
  std::vector<RequestId> out;
  bool last = false;
  {
    std::unique_lock lock(mutex);
    wake.wait(lock, [&] {
      return stopping || !arrivals.empty() || !cancelled.empty() || !engine->idle();
    });
    in = std::move(arrivals);
    out = std::move(cancelled);
    arrivals.clear();
    cancelled.clear();
    arriving_tokens = 0;
    engine->set_prefill_share(share);
    engine->set_speculation(speculation_allowed);
    // Until they are published they are counted here.
    for (const Arrival& a : in) {
      ++published.waiting;
      published.waiting_tokens += static_cast<std::int64_t>(a.request.prompt.size());
    }
    last = stopping;
  }
  for (Arrival& arrival : in) {
    const Result<RequestId> id = engine->submit(std::move(arrival.request));
    if (!id) {  // check() said yes: not reached
      TokenEvent event;
      event.request = arrival.id;
      event.finished = FinishReason::kError;
      event.error = id.error().message;
      RequestUpdate update{arrival.id, {}, Clock::now(), RequestSummary{}};
      update.events.push_back(std::move(event));
      (*arrival.sink)(std::move(update));
      continue;
    }
    open[*id] = {arrival.id, std::move(arrival.sink)};
    engine_id[arrival.id] = *id;
  }
  std::vector<std::pair<RequestId, RequestSummary>> ended;
  for (const RequestId id : out) {
    const auto found = engine_id.find(id);
    if (found == engine_id.end()) continue;
    if (const auto summary = engine->cancel(found->second))
      ended.emplace_back(found->second, *summary);
  }
  if (!in.empty() || !out.empty()) publish();
  for (const auto& [id, summary] : ended) end(id, summary);
  return !last;
}

/// The last word on a request that was cancelled.
void EngineLoop::Impl::end(RequestId id, const RequestSummary& summary) {
  const Open of = std::move(open.at(id));
  open.erase(id);
  engine_id.erase(of.id);
  TokenEvent event;
  event.request = of.id;
  event.finished = FinishReason::kCancelled;
  RequestUpdate update{of.id, {}, Clock::now(), summary};
  update.events.push_back(std::move(event));
  (*of.sink)(std::move(update));
}

void EngineLoop::Impl::dispatch(std::vector<TokenEvent> events) {
  const auto now = Clock::now();
  std::vector<RequestUpdate> updates;
  std::unordered_map<RequestId, std::size_t> index;
  for (TokenEvent& event : events) {
    const RequestId id = event.request;
    const auto [at, is_new] = index.try_emplace(id, updates.size());
    if (is_new) updates.push_back({open.at(id).id, {}, now, std::nullopt});
    RequestUpdate& update = updates[at->second];
    event.request = update.request;
    update.summary = event.summary;
    update.events.push_back(std::move(event));
  }
  for (RequestUpdate& update : updates) {
    const RequestId inner = engine_id.at(update.request);
    const std::shared_ptr<Sink> sink = open.at(inner).sink;
    if (update.summary) {
      open.erase(inner);
      engine_id.erase(update.request);
    }
    (*sink)(std::move(update));
  }
}

void EngineLoop::Impl::publish() {
  EngineStats now = engine->stats();
  const std::lock_guard lock(mutex);
  published = now;
}

}  // namespace ridgeline
