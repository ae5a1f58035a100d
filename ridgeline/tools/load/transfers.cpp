#include "ridgeline/tools/load/transfers.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <vector>

#include "ridgeline/base/check.h"
#include "ridgeline/tools/load/curl_setup.h"

namespace ridgeline::load {
namespace {

using Failure = TransferReceiver::Failure;

constexpr double kNever = std::numeric_limits<double>::infinity();

/// One POST on its way.
struct Transfer {
  CURL* curl = nullptr;
  std::string body;
  std::unique_ptr<TransferReceiver> receiver;
  bool begun = false, refused = false;
  char error[CURL_ERROR_SIZE] = "";

  ~Transfer() { curl_easy_cleanup(curl); }
  void begin() {
    if (begun) return;
    begun = true;
    long status = 0;
    char* type = nullptr;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
    receiver->begin(status, type == nullptr ? "" : type);
  }
};

std::size_t take_body(char* data, std::size_t, std::size_t n, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  transfer.begin();
  transfer.refused = !transfer.receiver->body({data, n});
  return transfer.refused ? n + 1 : n;  // anything but n ends the transfer
}

Failure failure_of(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return Failure::kNone;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return Failure::kConnect;
    case CURLE_OPERATION_TIMEDOUT:
      return Failure::kTimeout;
    default:
      return Failure::kBroken;
  }
}

}  // namespace

double monotonic_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Transfers::Impl {
  Target target;
  double timeout_s = 0;
  std::string url;
  CurlHeaders headers;
  CURLM* multi = nullptr;
  int epoll = -1;
  double timer_s = kNever;  ///< when libcurl wants to be called
  std::vector<std::unique_ptr<Transfer>> idle;
  std::set<Transfer*> active;

  ~Impl() {
    for (Transfer* transfer : active) {
      curl_multi_remove_handle(multi, transfer->curl);
      delete transfer;
    }
    idle.clear();
    curl_multi_cleanup(multi);
    if (epoll >= 0) ::close(epoll);
  }

  static int watch(CURL*, curl_socket_t socket, int what, void* user, void*) {
    auto& self = *static_cast<Impl*>(user);
    if (what == CURL_POLL_REMOVE) {
      ::epoll_ctl(self.epoll, EPOLL_CTL_DEL, socket, nullptr);  // or closed, and gone already
      return 0;
    }
    epoll_event event{};
    event.data.fd = socket;
    if ((what & CURL_POLL_IN) != 0) event.events |= EPOLLIN;
    if ((what & CURL_POLL_OUT) != 0) event.events |= EPOLLOUT;
    // A socket that was closed and opened again has its number and is not watched.
    if (::epoll_ctl(self.epoll, EPOLL_CTL_MOD, socket, &event) == 0) return 0;
    return ::epoll_ctl(self.epoll, EPOLL_CTL_ADD, socket, &event) == 0 ? 0 : -1;
  }

  static int set_timer(CURLM*, long milliseconds, void* user) {
    static_cast<Impl*>(user)->timer_s =
        milliseconds < 0 ? kNever : monotonic_s() + 1e-3 * static_cast<double>(milliseconds);
    return 0;
  }

  void take_finished() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;  // gone with the handle
      char* user = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &user);
      auto* transfer = reinterpret_cast<Transfer*>(user);
      curl_multi_remove_handle(multi, transfer->curl);
      active.erase(transfer);
      std::unique_ptr<Transfer> finished(transfer);
      if (code == CURLE_OK) finished->begin();  // an answer without a body
      const auto receiver = std::move(finished->receiver);
      const std::string text =
          finished->error[0] != '\0' ? finished->error : curl_easy_strerror(code);
      const bool refused = finished->refused;
      idle.push_back(std::move(finished));
      receiver->end(refused ? Failure::kRefused : failure_of(code), text);
    }
  }
};

Transfers::Transfers(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Transfers::~Transfers() = default;

Result<std::unique_ptr<Transfers>> Transfers::create(const Target& target, double timeout_s) {
  // Connections that libcurl keeps for later requests; it closes the rest.
  constexpr long kConnectionsKept = 4096;
  CURL* probe = new_curl();  // starts libcurl
  if (probe == nullptr) return fail("libcurl could not be started");
  curl_easy_cleanup(probe);
  auto impl = std::make_unique<Impl>();
  impl->target = target;
  impl->timeout_s = timeout_s;
  impl->url = target.endpoint_url();
  impl->headers = headers_for(target);
  impl->multi = curl_multi_init();
  impl->epoll = ::epoll_create1(EPOLL_CLOEXEC);
  if (impl->multi == nullptr || impl->epoll < 0)
    return fail(fmt::format("no epoll for the connections: {}", std::strerror(errno)));
  curl_multi_setopt(impl->multi, CURLMOPT_SOCKETFUNCTION, Impl::watch);
  curl_multi_setopt(impl->multi, CURLMOPT_SOCKETDATA, impl.get());
  curl_multi_setopt(impl->multi, CURLMOPT_TIMERFUNCTION, Impl::set_timer);
  curl_multi_setopt(impl->multi, CURLMOPT_TIMERDATA, impl.get());
  curl_multi_setopt(impl->multi, CURLMOPT_MAXCONNECTS, kConnectionsKept);
  return std::unique_ptr<Transfers>(new Transfers(std::move(impl)));
}

void Transfers::post(std::string body, std::unique_ptr<TransferReceiver> receiver) {
  std::unique_ptr<Transfer> transfer;
  if (impl_->idle.empty()) {
    transfer = std::make_unique<Transfer>();
    transfer->curl = new_curl();
    RIDGELINE_CHECK(transfer->curl != nullptr);
  } else {
    transfer = std::move(impl_->idle.back());
    impl_->idle.pop_back();
    curl_easy_reset(transfer->curl);
  }
  transfer->body = std::move(body);
  transfer->receiver = std::move(receiver);
  transfer->begun = transfer->refused = false;
  CURL* curl = transfer->curl;
  set_common_options(curl, impl_->target, impl_->headers, transfer->error);
  curl_easy_setopt(curl, CURLOPT_URL, impl_->url.c_str());
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                   static_cast<curl_off_t>(transfer->body.size()));
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, transfer->body.c_str());
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, std::lround(impl_->timeout_s * 1e3));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer.get());
  curl_easy_setopt(curl, CURLOPT_PRIVATE, transfer.get());
  impl_->active.insert(transfer.get());
  curl_multi_add_handle(impl_->multi, transfer.release()->curl);
}

void Transfers::wait(double deadline_s) {
  constexpr double kSecondsMax = 60;
  const double wait_s =
      std::min({deadline_s, impl_->timer_s, monotonic_s() + kSecondsMax}) - monotonic_s();
  std::array<epoll_event, 64> events;
  const int ready = ::epoll_wait(impl_->epoll, events.data(), static_cast<int>(events.size()),
                                 static_cast<int>(std::ceil(std::max(wait_s, 0.0) * 1e3)));
  int running = 0;
  for (int i = 0; i < ready; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    int mask = 0;
    if ((event.events & EPOLLIN) != 0) mask |= CURL_CSELECT_IN;
    if ((event.events & EPOLLOUT) != 0) mask |= CURL_CSELECT_OUT;
    if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) mask |= CURL_CSELECT_ERR;
    curl_multi_socket_action(impl_->multi, event.data.fd, mask, &running);
  }
  if (monotonic_s() >= impl_->timer_s) {
    impl_->timer_s = kNever;  // unless libcurl sets it anew
    curl_multi_socket_action(impl_->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  }
  impl_->take_finished();
}

}  // namespace ridgeline::load
