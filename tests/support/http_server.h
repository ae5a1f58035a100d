#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace ridgeline::test {

struct HttpRequest {
  std::string path, query;                     ///< as they came, still encoded
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body = {};

  std::string header(const std::string& name) const;
  /// "bytes=5-9": 5 and 9.
  std::optional<std::pair<std::uint64_t, std::uint64_t>> range() const;
};

/// Some of a body, and how long the server thinks before it.
struct HttpPiece {
  std::chrono::microseconds delay{0};
  std::string bytes;
};

/// What a server says, and how it fails on the way.
struct HttpReply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  std::optional<std::uint64_t> claimed_length = {};  ///< in Content-Length, other than the body's
  std::optional<std::size_t> body_sent = {};         ///< bytes of the body, and no more
  /// In place of the body, if there are any: what is sent as it is said, in chunks.
  std::vector<HttpPiece> pieces = {};
  bool breaks_off = false;  ///< hangs up behind the pieces, without the last chunk
  bool stalls = false;      ///< then says nothing until the client has gone; else hangs up
  bool is_silent = false;   ///< hangs up without a word
};

/// An HTTP/1.1 server on 127.0.0.1, with a thread for each connection. It does as it is
/// told, misbehaviour included.
class HttpServer {
 public:
  using Handler = std::function<HttpReply(const HttpRequest&)>;  ///< of several threads

  explicit HttpServer(Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const { return port_; }
  std::string url(const std::string& host = "127.0.0.1") const;
  /// Those that came so far.
  std::vector<HttpRequest> requests() const;
  void forget_requests();

 private:
  void accept_all();
  void serve(int fd);

  Handler handler_;
  int listener_ = -1, port_ = 0;
  mutable std::mutex mutex_;
  bool ending_ = false;
  std::vector<HttpRequest> requests_;
  std::set<int> connections_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace ridgeline::test
