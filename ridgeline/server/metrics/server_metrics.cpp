#include "ridgeline/server/metrics/server_metrics.h"

#include <algorithm>
#include <utility>

#include "ridgeline/server/metrics/metric_store.h"

namespace ridgeline {
namespace {

// Labels come from our own code, but a bug there must not fill the memory.
constexpr std::size_t kLabelValuesMax = 256;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::max(0.0, std::chrono::duration<double>(to - from).count());
}

bool happened(Clock::time_point time) { return time != Clock::time_point{}; }

}  // namespace

std::string_view finished_reason_label(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "abort";
    case FinishReason::kDeadline:
      return "deadline";
    case FinishReason::kError:
      return "error";
  }
  return "error";
}

void RecentSpeculation::add(const SpeculationCounts& step, Clock::time_point now) {
  passes_.add(static_cast<double>(step.checks), now);
  tokens_.add(static_cast<double>(step.tokens), now);
  drafted_.add(static_cast<double>(step.drafted), now);
  accepted_.add(static_cast<double>(step.accepted), now);
  seconds_.add(step.seconds, now);
  plain_seconds_.add(step.plain_seconds, now);
}

RecentSpeculation::Ratios RecentSpeculation::ratios(Clock::time_point now) const {
  const auto ratio = [&](const RollingRate& part, const RollingRate& whole) {
    const double of = whole.per_second(now);
    return of > 0 ? std::optional(part.per_second(now) / of) : std::nullopt;
  };
  return {ratio(accepted_, drafted_), ratio(tokens_, passes_), ratio(plain_seconds_, seconds_)};
}

ServerMetrics::ServerMetrics(std::string model_name)
    : impl_(std::make_unique<Impl>(std::move(model_name))) {}
ServerMetrics::~ServerMetrics() = default;

ServerMetrics::Request ServerMetrics::started(RequestFacts facts) {
  impl_->params_n.observe(facts.choices);
  if (facts.max_tokens >= 0)
    impl_->params_max_tokens.observe(static_cast<double>(facts.max_tokens));
  Request request;
  request.metrics_ = impl_.get();
  request.facts_ = facts;
  request.choices_.resize(static_cast<std::size_t>(std::max(1, facts.choices)));
  return request;
}

void ServerMetrics::Request::on_update(const RequestUpdate& update) {
  if (metrics_ == nullptr) return;
  for (const TokenEvent& event : update.events) {
    const auto index = static_cast<std::size_t>(event.choice);
    if (index >= choices_.size()) continue;
    Choice& choice = choices_[index];
    if (event.token) on_token(choice, update.time);
    if (!event.finished) continue;
    reason_ = *event.finished;  // a cancellation is told once, for all choices
    if (!choice.ended) end_choice(choice);
  }
  if (update.summary) on_summary(*update.summary, update.time);
}

void ServerMetrics::Request::on_token(Choice& choice, Clock::time_point now) {
  if (!any_token_) {
    any_token_ = true;
    const double seconds = seconds_between(facts_.arrived, now);
    metrics_->time_to_first_token.observe(seconds);
    metrics_->recent_first_token.observe(seconds, now);
  }
  if (choice.tokens == 0) {
    choice.first_token = now;
  } else {
    const double seconds = seconds_between(choice.last_token, now);
    metrics_->inter_token_latency.observe(seconds);
    metrics_->recent_token_gap.observe(seconds, now);
  }
  choice.last_token = now;
  ++choice.tokens;
}

void ServerMetrics::Request::end_choice(Choice& choice) {
  choice.ended = true;
  const auto index = std::min(static_cast<std::size_t>(reason_), kFinishReasons - 1);
  metrics_->finished[index].fetch_add(1, std::memory_order_relaxed);
  if (choice.tokens > 0) metrics_->generation_tokens.observe(static_cast<double>(choice.tokens));
  if (choice.tokens > 1) {
    metrics_->time_per_output_token.observe(seconds_between(choice.first_token, choice.last_token) /
                                            static_cast<double>(choice.tokens - 1));
  }
}

void ServerMetrics::Request::on_summary(const RequestSummary& summary, Clock::time_point now) {
  std::int64_t longest = 0;
  Clock::time_point last_token{};
  for (Choice& choice : choices_) {
    if (!choice.ended) end_choice(choice);
    longest = std::max(longest, choice.tokens);
    last_token = std::max(last_token, choice.last_token);
  }
  Impl& metrics = *std::exchange(metrics_, nullptr);  // nothing comes after it
  metrics.prompt_tokens.observe(static_cast<double>(summary.prompt_tokens));
  if (longest > 0) metrics.max_generation_tokens.observe(static_cast<double>(longest));

  const Clock::time_point end = happened(summary.finished) ? summary.finished : now;
  if (!happened(summary.arrived)) return;  // never got as far as the engine
  metrics.queue_time.observe(
      seconds_between(summary.arrived, happened(summary.scheduled) ? summary.scheduled : end));
  // How long a client that went away would have waited is not known.
  if (reason_ == FinishReason::kCancelled || reason_ == FinishReason::kError) return;
  const double seconds = seconds_between(facts_.arrived, end);
  metrics.e2e_latency.observe(seconds);
  metrics.recent_e2e.observe(seconds, end);
  if (!happened(summary.scheduled) || !any_token_) return;
  metrics.prefill_time.observe(seconds_between(summary.scheduled, summary.first_token));
  metrics.decode_time.observe(seconds_between(summary.first_token, last_token));
  metrics.inference_time.observe(seconds_between(summary.scheduled, last_token));
}

void ServerMetrics::refused(std::string_view reason) {
  const std::lock_guard lock(impl_->mutex);
  auto found = impl_->refused.find(reason);
  if (found == impl_->refused.end()) {
    if (impl_->refused.size() >= kLabelValuesMax) reason = "other";
    found = impl_->refused.try_emplace(std::string(reason)).first;
  }
  ++found->second;
}

void ServerMetrics::http_response(std::string_view endpoint, int status) {
  std::pair<std::string, int> key(endpoint, status);
  const std::lock_guard lock(impl_->mutex);
  if (impl_->responses.size() >= kLabelValuesMax && !impl_->responses.contains(key)) {
    key = {"other", status};
  }
  ++impl_->responses[std::move(key)];
}

void ServerMetrics::on_step(const StepReport& step, Clock::time_point now) {
  Impl& metrics = *impl_;
  const auto sampled = static_cast<double>(step.sampled_tokens);
  const auto prompt = static_cast<double>(step.prefill_rows);
  metrics.step_tokens.observe(prompt + sampled);
  metrics.step_seconds.observe(step.draft_seconds + step.schedule_seconds + step.forward_seconds +
                               step.sample_seconds);
  metrics.recent_output.add(sampled, now);
  metrics.recent_prompt.add(prompt, now);
  if (step.speculation.checks > 0) metrics.recent_speculation.add(step.speculation, now);
  if (step.predicted_seconds > 0) {
    metrics.predicted_seconds.fetch_add(step.predicted_seconds, std::memory_order_relaxed);
    metrics.predicted_steps_seconds.fetch_add(step.forward_seconds, std::memory_order_relaxed);
    metrics.step_error.observe(step.forward_seconds / step.predicted_seconds);
  }
}

}  // namespace ridgeline
