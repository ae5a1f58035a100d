#include "ridgeline/server/http/exchange_core.h"

#include <charconv>
#include <ctime>
#include <string_view>
#include <utility>

#include "ridgeline/server/http/error_response.h"
#include "ridgeline/server/http/exchange.h"

namespace ridgeline {
namespace {

/// RFC 9110, 5.6.7, made once a second.
std::string_view http_date() {
  thread_local std::time_t of = -1;
  thread_local char text[40];
  thread_local std::size_t size = 0;
  const std::time_t now = std::time(nullptr);
  if (now != of) {
    constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    std::tm utc{};
    gmtime_r(&now, &utc);
    // Not strftime's names, which a locale may translate.
    char format[40] = "???, %d ??? %Y %H:%M:%S GMT";
    std::copy_n(kDays[utc.tm_wday], 3, format);
    std::copy_n(kMonths[utc.tm_mon], 3, format + 8);
    size = std::strftime(text, sizeof(text), format, &utc);
    of = now;
  }
  return {text, size};
}

/// A value cannot end its line: what a model's name or a client sent may be in it.
void append_clean(std::string& out, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += (byte < 0x20 && c != '\t') || byte == 0x7F ? ' ' : c;
  }
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  append_clean(out, name);
  out += ": ";
  append_clean(out, value);
  out += "\r\n";
}

template <class Number>
void append_number(std::string& out, Number number, int base = 10) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof(digits), number, base).ptr);
}

}  // namespace

void Mailbox::put(std::uint64_t connection) {
  // The lock is held while waking, so that nobody wakes an I/O thread that has gone.
  const std::lock_guard lock(mutex_);
  if (!wake_) return;
  waiting_.push_back(connection);
  if (waiting_.size() == 1) wake_();
}

std::vector<std::uint64_t> Mailbox::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(waiting_, {});
}

void Mailbox::close() {
  const std::lock_guard lock(mutex_);
  wake_ = nullptr;
  waiting_.clear();
}

ExchangeCore::ExchangeCore(AnswerTerms terms, std::shared_ptr<Mailbox> mailbox,
                           std::uint64_t connection)
    : terms_(std::move(terms)), mailbox_(std::move(mailbox)), connection_(connection) {}

bool ExchangeCore::respond(HttpResponse response) {
  std::vector<std::function<void()>> dropped;
  const std::lock_guard lock(mutex_);
  if (state_ != State::kWaiting) return false;
  append_head(response.status, response.headers, response.content_type, &response.body);
  if (!bodiless_) queued_ += response.body;
  end(State::kComplete, dropped);
  return true;
}

bool ExchangeCore::start_stream(int status, HttpHeaders headers, std::string content_type) {
  const std::lock_guard lock(mutex_);
  if (state_ != State::kWaiting) return false;
  if (content_type.starts_with("text/event-stream") &&
      find_header(headers, "Cache-Control") == nullptr) {
    headers.emplace_back("Cache-Control", "no-cache");
    headers.emplace_back("X-Accel-Buffering", "no");  // nginx would hold the stream back
  }
  append_head(status, headers, content_type, nullptr);
  state_ = State::kStreaming;
  notify();
  return true;
}

bool ExchangeCore::write(const std::string& chunk) {
  const std::lock_guard lock(mutex_);
  if (state_ != State::kStreaming) return false;
  if (chunk.empty() || bodiless_) return true;
  const std::size_t waiting = queued_.size() + taken_bytes_;
  // A single chunk may be larger, else it could never be sent.
  if (waiting > 0 && waiting + chunk.size() > terms_.max_output_bytes) {
    overflowed_ = true;
    state_ = State::kGone;
    queued_ = {};
    notify(true);  // the callbacks run there, not under the caller's locks
    return false;
  }
  if (chunked_) {
    append_number(queued_, chunk.size(), 16);
    queued_ += "\r\n";
  }
  queued_ += chunk;
  if (chunked_) queued_ += "\r\n";
  notify();
  return true;
}

void ExchangeCore::finish() {
  std::vector<std::function<void()>> dropped;
  const std::lock_guard lock(mutex_);
  if (state_ != State::kStreaming) return;
  if (chunked_ && !bodiless_) queued_ += "0\r\n\r\n";
  end(State::kComplete, dropped);
}

