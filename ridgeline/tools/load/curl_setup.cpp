#include "ridgeline/tools/load/curl_setup.h"

#include <mutex>

namespace ridgeline::load {
namespace {

constexpr long kConnectSecondsMax = 10;

}  // namespace

CURL* new_curl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  return curl_easy_init();
}

CurlHeaders headers_for(const Target& target) {
  curl_slist* list = curl_slist_append(nullptr, "Content-Type: application/json");
  // No question first whether a long prompt may come: a round trip that no other client has.
  list = curl_slist_append(list, "Expect:");
  if (!target.api_key.empty())
    list = curl_slist_append(list, ("Authorization: Bearer " + target.api_key).c_str());
  return CurlHeaders(list);
}

void set_common_options(CURL* curl, const Target& target, const CurlHeaders& headers, char* error) {
  error[0] = '\0';
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "ridgeline");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_PROXY, "");  // the server is measured, not what is before it
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSecondsMax);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  if (!target.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, target.ca_file.c_str());
}

}  // namespace ridgeline::load
