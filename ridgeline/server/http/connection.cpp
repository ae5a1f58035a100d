#include "ridgeline/server/http/connection.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <exception>
#include <string_view>
#include <utility>

#include "ridgeline/server/http/answer_rules.h"
#include "ridgeline/server/http/error_response.h"

namespace ridgeline {
namespace {

using boost::asio::posix::descriptor_base;
using Outcome = ByteStream::Outcome;
using Phase = RequestReader::State;

constexpr std::size_t kScratchBytes = std::size_t{64} << 10;
/// Of requests that came before the answer they wait for; then the client has to wait.
constexpr std::size_t kPipelinedBytesMax = std::size_t{64} << 10;
/// Then other connections get their turn.
constexpr int kRoundsMax = 16;
constexpr std::size_t kKeptBufferBytes = 1024;
constexpr std::chrono::seconds kLingerTime{2};

}  // namespace

IoContext::IoContext(ServerContext& server_context)
    : server(server_context),
      scratch(kScratchBytes),
      work_(boost::asio::make_work_guard(asio)),
      drain_timer_(asio) {
  mailbox = std::make_shared<Mailbox>([this] {
    boost::asio::post(asio, [this] {
      for (const std::uint64_t id : mailbox->take()) {
        if (const auto found = connections_.find(id); found != connections_.end()) {
          const auto connection = found->second;
          connection->wake();
        }
      }
    });
  });
}

void IoContext::add(int socket, std::string peer, bool refuse) {
  const std::uint64_t id = ++last_connection_;
  const auto connection = std::make_shared<Connection>(*this, id, socket, std::move(peer), refuse);
  connections_.emplace(id, connection);
  connection->start();
}

void IoContext::drain(std::chrono::milliseconds timeout) {
  work_.reset();
  for (const auto& connection : all()) connection->drain();
  if (connections_.empty()) return;
  drain_timer_.expires_after(timeout);
  drain_timer_.async_wait([this](boost::system::error_code error) {
    if (!error) stop();
  });
}

void IoContext::stop() {
  work_.reset();
  for (const auto& connection : all()) connection->close();
}

void IoContext::removed(std::uint64_t connection) {
  connections_.erase(connection);
  if (connections_.empty()) drain_timer_.cancel();
}

std::vector<std::shared_ptr<Connection>> IoContext::all() const {
  std::vector<std::shared_ptr<Connection>> connections;
  connections.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) connections.push_back(connection);
  return connections;
}

Connection::Connection(IoContext& io, std::uint64_t id, int socket, std::string peer, bool refuse)
    : io_(io),
      id_(id),
      peer_(std::move(peer)),
      refuse_(refuse),
      stream_(socket, io.server.tls.get()),
      descriptor_(io.asio, socket),
      timer_(io.asio),
      reader_({.max_header_bytes = io.server.options.max_header_bytes,
               .max_body_bytes = io.server.options.max_body_bytes}) {
  ++io_.server.connections;
}

Connection::~Connection() {
  if (descriptor_.is_open()) descriptor_.release();  // before stream_ closes it
  --io_.server.connections;
}

void Connection::start() {
  set_deadline(Clock::now() + io_.server.options.header_timeout);
  readable_ = true;  // often the first bytes are there already
  step();
}

void Connection::wake() { step(); }

void Connection::drain() {
  const bool idle = state_ == State::kReading && phase_ == Phase::kIdle;
  if (idle || state_ == State::kHandshake) close();
}

void Connection::close() {
  if (state_ == State::kClosed) return;
  const auto self = shared_from_this();
  state_ = State::kClosed;
  account_arriving();
  timer_.cancel();
  descriptor_.release();
  io_.removed(id_);
  if (exchange_ == nullptr) return;
  --io_.server.exchanges;
  try {
    if (exchange_->client_gone()) ++io_.server.abandoned;
  } catch (const std::exception& error) {
    io_.server.report(std::string("A callback of on_close threw: ") + error.what());
  }
  exchange_ = nullptr;
}

void Connection::step() noexcept {
  const auto self = shared_from_this();
  try {
    for (int round = 0; round < kRoundsMax; ++round) {
      if (!advance()) {
        if (state_ == State::kClosed) return;
        if (wants_to_read() && !readable_) wait_readable();
        if (!writable_) wait_writable();
        return;
      }
    }
    boost::asio::post(io_.asio, [self] { self->step(); });
  } catch (const std::exception& error) {
    io_.server.report("Connection of " + peer_ + " closed: " + error.what());
    close();
  }
}

bool Connection::advance() {
  const bool read = readable_ && wants_to_read() && state_ != State::kHandshake && read_some();
  switch (state_) {
    case State::kHandshake:
      return shake_hands();
    case State::kReading:
      return read_request() || read;
    case State::kAnswering:
      return send_answer() || read;
    case State::kLingering:
      if (ended_) close();
      return read;
    case State::kClosed:
      return false;
  }
  return false;
}

