#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/server/http/exchange.h"

namespace ridgeline {

struct HttpOptions {
  /// A name or address, all of whose addresses are listened on ("localhost", "0.0.0.0",
  /// "::" for IPv4 and IPv6), or "unix:PATH".
  std::string host = "127.0.0.1";
  int port = 8080;  ///< 0: any free one, see HttpServer::port()
  /// PEM files, the certificate with its chain. Both or none.
  std::string tls_certificate_file;
  std::string tls_key_file;

  /// One serves some ten thousand small requests a second; more take cores from the engine.
  int io_threads = 1;
  /// Open at a time; one more is answered by 503 and closed. Lowered to what the system's
  /// limit of open files leaves.
  int max_connections = 4096;

  std::size_t max_header_bytes = std::size_t{16} << 10;  ///< with the request line: 431
  std::size_t max_body_bytes = std::size_t{16} << 20;    ///< 413
  /// Of all connections together, while they arrive: 503.
  std::size_t max_arriving_bytes = std::size_t{512} << 20;
  /// Queued for a slow reader of a stream; over it the connection is closed.
  std::size_t max_output_bytes = std::size_t{1} << 20;

  std::chrono::milliseconds header_timeout{15'000};  ///< from its first byte: 408
  std::chrono::milliseconds body_timeout{60'000};    ///< from the header's end: 408
  std::chrono::milliseconds idle_timeout{75'000};    ///< between requests
  std::chrono::milliseconds write_timeout{30'000};   ///< without any progress

  /// Origins that a browser may call from, as "https://example.org", or "*" for all. Empty:
  /// no CORS headers, so only pages of this server itself.
  std::vector<std::string> cors_origins;

  /// A client that sends the end of its stream while it waits has gone, or has only shut
  /// down its sending half; nobody can tell. False: it has gone. True: it is answered, and
  /// its leaving is noticed only by what it refuses to take.
  bool answer_half_closed = false;

  /// Sentences for the operator, one at a time, from an I/O thread: no more files, a
  /// handler that threw. May be empty.
  std::function<void(const std::string&)> report;
};

/// Since the start, except what is now.
struct HttpStats {
  std::uint64_t accepted = 0;   ///< connections
  std::uint64_t refused = 0;    ///< connections over max_connections
  std::uint64_t requests = 0;   ///< that reached the handler
  std::uint64_t malformed = 0;  ///< answered by the transport with 4xx
  std::uint64_t timeouts = 0;   ///< of header, body and write
  std::uint64_t overflows = 0;  ///< streams given up because their reader was too slow
  std::uint64_t abandoned = 0;  ///< exchanges whose client went away before the end
  int connections = 0;          ///< now
  int exchanges = 0;            ///< now: requests whose answer is not wholly sent
};

/// HTTP/1.1 and 1.0 over TCP, TLS and unix sockets: keep-alive, pipelining (one request
/// after the other), 100-continue, chunked bodies, HEAD, CORS. What breaks the protocol or
/// a limit is answered in OpenAI's error shape without the handler, and never stops the
/// server. Every member may be called from any thread.
class HttpServer {
 public:
  /// Listens and starts its threads. Errors name the address or the file.
  static Result<std::unique_ptr<HttpServer>> listen(HttpOptions options, HttpHandler handler);
  /// stop() and wait().
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// 0 of a unix socket.
  int port() const;
  /// "http://127.0.0.1:8080", of what was asked for, with the port that was got.
  const std::string& url() const;
  int max_connections() const;

  /// Accepts no more, closes idle connections, lets running exchanges finish; what is left
  /// after `timeout` is closed as by stop(). Returns at once: wait() waits.
  void drain(std::chrono::milliseconds timeout);
  /// Closes everything now.
  void stop();
  /// Until a drain() or stop() is through. Not from a handler.
  void wait();

  int connections() const;
  HttpStats stats() const;

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ridgeline
