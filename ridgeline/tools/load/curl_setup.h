#pragma once

#include <curl/curl.h>

#include <memory>

#include "ridgeline/tools/load/target.h"

namespace ridgeline::load {

struct CurlHeadersDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using CurlHeaders = std::unique_ptr<curl_slist, CurlHeadersDeleter>;

/// A new handle; null where libcurl cannot be started.
CURL* new_curl();
CurlHeaders headers_for(const Target& target);
/// What every request to a server has in common. `error` has CURL_ERROR_SIZE bytes.
void set_common_options(CURL* curl, const Target& target, const CurlHeaders& headers, char* error);

}  // namespace ridgeline::load
