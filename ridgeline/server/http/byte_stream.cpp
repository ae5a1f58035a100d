#include "ridgeline/server/http/byte_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace ridgeline {

ByteStream::ByteStream(int socket, const TlsContext* tls) : socket_(socket) {
  if (tls == nullptr) return;
  tls_ = SSL_new(tls->get());
  if (tls_ == nullptr || SSL_set_fd(tls_, socket) != 1) {
    failed_ = true;
    return;
  }
  SSL_set_accept_state(tls_);
}

ByteStream::~ByteStream() {
  SSL_free(tls_);
  ::close(socket_);
}

ByteStream::Outcome ByteStream::handshake() {
  if (failed_) return Outcome::kFailed;
  if (tls_ == nullptr) return Outcome::kDone;
  ERR_clear_error();
  const int result = SSL_do_handshake(tls_);
  if (result == 1) return Outcome::kDone;
  if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST) {
    constexpr std::string_view kAnswer =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
        "This port speaks HTTPS.\n";
    // The answer is a courtesy: whether it arrives is not known here.
    [[maybe_unused]] const auto sent =
        ::send(socket_, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL);
  }
  return tls_outcome(result);
}

ByteStream::Transfer ByteStream::read(char* to, std::size_t size) {
  if (tls_ != nullptr) {
    if (failed_) return {Outcome::kFailed};
    ERR_clear_error();
    std::size_t bytes = 0;
    const int result = SSL_read_ex(tls_, to, size, &bytes);
    return result == 1 ? Transfer{Outcome::kDone, bytes} : Transfer{tls_outcome(result)};
  }
  for (;;) {
    const ssize_t bytes = ::recv(socket_, to, size, 0);
    if (bytes > 0) return {Outcome::kDone, static_cast<std::size_t>(bytes)};
    if (bytes == 0) return {Outcome::kEnd};
    if (errno == EINTR) continue;
    return {errno == EAGAIN || errno == EWOULDBLOCK ? Outcome::kWantRead : Outcome::kFailed};
  }
}

ByteStream::Transfer ByteStream::write(const char* from, std::size_t size) {
  if (tls_ != nullptr) {
    if (failed_) return {Outcome::kFailed};
    ERR_clear_error();
    std::size_t bytes = 0;
    const int result = SSL_write_ex(tls_, from, size, &bytes);
    return result == 1 ? Transfer{Outcome::kDone, bytes} : Transfer{tls_outcome(result)};
  }
  for (;;) {
    const ssize_t bytes = ::send(socket_, from, size, MSG_NOSIGNAL);
    if (bytes >= 0) return {Outcome::kDone, static_cast<std::size_t>(bytes)};
    if (errno == EINTR) continue;
    return {errno == EAGAIN || errno == EWOULDBLOCK ? Outcome::kWantWrite : Outcome::kFailed};
  }
}

void ByteStream::shutdown() {
  if (tls_ != nullptr && !failed_) {
    ERR_clear_error();
    SSL_shutdown(tls_);
  }
  ::shutdown(socket_, SHUT_WR);
}

ByteStream::Outcome ByteStream::tls_outcome(int result) {
  switch (SSL_get_error(tls_, result)) {
    case SSL_ERROR_WANT_READ:
      return Outcome::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return Outcome::kWantWrite;
    case SSL_ERROR_ZERO_RETURN:
      return Outcome::kEnd;
    default:
      failed_ = true;  // OpenSSL forbids any further call on this connection
      return Outcome::kFailed;
  }
}

}  // namespace ridgeline
