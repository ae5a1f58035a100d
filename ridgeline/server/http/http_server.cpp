#include "ridgeline/server/http/http_server.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "ridgeline/platform/topology.h"
#include "ridgeline/server/http/connection.h"
#include "ridgeline/server/http/listening_socket.h"

namespace ridgeline {
namespace {

/// Open files that are none of the connections: model, logs, libraries.
constexpr int kOtherFiles = 128;
/// Over max_connections, so many more wait for their 503; the rest is closed without.
constexpr int kRefusedAtATimeMax = 64;
constexpr int kAcceptedInTurnMax = 64;
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr std::chrono::seconds kReportPause{60};
constexpr int kIoNice = -10;

/// Closed unless release() is called.
class PendingSocket {
 public:
  explicit PendingSocket(int fd) : fd_(fd) {}
  PendingSocket(PendingSocket&& other) noexcept : fd_(other.release()) {}
  PendingSocket& operator=(PendingSocket&&) = delete;
  ~PendingSocket() {
    if (fd_ >= 0) ::close(fd_);
  }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

std::string url_of(const HttpOptions& options, int port) {
  if (options.host.starts_with("unix:")) return options.host;
  const bool v6 = options.host.find(':') != std::string::npos;
  return (options.tls_certificate_file.empty() ? "http://" : "https://") +
         (v6 ? "[" + options.host + "]" : options.host) + ":" + std::to_string(port);
}

/// The compute threads are pinned and busy, and who starts this one may be among them: it
/// runs wherever there is room, and first where the system permits.
void prepare_io_thread() {
  pthread_setname_np(pthread_self(), "http");
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  for (const int cpu : topology().usable_cpus) {
    if (cpu < CPU_SETSIZE) CPU_SET(static_cast<std::size_t>(cpu), &cpus);
  }
  sched_setaffinity(0, sizeof(cpus), &cpus);
  setpriority(PRIO_PROCESS, 0, kIoNice);  // on Linux: of this thread
}

}  // namespace

/// Accepts on one listening socket, on the first I/O thread.
class Acceptor {
 public:
  Acceptor(IoContext& io, int socket, std::function<void(int, std::string)> take)
      : io_(io), descriptor_(io.asio, socket), pause_(io.asio), take_(std::move(take)) {}
  ~Acceptor() { close(); }
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  void wait() {
    descriptor_.async_wait(boost::asio::posix::descriptor_base::wait_read,
                           [this](boost::system::error_code error) {
                             if (!error && descriptor_.is_open()) accept();
                           });
  }

  void close() {
    if (descriptor_.is_open()) descriptor_.release();  // whose owner closes it
    pause_.cancel();
  }

 private:
  void accept() {
    for (int i = 0; i < kAcceptedInTurnMax; ++i) {
      std::string peer;
      const int socket = accept_connection(descriptor_.native_handle(), peer);
      if (socket >= 0) {
        take_(socket, std::move(peer));
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        break;
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        return out_of_resources(errno);
      }
      // Else the client gave up before it was accepted: the next one.
    }
    wait();
  }

  /// New clients wait in the system's queue while the old ones are served.
  void out_of_resources(int error) {
    const auto now = std::chrono::steady_clock::now();
    if (!reported_ || now - *reported_ > kReportPause) {
      reported_ = now;
      io_.server.report(std::string("Cannot accept connections for now: ") + std::strerror(error));
    }
    pause_.expires_after(kAcceptPause);
    pause_.async_wait([this](boost::system::error_code aborted) {
      if (!aborted && descriptor_.is_open()) accept();
    });
  }

  IoContext& io_;
  boost::asio::posix::stream_descriptor descriptor_;
  boost::asio::steady_timer pause_;
  std::function<void(int, std::string)> take_;
  std::optional<std::chrono::steady_clock::time_point> reported_;
};

class HttpServer::Impl {
 public:
  Impl(HttpOptions options, HttpHandler handler, ListeningSockets listening,
       std::shared_ptr<const TlsContext> tls)
      : port_(listening.is_unix() ? 0 : listening.port()),
        url_(url_of(options, port_)),
        listening_(std::move(listening)) {
    server_.options = std::move(options);
    server_.handler = std::move(handler);
    server_.tls = std::move(tls);
    const int files =
        raise_open_file_limit(server_.options.max_connections + kOtherFiles + kRefusedAtATimeMax);
    max_connections_ = std::max(
        1, std::min(server_.options.max_connections, files - kOtherFiles - kRefusedAtATimeMax));
    for (int i = 0; i < std::max(1, server_.options.io_threads); ++i) {
      ios_.push_back(std::make_unique<IoContext>(server_));
    }
    for (const FileDescriptor& socket : listening_->sockets()) {
      acceptors_.push_back(std::make_unique<Acceptor>(
          *ios_.front(), socket.get(),
          [this](int accepted, std::string peer) { distribute(accepted, std::move(peer)); }));
    }
  }

