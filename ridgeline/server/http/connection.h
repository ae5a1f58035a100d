#pragma once

// Internal: brings Asio's reactor with it.

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "ridgeline/server/http/byte_stream.h"
#include "ridgeline/server/http/exchange_core.h"
#include "ridgeline/server/http/http_server.h"
#include "ridgeline/server/http/request_reader.h"

namespace ridgeline {

class Connection;

/// What all connections of a server share.
struct ServerContext {
  HttpOptions options;
  HttpHandler handler;
  std::shared_ptr<const TlsContext> tls;  // null: plain
  std::shared_ptr<std::atomic<bool>> draining = std::make_shared<std::atomic<bool>>(false);

  std::atomic<int> connections = 0;
  std::atomic<int> exchanges = 0;
  std::atomic<std::size_t> arriving_bytes = 0;
  std::atomic<std::uint64_t> accepted = 0, refused = 0, requests = 0, malformed = 0, timeouts = 0,
                             overflows = 0, abandoned = 0;

  void report(const std::string& sentence) const {
    if (options.report) options.report(sentence);
  }
};

/// One I/O thread's share, touched by that thread only.
struct IoContext {
  explicit IoContext(ServerContext& server_context);

  void add(int socket, std::string peer, bool refuse);
  /// Ends run() when the last connection is closed, or `timeout` later.
  void drain(std::chrono::milliseconds timeout);
  void stop();
  void removed(std::uint64_t connection);

  ServerContext& server;
  boost::asio::io_context asio{1};  // for one thread
  std::shared_ptr<Mailbox> mailbox;
  std::vector<char> scratch;  // what is read passes through here: idle costs no buffer

 private:
  std::vector<std::shared_ptr<Connection>> all() const;

  std::unordered_map<std::uint64_t, std::shared_ptr<Connection>> connections_;
  std::uint64_t last_connection_ = 0;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer drain_timer_;
};

/// A connection's life: handshake, then reading a request and sending its answer in turn,
/// then waiting for the client to close (lingering), so that a last answer is not lost with
/// bytes that nobody read.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = std::chrono::steady_clock;

  /// With `refuse` the first request is answered by 503.
  Connection(IoContext& io, std::uint64_t id, int socket, std::string peer, bool refuse);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start();
  /// The exchange has something new.
  void wake();
  /// No new requests; an idle connection closes.
  void drain();
  void close();

 private:
  enum class State { kHandshake, kReading, kAnswering, kLingering, kClosed };

  void step() noexcept;
  bool advance();  // these five: true if there may be more to do now
  bool shake_hands();
  bool read_some();
  bool read_request();
  bool send_answer();
  bool write_outgoing();
  void answer(HttpRequest request);
  void answer_by_handler(HttpRequest request, const std::shared_ptr<Exchange>& exchange);
  void refuse(const ApiError& error);
  void open_exchange(const HttpRequest& request, bool keep_alive);
  void end_exchange();
  void linger();
  void enter_phase(RequestReader::State phase);
  void account_arriving();
  bool wants_to_read() const;

  void wait_readable();
  void wait_writable();
  void set_deadline(Clock::time_point deadline);
  void wait_deadline();
  void timed_out();

  IoContext& io_;
  const std::uint64_t id_;
  const std::string peer_;
  const bool refuse_;
  ByteStream stream_;
  boost::asio::posix::stream_descriptor descriptor_;  // stream_'s socket; it closes it not
  boost::asio::steady_timer timer_;
  RequestReader reader_;
  std::shared_ptr<ExchangeCore> exchange_;

  State state_ = State::kHandshake;
  RequestReader::State phase_ = RequestReader::State::kIdle;
  bool readable_ = false;
  bool writable_ = true;
  bool waits_readable_ = false;
  bool waits_writable_ = false;
  bool ended_ = false;  // the client sends no more
  std::string outgoing_;
  std::size_t outgoing_sent_ = 0;
  bool outgoing_of_exchange_ = false;
  std::size_t arriving_bytes_ = 0;
  Clock::time_point deadline_ = Clock::time_point::max();
  Clock::time_point timer_at_ = Clock::time_point::max();
};

}  // namespace ridgeline