void ExchangeCore::abandon() {
  std::vector<std::function<void()>> dropped;
  const std::lock_guard lock(mutex_);
  if (state_ == State::kWaiting) {
    const HttpResponse response = error_response(
        {.status = 500, .message = "The server ended this request without an answer"});
    append_head(response.status, response.headers, response.content_type, &response.body);
    if (!bodiless_) queued_ += response.body;
    end(State::kComplete, dropped);
  } else if (state_ == State::kStreaming) {
    keep_alive_ = false;
    end(State::kBroken, dropped);
  }
}

void ExchangeCore::on_close(std::function<void()> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (state_ == State::kWaiting || state_ == State::kStreaming) {
      callbacks_.push_back(std::move(callback));
      return;
    }
    if (state_ != State::kGone) return;
  }
  callback();
}

bool ExchangeCore::closed() const {
  const std::lock_guard lock(mutex_);
  return state_ == State::kGone;
}

ExchangeCore::Taken ExchangeCore::take(std::string& bytes) {
  const std::lock_guard lock(mutex_);
  notified_ = false;
  if (queued_.empty()) return is_complete() ? Taken::kEnd : Taken::kNothingYet;
  bytes.clear();
  bytes.swap(queued_);
  taken_bytes_ = bytes.size();
  return Taken::kBytes;
}

void ExchangeCore::sent(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  taken_bytes_ -= bytes;
}

bool ExchangeCore::complete() const {
  const std::lock_guard lock(mutex_);
  return is_complete();
}

bool ExchangeCore::overflowed() const {
  const std::lock_guard lock(mutex_);
  return overflowed_;
}

bool ExchangeCore::reusable() const {
  const std::lock_guard lock(mutex_);
  return state_ == State::kComplete && keep_alive_;
}

bool ExchangeCore::client_gone() {
  std::vector<std::function<void()>> callbacks;
  {
    const std::lock_guard lock(mutex_);
    if (is_complete()) return false;
    state_ = State::kGone;
    queued_ = {};
    callbacks.swap(callbacks_);
  }
  for (const auto& callback : callbacks) callback();
  return true;
}

void ExchangeCore::append_head(int status, const HttpHeaders& headers,
                               std::string_view content_type, const std::string* body) {
  const bool no_content = status == 204 || status == 304;
  bodiless_ = terms_.head || no_content;
  chunked_ = body == nullptr && !terms_.http_1_0 && !no_content;
  const bool draining = terms_.draining != nullptr && *terms_.draining;
  // The end of an HTTP/1.0 stream is the connection's end.
  keep_alive_ = terms_.keep_alive && !draining && (body != nullptr || !terms_.http_1_0);

  std::string& out = queued_;
  out.reserve(512 + (body != nullptr && !bodiless_ ? body->size() : 0));
  out += "HTTP/1.1 ";
  append_number(out, status);
  ((out += ' ') += reason_phrase(status)) += "\r\n";
  append_header(out, "Date", http_date());
  if (!content_type.empty()) append_header(out, "Content-Type", content_type);
  if (chunked_) append_header(out, "Transfer-Encoding", "chunked");
  if (body != nullptr && !no_content) {
    out += "Content-Length: ";
    append_number(out, body->size());
    out += "\r\n";
  }
  if (!keep_alive_) {
    append_header(out, "Connection", "close");
  } else if (terms_.http_1_0) {
    append_header(out, "Connection", "keep-alive");
  }
  if (!terms_.request_id.empty()) append_header(out, "x-request-id", terms_.request_id);
  out += terms_.cors_headers;
  for (const auto& [name, value] : headers) append_header(out, name, value);
  out += "\r\n";
}

/// `dropped` is declared before the caller's lock, so that what the callbacks hold, perhaps
/// this exchange, goes after the lock is released.
void ExchangeCore::end(State state, std::vector<std::function<void()>>& dropped) {
  state_ = state;
  dropped.swap(callbacks_);
  notify();
}

void ExchangeCore::notify(bool always) {
  if (notified_ && !always) return;
  notified_ = true;
  if (mailbox_ != nullptr) mailbox_->put(connection_);
}

Exchange::Exchange(std::shared_ptr<ExchangeCore> core) : core_(std::move(core)) {}
Exchange::~Exchange() { core_->abandon(); }
bool Exchange::respond(HttpResponse response) { return core_->respond(std::move(response)); }
bool Exchange::start_stream(int status, HttpHeaders headers, std::string content_type) {
  return core_->start_stream(status, std::move(headers), std::move(content_type));
}
bool Exchange::write(std::string chunk) { return core_->write(chunk); }
void Exchange::finish() { core_->finish(); }
void Exchange::on_close(std::function<void()> callback) { core_->on_close(std::move(callback)); }
bool Exchange::closed() const { return core_->closed(); }

}  // namespace ridgeline
