#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace ridgeline::test {

/// An answer as it came, chunks put together.
struct RawAnswer {
  int status = 0;
  std::string head;  ///< lower case, the status line included
  std::string body;
  bool whole = false;  ///< as long as its head says, or as the last chunk does

  std::string header(const std::string& name) const {
    const std::size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const std::size_t start = at + name.size() + 4;
    return head.substr(start, head.find("\r\n", start) - start);
  }
};

/// A socket that sends bytes as they are; every wait ends after some seconds.
class RawClient {
 public:
  static constexpr int kTimeoutMs = 5000;

  explicit RawClient(int port, int receive_buffer_bytes = 0)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer_bytes > 0) {
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  RawClient(RawClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        connected_(other.connected_),
        received_(std::move(other.received_)) {}
  RawClient& operator=(RawClient&&) = delete;
  ~RawClient() { close(); }

  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void shut_down_sending() { ::shutdown(fd_, SHUT_WR); }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// Reads until there are `bytes` bytes more than consumed, or the end, or too long.
  bool receive(std::size_t bytes) {
    while (received_.size() < bytes) {
      if (!receive_some()) return false;
    }
    return true;
  }
  bool receive_until(std::string_view text) {
    while (received_.find(text) == std::string::npos) {
      if (!receive_some()) return false;
    }
    return true;
  }
  const std::string& received() const { return received_; }
  void consume(std::size_t bytes) { received_.erase(0, bytes); }

  /// The server has closed, gracefully or not, within the time.
  bool at_end(int timeout_ms = kTimeoutMs) {
    while (receive_some(timeout_ms)) {
    }
    return ended_;
  }

  RawAnswer answer(bool to_head = false) {
    RawAnswer answer;
    if (!receive_until("\r\n\r\n")) return answer;
    const std::size_t end = received_.find("\r\n\r\n") + 2;
    answer.head = received_.substr(0, end);
    std::transform(answer.head.begin(), answer.head.end(), answer.head.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    consume(end + 2);
    if (answer.head.size() > 12) answer.status = std::atoi(answer.head.c_str() + 9);
    if (answer.status == 100) return this->answer(to_head);
    if (to_head || answer.status == 204) {
      answer.whole = true;
    } else if (answer.header("transfer-encoding") == "chunked") {
      answer.whole = read_chunks(answer.body);
    } else if (const std::string length = answer.header("content-length"); !length.empty()) {
      const auto size = static_cast<std::size_t>(std::stoull(length));
      answer.whole = receive(size);
      answer.body = received_.substr(0, size);
      consume(answer.body.size());
    } else {
      answer.whole = at_end();
      answer.body = std::exchange(received_, {});
    }
    return answer;
  }

  RawAnswer ask(std::string_view request) {
    send(request);
    return answer();
  }

 private:
  bool receive_some(int timeout_ms = kTimeoutMs) {
    pollfd poll{fd_, POLLIN, 0};
    if (ended_ || ::poll(&poll, 1, timeout_ms) <= 0) return false;
    char buffer[16384];
    const ssize_t bytes = ::recv(fd_, buffer, sizeof(buffer), 0);
    if (bytes <= 0) {
      ended_ = true;
      return false;
    }
    received_.append(buffer, static_cast<std::size_t>(bytes));
    return true;
  }

  bool read_chunks(std::string& body) {
    for (;;) {
      if (!receive_until("\r\n")) return false;
      const std::size_t line = received_.find("\r\n");
      const auto size =
          static_cast<std::size_t>(std::stoull(received_.substr(0, line), nullptr, 16));
      consume(line + 2);
      if (!receive(size + 2)) return false;
      body += received_.substr(0, size);
      consume(size + 2);
      if (size == 0) return true;
    }
  }

  int fd_ = -1;
  bool connected_ = false;
  bool ended_ = false;
  std::string received_;
};

}  // namespace ridgeline::test