bool Connection::shake_hands() {
  switch (stream_.handshake()) {
    case Outcome::kDone:
      state_ = State::kReading;
      enter_phase(Phase::kIdle);
      readable_ = writable_ = true;
      return true;
    case Outcome::kWantRead:
      readable_ = false;
      return false;
    case Outcome::kWantWrite:
      writable_ = false;
      return false;
    default:
      close();
      return false;
  }
}

bool Connection::wants_to_read() const {
  if (ended_) return false;
  return state_ != State::kAnswering || reader_.buffered_bytes() < kPipelinedBytesMax;
}

bool Connection::read_some() {
  const ByteStream::Transfer transfer = stream_.read(io_.scratch.data(), io_.scratch.size());
  switch (transfer.outcome) {
    case Outcome::kDone:
      if (state_ != State::kLingering) reader_.append({io_.scratch.data(), transfer.bytes});
      return true;
    case Outcome::kWantRead:
      readable_ = false;
      return false;
    case Outcome::kWantWrite:
      writable_ = false;
      return false;
    case Outcome::kEnd:
      ended_ = true;
      return true;
    case Outcome::kFailed:
      close();
      return false;
  }
  return false;
}

bool Connection::read_request() {
  if (!write_outgoing() && state_ == State::kClosed) return false;  // a 100 Continue
  const Phase phase = reader_.parse();
  account_arriving();
  if (phase == Phase::kComplete) {
    answer(reader_.take());
    return true;
  }
  if (phase == Phase::kFailed) {
    ++io_.server.malformed;
    refuse(reader_.error());
    return true;
  }
  if (phase == Phase::kBody) {
    // Not worth the rest of the body.
    if (refuse_ || *io_.server.draining) {
      refuse(refuse_ ? too_many_connections() : shutting_down());
      return true;
    }
    if (io_.server.arriving_bytes > io_.server.options.max_arriving_bytes) {
      refuse({.status = 503,
              .message = "The requests that are arriving take too much memory, try again later"});
      return true;
    }
  }
  if (ended_) {
    if (phase == Phase::kIdle) {
      close();
      return false;
    }
    ++io_.server.malformed;
    refuse({.status = 400, .message = "The connection ended before the request did"});
    return true;
  }
  if (phase != phase_) enter_phase(phase);
  if (reader_.take_expectation()) {
    outgoing_ += "HTTP/1.1 100 Continue\r\n\r\n";
    write_outgoing();
  }
  return false;
}

void Connection::enter_phase(RequestReader::State phase) {
  phase_ = phase;
  const HttpOptions& options = io_.server.options;
  set_deadline(Clock::now() + (phase == Phase::kIdle     ? options.idle_timeout
                               : phase == Phase::kHeader ? options.header_timeout
                                                         : options.body_timeout));
}

void Connection::account_arriving() {
  const std::size_t bytes = state_ == State::kReading ? reader_.held_bytes() : 0;
  io_.server.arriving_bytes += bytes - arriving_bytes_;
  arriving_bytes_ = bytes;
}

void Connection::answer(HttpRequest request) {
  request.peer = peer_;
  request.id = request_id(request);
  open_exchange(request, reader_.keep_alive());
  const auto exchange = std::make_shared<Exchange>(exchange_);
  if (refuse_) {
    exchange->respond(error_response(too_many_connections(), {{"Retry-After", "1"}}));
  } else if (*io_.server.draining) {
    exchange->respond(error_response(shutting_down(), {{"Retry-After", "1"}}));
  } else if (auto preflight = cors_preflight(io_.server.options, request)) {
    exchange->respond(*std::move(preflight));
  } else if (const auto coding = request.header("Content-Encoding");
             !coding.empty() && !equal_ignoring_case(coding, "identity")) {
    exchange->respond(
        error_response({.status = 415, .message = "A body with Content-Encoding is not accepted"}));
  } else {
    answer_by_handler(std::move(request), exchange);
  }
}

void Connection::answer_by_handler(HttpRequest request, const std::shared_ptr<Exchange>& exchange) {
  ++io_.server.requests;
  std::string what;
  try {
    io_.server.handler(std::move(request), exchange);
    return;
  } catch (const std::exception& error) {
    what = error.what();
  } catch (...) {
    what = "an exception of an unknown kind";
  }
  exchange->respond(
      error_response({.status = 500, .message = "The server failed to handle this request"}));
  io_.server.report("A handler threw: " + what);
}

/// Answers what is not a request, or not one to wait for; the connection closes after it.
void Connection::refuse(const ApiError& error) {
  HttpRequest request = reader_.partial();
  request.id = request_id(request);
  open_exchange(request, false);
  HttpHeaders headers;
  if (error.status == 503) headers.emplace_back("Retry-After", "1");
  exchange_->respond(error_response(error, std::move(headers)));
}

