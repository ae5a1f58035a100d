#include "ridgeline/server/metrics/request_log.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <csignal>
#include <ctime>
#include <iterator>
#include <mutex>
#include <thread>
#include <utility>

#include "ridgeline/server/metrics/quoted_text.h"

namespace ridgeline {
namespace {

/// "2026-11-22T23:05:58.123Z"
std::string utc(double unix_seconds) {
  const auto all_ms = std::max(0LL, std::llround(unix_seconds * 1e3));
  const auto seconds = static_cast<std::time_t>(all_ms / 1000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     all_ms % 1000);
}

bool is_plain_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./:[]+").find(c) != std::string_view::npos;
  });
}

/// One line's fields in either format.
class Line {
 public:
  Line(LogFormat format, double unix_seconds) : json_(format == LogFormat::kJson) {
    if (json_) text_ = '{';
    field("time", utc(unix_seconds));
  }

  void field(std::string_view name, std::string_view value) {
    // An error may quote a field of the request; a line stays a line one can read.
    constexpr std::size_t kValueBytesMax = 512;
    value = value.substr(0, kValueBytesMax);
    begin(name);
    if (json_ || !is_plain_word(value)) {
      append_quoted(value, text_);
    } else {
      text_ += value;
    }
  }
  void field(std::string_view name, std::int64_t value) {
    begin(name);
    fmt::format_to(std::back_inserter(text_), "{}", value);
  }
  void field(std::string_view name, double value) {
    if (!std::isfinite(value)) return;
    begin(name);
    fmt::format_to(std::back_inserter(text_), "{:.4g}", value);
  }
  /// What is absent is left out.
  void field(std::string_view name, const std::optional<double>& value) {
    if (value) field(name, *value);
  }
  void field_if_any(std::string_view name, std::string_view value) {
    if (!value.empty()) field(name, value);
  }

  std::string take() {
    if (json_) text_ += '}';
    return std::move(text_);
  }

 private:
  void begin(std::string_view name) {
    if (text_.size() > 1) text_ += json_ ? ',' : ' ';
    const std::string_view quote = json_ ? "\"" : "";
    fmt::format_to(std::back_inserter(text_), "{}{}{}{}", quote, name, quote, json_ ? ':' : '=');
  }

  bool json_;
  std::string text_;
};

double unix_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

std::string format_request(const RequestRecord& record, LogFormat format, double unix_seconds) {
  Line line(format, unix_seconds);
  line.field("id", record.id);
  line.field("key", record.key);
  line.field("client", record.client);
  line.field("endpoint", record.endpoint);
  line.field("status", std::int64_t{record.status});
  line.field("prompt_tokens", record.prompt_tokens);
  line.field("cached_tokens", record.cached_tokens);
  line.field("output_tokens", record.output_tokens);
  line.field("queue_seconds", record.queue_seconds);
  line.field("first_token_seconds", record.first_token_seconds);
  line.field("total_seconds", record.total_seconds);
  line.field("tokens_per_second", record.tokens_per_second);
  line.field_if_any("finish_reason", record.finish_reason);
  line.field("preemptions", std::int64_t{record.preemptions});
  if (const auto& drafts = record.speculation) {
    line.field("passes", static_cast<std::int64_t>(drafts->checks));
    line.field("drafted_tokens", static_cast<std::int64_t>(drafts->drafted));
    line.field("accepted_tokens", static_cast<std::int64_t>(drafts->accepted));
    line.field("estimated_speedup", drafts->speedup());
  }
  line.field_if_any("error", record.error);
  return line.take();
}

struct RequestLog::Impl {
  static constexpr std::size_t kWaitingBytesMax = std::size_t{1} << 20;
  static constexpr std::chrono::seconds kLastWords{1};

  Impl(LogFormat log_format, int file_descriptor) : format(log_format), fd(file_descriptor) {
    writer = std::thread([this] { run(); });
  }

  const LogFormat format;
  const int fd;
  std::mutex mutex;
  std::condition_variable changed;
  std::string waiting;
  bool ending = false;
  std::chrono::steady_clock::time_point give_up{};
  std::atomic<std::uint64_t> dropped{0};
  std::thread writer;

  void push(std::string line) {
    {
      const std::lock_guard lock(mutex);
      if (waiting.size() + line.size() > kWaitingBytesMax) {
        dropped.fetch_add(1, std::memory_order_relaxed);
        return;
      }
      waiting += line;
      waiting += '\n';
    }
    changed.notify_one();
  }

  bool should_give_up() {
    const std::lock_guard lock(mutex);
    return ending && std::chrono::steady_clock::now() >= give_up;
  }

  /// False: the other end is gone, or does not read and we are to end.
  bool write_all(std::string_view text) {
    while (!text.empty()) {
      // So that the end of the server need not wait for a reader: write() alone might block.
      pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
      constexpr int kPollMs = 100;
      const int polled = ::poll(&ready, 1, kPollMs);
      if (polled == 0 || (polled < 0 && errno == EINTR)) {
        if (should_give_up()) return false;
        continue;
      }
      // A pipe that is ready takes PIPE_BUF bytes without blocking, and no more for certain.
      constexpr std::size_t kChunkBytes = 4096;
      const ssize_t written = ::write(fd, text.data(), std::min(text.size(), kChunkBytes));
      if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (written < 0) return false;
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
  }

  void run() {
    // A reader that goes away is an error of write(), not the end of the server.
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    std::string writing;
    for (;;) {
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return ending || !waiting.empty(); });
        if (waiting.empty()) return;
        writing.clear();
        std::swap(writing, waiting);
      }
      if (!write_all(writing)) {
        const auto lines = std::count(writing.begin(), writing.end(), '\n');
        dropped.fetch_add(static_cast<std::uint64_t>(lines), std::memory_order_relaxed);
      }
    }
  }
};

RequestLog::RequestLog(LogFormat format, int file_descriptor)
    : impl_(std::make_unique<Impl>(format, file_descriptor)) {}

RequestLog::~RequestLog() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->ending = true;
    impl_->give_up = std::chrono::steady_clock::now() + Impl::kLastWords;
  }
  impl_->changed.notify_one();
  impl_->writer.join();
}

void RequestLog::write(const RequestRecord& record) {
  impl_->push(format_request(record, impl_->format, unix_now()));
}

void RequestLog::message(std::string_view text) {
  Line line(impl_->format, unix_now());
  line.field("message", text);
  impl_->push(line.take());
}

std::uint64_t RequestLog::dropped() const { return impl_->dropped.load(std::memory_order_relaxed); }

}  // namespace ridgeline
