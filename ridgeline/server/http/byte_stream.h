#pragma once

#include <cstddef>

#include "ridgeline/server/http/tls.h"

struct ssl_st;

namespace ridgeline {

/// A connected socket that never blocks, plain or under TLS. The caller's thread blocks
/// SIGPIPE.
class ByteStream {
 public:
  enum class Outcome {
    kDone,       ///< of read and write: some bytes
    kWantRead,   ///< nothing before the socket is readable
    kWantWrite,  ///< nothing before it is writable
    kEnd,        ///< of read: the peer sends no more
    kFailed,     ///< the connection is lost
  };
  struct Transfer {
    Outcome outcome;
    std::size_t bytes = 0;
  };

  /// Owns the socket. `tls` may be null.
  ByteStream(int socket, const TlsContext* tls);
  ~ByteStream();
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  int socket() const { return socket_; }
  /// To be repeated until kDone; done at once without TLS.
  Outcome handshake();
  Transfer read(char* to, std::size_t size);
  Transfer write(const char* from, std::size_t size);
  /// Tells the peer that nothing more will come, as far as the socket takes it.
  void shutdown();

 private:
  Outcome tls_outcome(int result);

  const int socket_;
  ssl_st* tls_ = nullptr;
  bool failed_ = false;
};

}  // namespace ridgeline