void Connection::open_exchange(const HttpRequest& request, bool keep_alive) {
  state_ = State::kAnswering;
  account_arriving();
  set_deadline(Clock::time_point::max());
  ++io_.server.exchanges;
  AnswerTerms terms{.http_1_0 = reader_.http_1_0(),
                    .keep_alive = keep_alive && !refuse_,
                    .head = request.method == "HEAD",
                    .request_id = request.id,
                    .cors_headers = cors_headers(io_.server.options, request),
                    .max_output_bytes = io_.server.options.max_output_bytes,
                    .draining = io_.server.draining};
  exchange_ = std::make_shared<ExchangeCore>(std::move(terms), io_.mailbox, id_);
}

bool Connection::send_answer() {
  if (exchange_->overflowed()) {
    ++io_.server.overflows;
    close();
    return false;
  }
  auto taken = ExchangeCore::Taken::kBytes;
  while (write_outgoing()) {
    taken = exchange_->take(outgoing_);
    if (taken != ExchangeCore::Taken::kBytes) break;
    outgoing_of_exchange_ = true;
  }
  if (state_ == State::kClosed) return false;
  if (ended_ && !io_.server.options.answer_half_closed && !exchange_->complete()) {
    close();
    return false;
  }
  if (taken != ExchangeCore::Taken::kEnd) return false;
  end_exchange();
  return true;
}

/// True if all of it is sent.
bool Connection::write_outgoing() {
  while (outgoing_sent_ < outgoing_.size()) {
    if (!writable_) return false;
    const ByteStream::Transfer transfer =
        stream_.write(outgoing_.data() + outgoing_sent_, outgoing_.size() - outgoing_sent_);
    switch (transfer.outcome) {
      case Outcome::kDone:
        outgoing_sent_ += transfer.bytes;
        if (outgoing_of_exchange_) exchange_->sent(transfer.bytes);
        break;
      case Outcome::kWantRead:
      case Outcome::kWantWrite:
        writable_ = false;
        if (transfer.outcome == Outcome::kWantRead) readable_ = false;
        if (state_ == State::kAnswering) {
          set_deadline(Clock::now() + io_.server.options.write_timeout);
        }
        return false;
      default:
        close();
        return false;
    }
  }
  outgoing_.clear();
  outgoing_sent_ = 0;
  outgoing_of_exchange_ = false;
  if (state_ == State::kAnswering) set_deadline(Clock::time_point::max());
  return true;
}

void Connection::end_exchange() {
  const bool reusable = exchange_->reusable() && !*io_.server.draining;
  exchange_ = nullptr;
  --io_.server.exchanges;
  if (outgoing_.capacity() > kKeptBufferBytes) outgoing_ = {};
  if (!reusable) return linger();
  state_ = State::kReading;
  enter_phase(Phase::kIdle);
}

void Connection::linger() {
  state_ = State::kLingering;
  stream_.shutdown();
  set_deadline(Clock::now() + kLingerTime);
}

void Connection::wait_readable() {
  if (std::exchange(waits_readable_, true)) return;
  descriptor_.async_wait(descriptor_base::wait_read,
                         [self = shared_from_this()](boost::system::error_code error) {
                           self->waits_readable_ = false;
                           if (error || self->state_ == State::kClosed) return;
                           self->readable_ = true;
                           // TLS may have been waiting for this before it can write.
                           if (self->io_.server.tls != nullptr) self->writable_ = true;
                           self->step();
                         });
}

void Connection::wait_writable() {
  if (std::exchange(waits_writable_, true)) return;
  descriptor_.async_wait(descriptor_base::wait_write,
                         [self = shared_from_this()](boost::system::error_code error) {
                           self->waits_writable_ = false;
                           if (error || self->state_ == State::kClosed) return;
                           self->writable_ = true;
                           self->step();
                         });
}

void Connection::set_deadline(Clock::time_point deadline) {
  deadline_ = deadline;
  // A timer that runs out too early is set again: cheaper than one set for each request.
  if (deadline < timer_at_) wait_deadline();
}

void Connection::wait_deadline() {
  timer_at_ = deadline_;
  timer_.expires_at(deadline_);
  timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
    if (error || self->state_ == State::kClosed) return;
    self->timer_at_ = Clock::time_point::max();
    if (Clock::now() >= self->deadline_) {
      self->timed_out();
    } else if (self->deadline_ != Clock::time_point::max()) {
      self->wait_deadline();
    }
  });
}

void Connection::timed_out() {
  const bool in_request = state_ == State::kReading && phase_ != Phase::kIdle;
  if (in_request || state_ == State::kAnswering) ++io_.server.timeouts;
  if (!in_request) return close();
  const char* part = phase_ == Phase::kHeader ? "headers" : "body";
  refuse({.status = 408, .message = "The request's " + std::string(part) + " took too long"});
  step();
}

}  // namespace ridgeline
