#pragma once

#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/platform/file_descriptor.h"

namespace ridgeline {

/// Sockets that listen, without blocking, on all addresses of a host, or on a unix socket,
/// whose file goes with this.
class ListeningSockets {
 public:
  /// `host` as in HttpOptions. Errors name the address.
  static Result<ListeningSockets> open(const std::string& host, int port);
  ListeningSockets(ListeningSockets&& other) noexcept;
  ListeningSockets& operator=(ListeningSockets&&) = delete;
  ~ListeningSockets();

  const std::vector<FileDescriptor>& sockets() const { return sockets_; }
  bool is_unix() const { return !unix_path_.empty(); }
  int port() const { return port_; }

 private:
  ListeningSockets() = default;
  static Result<ListeningSockets> open_unix(const std::string& path);

  std::vector<FileDescriptor> sockets_;
  std::string unix_path_;
  int port_ = 0;
};

/// The next connection of a listening socket, not blocking, with `peer`'s name; -1 with
/// errno.
int accept_connection(int listening_socket, std::string& peer);

/// So many files this process may have open, after raising its soft limit towards `wanted`.
int raise_open_file_limit(int wanted);

}  // namespace ridgeline
