#include "ridgeline/tools/load/load_run.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "ridgeline/tools/load/completion_stream.h"
#include "ridgeline/tools/load/transfers.h"

namespace ridgeline::load {
namespace {

using Json = nlohmann::json;

double cpu_s() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Every request in flight has a socket.
void allow_many_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

class Loop {
 public:
  Loop(const Target& target, const std::vector<PlannedRequest>& plan, const LoadOptions& options,
       Transfers& transfers)
      : target_(target), plan_(plan), options_(options), transfers_(transfers) {
    run_.requests.resize(plan.size());
  }

  LoadRun run() {
    const double cpu_before = cpu_s();
    begin_s_ = monotonic_s();
    while (answered_ < plan_.size()) {
      send_what_is_due();
      const bool waits_for_time = options_.users == 0 && sent_ < plan_.size();
      transfers_.wait(waits_for_time ? begin_s_ + plan_[sent_].arrival_s
                                     : std::numeric_limits<double>::infinity());
    }
    run_.client_cpu_s = cpu_s() - cpu_before;
    for (const RequestRecord& record : run_.requests)
      run_.duration_s = std::max(run_.duration_s, record.end_s);
    return std::move(run_);
  }

 private:
  class Receiver : public TransferReceiver {
   public:
    Receiver(Loop& loop, RequestRecord& record)
        : loop_(loop), record_(record), stream_(loop.target_.endpoint, record) {}
    void begin(long status, std::string_view content_type) override {
      stream_.begin(status, content_type);
    }
    bool body(std::string_view bytes) override { return stream_.push(bytes, loop_.now_s()); }
    void end(Failure failure, const std::string& message) override {
      record_.end_s = loop_.now_s();
      if (!record_.failed() && failure != Failure::kNone && failure != Failure::kRefused) {
        record_.failure = failure == Failure::kConnect   ? "connect"
                          : failure == Failure::kTimeout ? "timeout"
                                                         : "disconnected";
        record_.failure_message = message;
      }
      stream_.end();
      loop_.answered();
    }

   private:
    Loop& loop_;
    RequestRecord& record_;
    CompletionStream stream_;
  };

  double now_s() const { return monotonic_s() - begin_s_; }
  void answered() {
    ++answered_;
    if (options_.on_progress) options_.on_progress(answered_, plan_.size());
  }

  void send_what_is_due() {
    for (; sent_ < plan_.size(); ++sent_) {
      const bool closed = options_.users > 0;
      const double now = now_s();
      if (closed ? sent_ - answered_ >= static_cast<std::size_t>(options_.users)
                 : plan_[sent_].arrival_s > now)
        return;
      RequestRecord& record = run_.requests[sent_];
      record.due_s = closed ? now : plan_[sent_].arrival_s;
      record.sent_s = now;
      record.sent_prompt_tokens = plan_[sent_].prompt_tokens;
      record.asked_tokens = plan_[sent_].max_tokens;
      transfers_.post(request_body(target_, plan_[sent_], options_.seed, options_.extra_fields),
                      std::make_unique<Receiver>(*this, record));
      run_.in_flight_max = std::max(run_.in_flight_max, sent_ + 1 - answered_);
    }
  }

  const Target& target_;
  const std::vector<PlannedRequest>& plan_;
  const LoadOptions& options_;
  Transfers& transfers_;
  LoadRun run_;
  double begin_s_ = 0;
  std::size_t sent_ = 0, answered_ = 0;
};

}  // namespace

std::string request_body(const Target& target, const PlannedRequest& request, std::uint64_t seed,
                         const std::string& extra_fields) {
  Json body{{"model", target.model},
            {"max_tokens", request.max_tokens},
            {"temperature", 0},
            {"seed", seed},
            {"stream", true},
            {"stream_options", {{"include_usage", true}}},
            {"ignore_eos", true},
            {"cache_prompt", true}};  // llama.cpp's; others have it on or do not know it
  if (target.endpoint == Endpoint::kCompletions)
    body["prompt"] = request.prompt;
  else if (!request.messages.empty())
    body["messages"] = Json::parse(request.messages, nullptr, /*allow_exceptions=*/false);
  else
    body["messages"] = Json::array({Json{{"role", "user"}, {"content", request.prompt}}});
  if (!extra_fields.empty())
    body.merge_patch(Json::parse(extra_fields, nullptr, /*allow_exceptions=*/false));
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<LoadRun> run_load(const Target& target, const std::vector<PlannedRequest>& plan,
                         const LoadOptions& options) {
  allow_many_files();
  RIDGELINE_TRY(const std::unique_ptr<Transfers> transfers,
                Transfers::create(target, options.timeout_s));
  return Loop(target, plan, options, *transfers).run();
}

}  // namespace ridgeline::load
