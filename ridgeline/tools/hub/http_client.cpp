#include "ridgeline/tools/hub/http_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <charconv>
#include <mutex>

namespace ridgeline::hub {
namespace {

constexpr long kRedirectsMax = 10;
/// A connection that brings less for as long as the stall timeout is given up.
constexpr long kBytesPerSecondMin = 64;

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlDeleter>;

std::string url_part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK || text == nullptr) return "";
  std::string result(text);
  curl_free(text);
  return result;
}

/// A line of the head: a status begins a new answer, after a redirect or "100 Continue".
std::size_t take_header(char* data, std::size_t, std::size_t n, void* user) {
  // As many of any name would be an attack; curl bounds their sizes.
  constexpr std::size_t kHeadersMax = 200;
  auto& head = *static_cast<HttpHead*>(user);
  std::string_view line(data, n);
  while (line.ends_with('\n') || line.ends_with('\r') || line.ends_with(' ')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {
    head.headers.clear();
    return n;
  }
  const std::size_t colon = line.find(':');
  if (colon == line.npos || head.headers.size() >= kHeadersMax) return n;
  std::string name(line.substr(0, colon));
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  std::string_view value = line.substr(colon + 1);
  while (value.starts_with(' ') || value.starts_with('\t')) value.remove_prefix(1);
  head.headers[std::move(name)] = value;
  return n;
}

/// What the callbacks of one transfer share.
struct Transfer {
  CURL* curl;
  HttpHead* head;
  const HttpReceiver* receiver;
  bool begun = false;
  bool refused = false;

  void complete_head() {
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &head->status);
    char* url = nullptr;
    if (curl_easy_getinfo(curl, CURLINFO_EFFECTIVE_URL, &url) == CURLE_OK && url != nullptr)
      head->url = url;
  }
  bool begin() {
    if (begun) return !refused;
    begun = true;
    complete_head();
    refused = !receiver->begin(*head);
    return !refused;
  }
};

std::size_t take_body(char* data, std::size_t, std::size_t n, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  // Anything but n ends the transfer.
  if (!transfer.begin()) return n + 1;
  transfer.refused = !transfer.receiver->body(std::as_bytes(std::span(data, n)));
  return transfer.refused ? n + 1 : n;
}

int check_cancelled(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return (*static_cast<std::function<bool()>*>(user))() ? 1 : 0;
}

HttpOutcome::Kind kind_of(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return HttpOutcome::Kind::kAnswered;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return HttpOutcome::Kind::kBroken;
    default:
      return HttpOutcome::Kind::kFailed;
  }
}

}  // namespace

std::string HttpHead::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

std::optional<std::uint64_t> HttpHead::content_length() const {
  const std::string text = header("content-length");
  std::uint64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return n;
}

std::optional<std::chrono::seconds> HttpHead::retry_after() const {
  const std::string text = header("retry-after");
  std::uint32_t seconds = 0;  // a date is as good as none
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return std::chrono::seconds(seconds);
}

struct HttpClient::Handle {
  CURL* curl = nullptr;
  char error[CURL_ERROR_SIZE] = "";
  ~Handle() { curl_easy_cleanup(curl); }
};

HttpClient::HttpClient(const HubSettings& settings, std::function<bool()> cancelled)
    : settings_(settings), cancelled_(std::move(cancelled)), handle_(std::make_unique<Handle>()) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  handle_->curl = curl_easy_init();
}

HttpClient::~HttpClient() = default;

void HttpClient::set_options(const HttpRequest& request) {
  CURL* curl = handle_->curl;
  const auto seconds = [](std::chrono::seconds time) { return static_cast<long>(time.count()); };
  curl_easy_reset(curl);  // but for the connections
  handle_->error[0] = '\0';
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, handle_->error);
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "ridgeline");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  // HTTP/2's windows slow down one large stream, and every stream has a connection here.
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L << 10);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, kRedirectsMax);
  // Whoever was asked in secret does not send on in the clear.
  const bool secure = request.url.starts_with("https:");
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, seconds(settings_.connect_timeout));
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, kBytesPerSecondMin);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, seconds(settings_.stall_timeout));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, seconds(request.seconds_max));
  if (!settings_.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, settings_.ca_file.c_str());
  if (!settings_.ca_folder.empty())
    curl_easy_setopt(curl, CURLOPT_CAPATH, settings_.ca_folder.c_str());
  // libcurl leaves it out where a redirect leads to another scheme, host or port.
  if (!settings_.token.empty() && same_origin(request.url, settings_.endpoint)) {
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, settings_.token.c_str());
  }
  if (request.range)
    curl_easy_setopt(curl, CURLOPT_RANGE,
                     fmt::format("{}-{}", request.range->first, request.range->second).c_str());
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, check_cancelled);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &cancelled_);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

HttpOutcome HttpClient::get(const HttpRequest& request, const HttpReceiver& receiver) {
  HttpOutcome outcome;
  CURL* curl = handle_->curl;
  if (curl == nullptr) {
    outcome.message = "libcurl could not be started";
    return outcome;
  }
  set_options(request);
  Transfer transfer{curl, &outcome.head, &receiver};
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &outcome.head);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);

  const CURLcode code = curl_easy_perform(curl);
  outcome.kind = kind_of(code);
  if (code == CURLE_OK)
    transfer.begin();  // an answer without a body
  else if (!transfer.begun)
    transfer.complete_head();
  if (transfer.refused || code == CURLE_ABORTED_BY_CALLBACK)
    outcome.kind = HttpOutcome::Kind::kRefused;
  if (code != CURLE_OK)
    outcome.message = handle_->error[0] != '\0' ? handle_->error : curl_easy_strerror(code);
  return outcome;
}

std::string url_encoded(std::string_view text, bool keep_slashes) {
  std::string result;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && keep_slashes);
    if (plain)
      result += c;
    else
      result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return result;
}

std::string resolved_url(const std::string& base, const std::string& reference) {
  const Url url(curl_url());
  if (url == nullptr || curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK ||
      curl_url_set(url.get(), CURLUPART_URL, reference.c_str(), 0) != CURLUE_OK)
    return "";
  return url_part(url.get(), CURLUPART_URL);
}

std::string without_query(const std::string& url) { return url.substr(0, url.find('?')); }

bool same_origin(const std::string& url, const std::string& endpoint) {
  const Url a(curl_url()), b(curl_url());
  if (a == nullptr || b == nullptr ||
      curl_url_set(a.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK ||
      curl_url_set(b.get(), CURLUPART_URL, endpoint.c_str(), 0) != CURLUE_OK)
    return false;
  for (const CURLUPart part : {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT})
    if (url_part(a.get(), part) != url_part(b.get(), part)) return false;
  return true;
}

}  // namespace ridgeline::hub
