#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "ridgeline/tools/hub/hub_settings.h"

namespace ridgeline::hub {

struct HttpRequest {
  std::string url;
  /// First and last byte asked for.
  std::optional<std::pair<std::uint64_t, std::uint64_t>> range;
  std::chrono::seconds seconds_max{0};  ///< for all of it; 0: as long as it moves
};

/// The answer to the last of the redirects.
struct HttpHead {
  long status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string url;                             ///< where it came from in the end

  std::string header(const std::string& name) const;
  std::optional<std::uint64_t> content_length() const;
  std::optional<std::chrono::seconds> retry_after() const;
};

struct HttpOutcome {
  enum class Kind {
    kAnswered,  ///< whatever the status
    kBroken,    ///< nobody there, or the connection ended or stalled: another try may help
    kFailed,    ///< certificates, endless redirects: it will not
    kRefused,   ///< by the receiver
  };
  Kind kind = Kind::kFailed;
  HttpHead head;        ///< status 0 if no answer began
  std::string message;  ///< unless answered
};

/// Takes an answer as it comes. False from either ends the transfer.
struct HttpReceiver {
  std::function<bool(const HttpHead&)> begin;
  std::function<bool(std::span<const std::byte>)> body;
};

/// GET over connections that stay open between requests, along redirects, through proxies as
/// libcurl finds them. The token goes to the endpoint's scheme, host and port only. One
/// thread at a time.
class HttpClient {
 public:
  /// `cancelled` is asked about once a second, and more often while data comes.
  HttpClient(const HubSettings& settings, std::function<bool()> cancelled);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  HttpOutcome get(const HttpRequest& request, const HttpReceiver& receiver);

 private:
  void set_options(const HttpRequest& request);

  struct Handle;
  const HubSettings& settings_;
  std::function<bool()> cancelled_;
  std::unique_ptr<Handle> handle_;
};

/// A part of a path or a query, so that it means itself: "a b" is "a%20b". '/' stays if asked.
std::string url_encoded(std::string_view text, bool keep_slashes);
/// `reference` as it is meant on the page `base`; "" if it cannot be one.
std::string resolved_url(const std::string& base, const std::string& reference);
/// For people: what follows the '?' may be secret, and is long.
std::string without_query(const std::string& url);
/// Is `url` on the scheme, host and port of `endpoint`?
bool same_origin(const std::string& url, const std::string& endpoint);

}  // namespace ridgeline::hub
