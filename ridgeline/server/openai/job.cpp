#include "ridgeline/server/openai/job.h"

#include <algorithm>
#include <utility>

namespace ridgeline::openai {
namespace {

/// Of one call, open in the engine at a time; a quarter of its queue by default.
constexpr std::size_t kOpenMax = 64;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

ApiError ended_early(const TokenEvent& event) {
  if (event.finished == FinishReason::kError)
    return {.status = 500, .message = event.error, .type = "server_error"};
  if (event.finished == FinishReason::kCancelled)
    return {.status = 503,
            .message = "The server is shutting down and has ended the request",
            .code = "shutting_down"};
  switch (event.deadline.value_or(Deadline::kTotal)) {
    case Deadline::kQueue:
      return {.status = 503,
              .message = "The request waited in the queue for longer than the server allows",
              .code = "queue_timeout"};
    case Deadline::kFirstToken:
      return {.status = 408,
              .message = "The request's first token took longer than the server allows",
              .code = "first_token_timeout"};
    case Deadline::kTotal:
      break;
  }
  return {.status = 408, .message = "The request took longer than its timeout", .code = "timeout"};
}

}  // namespace

RefusalAnswer answer_of(const Refusal& refusal) {
  using Kind = Refusal::Kind;
  switch (refusal.kind) {
    case Kind::kQueueFull:
      return {{.status = 503, .message = refusal.message, .code = "queue_full"},
              {{"Retry-After", "1"}},
              "queue_full"};
    case Kind::kDraining:
      return {{.status = 503, .message = refusal.message, .code = "shutting_down"},
              {{"Retry-After", "5"}},
              "draining"};
    case Kind::kTooLarge:
      return {{.status = 400, .message = refusal.message, .code = "context_length_exceeded"},
              {},
              "too_large"};
    case Kind::kInvalid:
      break;
  }
  return {{.status = 400, .message = refusal.message}, {}, "invalid"};
}

Job::Job(const ServiceParts& parts, Call call, std::unique_ptr<Answer> answer, bool stream,
         Admission admission)
    : parts_(parts),
      call_(std::move(call)),
      stream_(stream),
      answer_(std::move(answer)),
      admission_(std::move(admission)) {}

void Job::start(std::vector<Request> requests) {
  {
    const std::lock_guard lock(mutex_);
    requests_ = std::move(requests);
  }
  // The exchange keeps what it is given until it is answered, so it must not keep the job.
  call_.exchange->on_close([weak = weak_from_this()] {
    if (const auto job = weak.lock()) job->cancel();
  });
  submit_more();
}

void Job::submit_more() {
  std::vector<Request> slice;
  std::vector<RequestFacts> facts;
  {
    const std::lock_guard lock(mutex_);
    if (submitting_) return;
    for (; next_ < requests_.size() && open_requests_ + slice.size() < kOpenMax; ++next_) {
      const Request& request = requests_[next_];
      facts.push_back({call_.arrived, request.choices, request.params.max_tokens});
      slice.push_back(std::move(requests_[next_]));
    }
    if (slice.empty()) return;
    submitting_ = true;
  }
  auto ids = parts_.loop->submit(std::move(slice), [self = shared_from_this()](RequestUpdate&& u) {
    self->on_update(std::move(u));
  });
  bool cancel_rest = false;
  {
    const std::lock_guard lock(mutex_);
    submitting_ = false;
    if (ids) {
      ids_.insert(ids_.end(), ids->begin(), ids->end());
      open_requests_ += ids->size();
      for (const RequestFacts& fact : facts)
        observed_.push_back(parts_.metrics == nullptr ? ServerMetrics::Request()
                                                      : parts_.metrics->started(fact));
    } else {
      refuse(ids.error());
    }
    for (RequestUpdate& update : std::exchange(early_, {})) take(std::move(update));
    cancel_rest = answered_ && open_requests_ > 0;
    if (ended()) close_books();
  }
  if (cancel_rest || call_.exchange->closed()) cancel();
}

/// Called with the lock.
void Job::refuse(const Refusal& refusal) {
  next_ = requests_.size();
  const RefusalAnswer told = answer_of(refusal);
  HttpHeaders headers = admission_.headers;
  headers.insert(headers.end(), told.headers.begin(), told.headers.end());
  if (!answered_) fail(told.error, std::move(headers));
  if (parts_.metrics != nullptr) parts_.metrics->refused(told.reason);
}

void Job::on_update(RequestUpdate&& update) {
  bool cancel_rest = false, more = false;
  {
    const std::lock_guard lock(mutex_);
    if (submitting_) {
      early_.push_back(std::move(update));
      return;
    }
    const bool was_answered = answered_;
    take(std::move(update));
    cancel_rest = answered_ && !was_answered && open_requests_ > 0;
    more = next_ < requests_.size();
    if (ended()) close_books();
  }
  if (cancel_rest) cancel();
  if (more) submit_more();
}

/// Called with the lock.
void Job::take(RequestUpdate&& update) {
  const auto id = std::ranges::find(ids_, update.request);
  if (id == ids_.end()) return;
  const auto index = static_cast<std::size_t>(id - ids_.begin());
  observed_[index].on_update(update);
  std::string out;
  if (!answered_) take_events(index, update.events, out);
  if (update.summary) {
    add_summary(*update.summary);
    --open_requests_;
  }
  if (!answered_ && (answer_->complete() || ended())) {
    answer_->finish(out);
    if (stream_) {
      send(std::move(out));
      call_.exchange->finish();
    } else {
      call_.exchange->respond(
          {.status = 200, .headers = admission_.headers, .body = std::move(out)});
    }
    answered_ = true;
  } else if (!answered_ && stream_ && !out.empty() && !send(std::move(out))) {
    answered_ = true;
  }
  if (answered_) next_ = requests_.size();
}

void Job::take_events(std::size_t index, std::vector<TokenEvent>& events, std::string& out) {
  for (TokenEvent& event : events) {
    const bool ended_well = !event.finished || event.finished == FinishReason::kStop ||
                            event.finished == FinishReason::kLength;
    if (ended_well) {
      answer_->on_event(index, std::move(event), out);
      continue;
    }
    HttpHeaders headers = admission_.headers;
    const ApiError error = ended_early(event);
    if (error.status == 503) headers.emplace_back("Retry-After", "5");
    if (stream_ && !out.empty()) send(std::exchange(out, {}));
    return fail(error, std::move(headers));
  }
}

bool Job::send(std::string out) {
  if (!std::exchange(streaming_, true) &&
      !call_.exchange->start_stream(200, admission_.headers, "text/event-stream"))
    return false;
  return call_.exchange->write(std::move(out));
}

void Job::fail(const ApiError& error, HttpHeaders headers) {
  answered_ = true;
  error_ = error.message;
  status_ = error.status;
  if (!streaming_) {
    call_.exchange->respond(error_response(error, std::move(headers)));
    return;
  }
  std::string out;
  answer_->fail(error, out);
  send(std::move(out));
  call_.exchange->finish();
}

void Job::cancel() {
  std::vector<RequestId> ids;
  {
    const std::lock_guard lock(mutex_);
    next_ = requests_.size();
    ids = ids_;
  }
  for (const RequestId id : ids) parts_.loop->cancel(id);
}

void Job::add_summary(const RequestSummary& s) {
  const Clock::time_point never{};
  const auto earliest = [&](Clock::time_point& to, Clock::time_point from) {
    if (from != never && (to == never || from < to)) to = from;
  };
  earliest(total_.arrived, s.arrived);
  earliest(total_.scheduled, s.scheduled);
  earliest(total_.first_token, s.first_token);
  total_.finished = std::max(total_.finished, s.finished);
  total_.prompt_tokens += s.prompt_tokens;
  total_.reused_tokens += s.reused_tokens;
  total_.output_tokens += s.output_tokens;
  total_.preemptions += s.preemptions;
  total_.speculation += s.speculation;
}

void Job::close_books() {
  if (std::exchange(closed_, true)) return;
  admission_.ticket.settle(total_.prompt_tokens + total_.output_tokens);
  const RateTicket released = std::move(admission_.ticket);
  // A client that left before anything was sent got no status; 499 is what proxies log for it.
  if (call_.exchange->closed() && error_.empty()) status_ = 499;
  if (parts_.metrics != nullptr) parts_.metrics->http_response(call_.endpoint, status_);
  if (parts_.log == nullptr) return;
  RequestRecord record;
  record.id = call_.http.id;
  record.key = call_.key.name;
  record.client = call_.http.peer;
  record.endpoint = call_.endpoint;
  record.status = status_;
  record.prompt_tokens = total_.prompt_tokens;
  record.cached_tokens = total_.reused_tokens;
  record.output_tokens = total_.output_tokens;
  const Clock::time_point never{};
  if (total_.scheduled != never)
    record.queue_seconds = seconds_between(total_.arrived, total_.scheduled);
  if (total_.first_token != never) {
    record.first_token_seconds = seconds_between(call_.arrived, total_.first_token);
    const double decoding = seconds_between(total_.first_token, total_.finished);
    if (decoding > 0 && total_.output_tokens > 1)
      record.tokens_per_second = static_cast<double>(total_.output_tokens - 1) / decoding;
  }
  record.total_seconds = seconds_between(call_.arrived, Clock::now());
  const std::string reason = status_ == 499 ? "cancelled" : answer_->finish_reason();
  record.finish_reason = reason;
  record.preemptions = total_.preemptions;
  if (total_.speculation.checks > 0) record.speculation = total_.speculation;
  record.error = error_;
  parts_.log->write(record);
}

}  // namespace ridgeline::openai
