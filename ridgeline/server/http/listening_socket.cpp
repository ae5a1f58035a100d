#include "ridgeline/server/http/listening_socket.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace ridgeline {
namespace {

constexpr int kBacklog = 1024;  // the system's limit may be lower
constexpr std::string_view kUnixPrefix = "unix:";

std::string address_name(const sockaddr* address, socklen_t size) {
  if (address->sa_family == AF_UNIX) return "unix";
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (getnameinfo(address, size, host, sizeof(host), port, sizeof(port),
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "unknown";
  }
  const bool v6 = address->sa_family == AF_INET6;
  return v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

void set_option(int socket, int level, int name, int value) {
  // Each is an improvement, none a condition.
  setsockopt(socket, level, name, &value, sizeof(value));
}

int port_of(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  if (address.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<sockaddr_in6*>(&address)->sin6_port);
  }
  return ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

/// Listening on one address; `port` 0 is any. -1 with errno.
int listen_on(const addrinfo& info, int port) {
  sockaddr_storage address{};
  std::memcpy(&address, info.ai_addr, info.ai_addrlen);
  const auto network_port = htons(static_cast<std::uint16_t>(port));
  if (info.ai_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(&address)->sin6_port = network_port;
  } else {
    reinterpret_cast<sockaddr_in*>(&address)->sin_port = network_port;
  }
  const int fd = ::socket(info.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (info.ai_family == AF_INET6) {
    // "::" takes IPv4 too; an address that was named is only itself.
    const auto& v6 = *reinterpret_cast<sockaddr_in6*>(&address);
    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr) ? 0 : 1);
  }
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), info.ai_addrlen) != 0 ||
      ::listen(fd, kBacklog) != 0) {
    const int error = errno;
    ::close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

/// Left behind by a process that was killed: a socket that nobody answers.
bool is_stale_socket(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  const FileDescriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) !=
             0 &&
         errno == ECONNREFUSED;
}

}  // namespace

ListeningSockets::ListeningSockets(ListeningSockets&& other) noexcept
    : sockets_(std::move(other.sockets_)),
      unix_path_(std::exchange(other.unix_path_, {})),
      port_(other.port_) {}

ListeningSockets::~ListeningSockets() {
  if (!unix_path_.empty()) ::unlink(unix_path_.c_str());
}

Result<ListeningSockets> ListeningSockets::open(const std::string& host, int port) {
  if (host.starts_with(kUnixPrefix)) return open_unix(host.substr(kUnixPrefix.size()));
  const std::string name = fmt::format("{}:{}", host, port);
  if (port < 0 || port > 65535) return fail(name + ": a port is a number from 0 to 65535");

  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.empty() ? nullptr : host.c_str(), "0", &hints, &found);
      error != 0) {
    return fail(name + ": cannot find this host: " + gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, &freeaddrinfo);

  ListeningSockets listening;
  listening.port_ = port;
  int first_error = 0;
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    const int fd = listen_on(*address, listening.port_);
    if (fd >= 0) {
      listening.sockets_.emplace_back(fd);
      if (listening.port_ == 0) listening.port_ = port_of(fd);
      continue;
    }
    // "localhost" may name ::1 on a machine without IPv6, and then 127.0.0.1 is enough.
    if (errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT) {
      return system_failure(name, "listen", errno);
    }
    if (first_error == 0) first_error = errno;
  }
  if (listening.sockets_.empty()) return system_failure(name, "listen", first_error);
  return listening;
}

Result<ListeningSockets> ListeningSockets::open_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return fail("unix:" + path + ": the path of a unix socket has 1 to " +
                std::to_string(sizeof(address.sun_path) - 1) + " bytes");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return system_failure(path, "make a socket", errno);
  const auto bind = [&] {
    return ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  };
  if (bind() != 0) {
    const int error = errno;
    if (error != EADDRINUSE || !is_stale_socket(path, address)) {
      return system_failure(path, "listen", error);
    }
    ::unlink(path.c_str());
    if (bind() != 0) return system_failure(path, "listen", errno);
  }
  ListeningSockets listening;
  listening.unix_path_ = path;
  if (::listen(fd.get(), kBacklog) != 0) return system_failure(path, "listen", errno);
  listening.sockets_.push_back(std::move(fd));
  return listening;
}

int accept_connection(int listening_socket, std::string& peer) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  const int fd = ::accept4(listening_socket, reinterpret_cast<sockaddr*>(&address), &size,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return -1;
  peer = address_name(reinterpret_cast<sockaddr*>(&address), size);
  if (address.ss_family != AF_UNIX) {
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    // A client whose machine went away without a word, after about two minutes.
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
  }
  return fd;
}

int raise_open_file_limit(int wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  const auto target = std::min<rlim_t>(limit.rlim_max, static_cast<rlim_t>(wanted));
  if (limit.rlim_cur < target) {
    const rlim_t before = std::exchange(limit.rlim_cur, target);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
  }
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, INT_MAX));
}

}  // namespace ridgeline