  ~Impl() {
    stop();
    wait();
  }

  void start() {
    for (const auto& acceptor : acceptors_) acceptor->wait();
    // Signals are for the program's own threads; SIGPIPE, of a TLS write, for nobody.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (const auto& io : ios_) threads_.emplace_back([&io = *io] { run(io); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void drain(std::chrono::milliseconds timeout) {
    *server_.draining = true;
    for (const auto& io : ios_) {
      boost::asio::post(io->asio, [this, &io = *io, timeout] {
        if (&io == ios_.front().get()) stop_listening();
        io.drain(timeout);
      });
    }
  }

  void stop() {
    *server_.draining = true;
    for (const auto& io : ios_) {
      boost::asio::post(io->asio, [this, &io = *io] {
        if (&io == ios_.front().get()) stop_listening();
        io.stop();
      });
    }
  }

  void wait() {
    std::call_once(joined_, [this] {
      for (std::thread& thread : threads_) thread.join();
    });
  }

  int port() const { return port_; }
  const std::string& url() const { return url_; }
  int max_connections() const { return max_connections_; }
  const ServerContext& server() const { return server_; }

 private:
  static void run(IoContext& io) {
    prepare_io_thread();
    for (;;) {
      try {
        io.asio.run();
        break;
      } catch (const std::exception& error) {
        io.server.report(std::string("HTTP server: ") + error.what());
      }
    }
    io.mailbox->close();
  }

  /// On the first I/O thread.
  void distribute(int socket, std::string peer) {
    PendingSocket pending(socket);
    const int connections = server_.connections;
    const bool refuse = connections >= max_connections_;
    ++(refuse ? server_.refused : server_.accepted);
    if (connections >= max_connections_ + kRefusedAtATimeMax || *server_.draining) return;
    IoContext& io = *ios_[next_io_++ % ios_.size()];
    if (&io == ios_.front().get()) return io.add(pending.release(), std::move(peer), refuse);
    boost::asio::post(
        io.asio, [&io, refuse, peer = std::move(peer), pending = std::move(pending)]() mutable {
          if (!*io.server.draining) io.add(pending.release(), std::move(peer), refuse);
        });
  }

  void stop_listening() {
    for (const auto& acceptor : acceptors_) acceptor->close();
    listening_.reset();
  }

  const int port_;
  const std::string url_;
  int max_connections_ = 0;
  ServerContext server_;
  std::optional<ListeningSockets> listening_;
  std::vector<std::unique_ptr<IoContext>> ios_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  std::size_t next_io_ = 0;
  std::vector<std::thread> threads_;
  std::once_flag joined_;
};

Result<std::unique_ptr<HttpServer>> HttpServer::listen(HttpOptions options, HttpHandler handler) {
  std::shared_ptr<const TlsContext> tls;
  if (options.tls_certificate_file.empty() != options.tls_key_file.empty()) {
    return fail("TLS needs both a certificate file and a key file");
  }
  if (!options.tls_certificate_file.empty()) {
    RIDGELINE_TRY(tls, TlsContext::load(options.tls_certificate_file, options.tls_key_file));
  }
  RIDGELINE_TRY(auto listening, ListeningSockets::open(options.host, options.port));
  auto impl = std::make_unique<Impl>(std::move(options), std::move(handler), std::move(listening),
                                     std::move(tls));
  try {
    impl->start();
  } catch (const std::system_error& error) {
    return fail(std::string("Cannot start the threads of the HTTP server: ") + error.what());
  }
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;
int HttpServer::port() const { return impl_->port(); }
const std::string& HttpServer::url() const { return impl_->url(); }
int HttpServer::max_connections() const { return impl_->max_connections(); }
void HttpServer::drain(std::chrono::milliseconds timeout) { impl_->drain(timeout); }
void HttpServer::stop() { impl_->stop(); }
void HttpServer::wait() { impl_->wait(); }
int HttpServer::connections() const { return impl_->server().connections; }

HttpStats HttpServer::stats() const {
  const ServerContext& server = impl_->server();
  return {.accepted = server.accepted,
          .refused = server.refused,
          .requests = server.requests,
          .malformed = server.malformed,
          .timeouts = server.timeouts,
          .overflows = server.overflows,
          .abandoned = server.abandoned,
          .connections = server.connections,
          .exchanges = server.exchanges};
}

}  // namespace ridgeline
