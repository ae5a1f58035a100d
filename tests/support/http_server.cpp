#include "tests/support/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace ridgeline::test {
namespace {

bool send_all(int fd, const std::string& bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t n = ::send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (n <= 0) return false;
    at += static_cast<std::size_t>(n);
  }
  return true;
}

/// A request's head out of what comes; what follows it stays in `buffer`.
std::optional<HttpRequest> read_request(int fd, std::string& buffer) {
  constexpr std::size_t kHeadMax = 1 << 16;
  std::size_t end = 0;
  while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
    char piece[4096];
    const ssize_t n = ::recv(fd, piece, sizeof piece, 0);
    if (n <= 0 || buffer.size() > kHeadMax) return std::nullopt;
    buffer.append(piece, static_cast<std::size_t>(n));
  }
  const std::string head = buffer.substr(0, end + 2);
  buffer.erase(0, end + 4);
  HttpRequest request;
  const std::size_t first = head.find(' '), second = head.find(' ', first + 1);
  const std::string target = head.substr(first + 1, second - first - 1);
  request.path = target.substr(0, target.find('?'));
  if (request.path.size() < target.size()) request.query = target.substr(request.path.size() + 1);
  for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
    const std::size_t stop = head.find("\r\n", at), colon = head.find(": ", at);
    std::string name = head.substr(at, colon - at);
    for (char& c : name)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    request.headers[name] = head.substr(colon + 2, stop - colon - 2);
    at = stop + 2;
  }
  const std::size_t length = std::strtoul(request.header("content-length").c_str(), nullptr, 10);
  while (buffer.size() < length) {
    char piece[4096];
    const ssize_t n = ::recv(fd, piece, sizeof piece, 0);
    if (n <= 0) return std::nullopt;
    buffer.append(piece, static_cast<std::size_t>(n));
  }
  request.body = buffer.substr(0, length);
  buffer.erase(0, length);
  return request;
}

std::string head_of(const HttpReply& reply) {
  std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " Status\r\n";
  for (const auto& [name, value] : reply.headers) head += name + ": " + value + "\r\n";
  if (!reply.pieces.empty()) return head + "Transfer-Encoding: chunked\r\n\r\n";
  const std::uint64_t length = reply.claimed_length.value_or(reply.body.size());
  return head + "Content-Length: " + std::to_string(length) + "\r\n\r\n";
}

bool send_pieces(int fd, const HttpReply& reply) {
  for (const HttpPiece& piece : reply.pieces) {
    std::this_thread::sleep_for(piece.delay);
    char size[32];
    std::snprintf(size, sizeof size, "%zx\r\n", piece.bytes.size());
    if (!send_all(fd, size + piece.bytes + "\r\n")) return false;
  }
  return reply.pieces.empty() || (!reply.breaks_off && send_all(fd, "0\r\n\r\n"));
}

}  // namespace

std::string HttpRequest::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

std::optional<std::pair<std::uint64_t, std::uint64_t>> HttpRequest::range() const {
  unsigned long long first = 0, last = 0;
  if (std::sscanf(header("range").c_str(), "bytes=%llu-%llu", &first, &last) != 2)
    return std::nullopt;
  return std::pair<std::uint64_t, std::uint64_t>(first, last);
}

HttpServer::HttpServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, generic, length) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, generic, &length) != 0) {
    std::perror("HttpServer");
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

HttpServer::~HttpServer() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    for (const int fd : connections_) ::shutdown(fd, SHUT_RDWR);
  }
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  ::close(listener_);
}

std::string HttpServer::url(const std::string& host) const {
  return "http://" + host + ":" + std::to_string(port_);
}

std::vector<HttpRequest> HttpServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HttpServer::forget_requests() {
  const std::lock_guard lock(mutex_);
  requests_.clear();
}

void HttpServer::accept_all() {
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (ending_ || fd < 0) {
      if (fd >= 0) ::close(fd);
      return;
    }
    const int yes = 1;  // pieces go out one by one
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    connections_.insert(fd);
    threads_.emplace_back([this, fd] { serve(fd); });
  }
}

void HttpServer::serve(int fd) {
  std::string buffer;
  while (const std::optional<HttpRequest> request = read_request(fd, buffer)) {
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(*request);
    }
    const HttpReply reply = handler_(*request);
    if (reply.is_silent) break;
    const bool whole = !reply.body_sent;
    if (!send_all(fd, head_of(reply) +
                          reply.body.substr(0, reply.body_sent.value_or(reply.body.size()))) ||
        !send_pieces(fd, reply))
      break;
    char ignored = 0;
    if (reply.stalls) ::recv(fd, &ignored, 1, 0);
    if (!whole || reply.stalls || reply.claimed_length) break;
  }
  const std::lock_guard lock(mutex_);
  connections_.erase(fd);
  ::close(fd);
}

}  // namespace ridgeline::test
