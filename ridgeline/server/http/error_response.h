#pragma once

#include <string>
#include <string_view>

#include "ridgeline/server/http/http_message.h"

namespace ridgeline {

/// What is wrong with a request, in OpenAI's terms.
struct ApiError {
  int status = 400;
  std::string message;     ///< one sentence
  std::string type = {};   ///< empty: error_type(status)
  std::string param = {};  ///< the field at fault; empty: null
  std::string code = {};   ///< empty: null
};

/// "invalid_request_error" of 4xx, "rate_limit_error" of 429, "server_error" of 5xx.
std::string_view error_type(int status);

/// {"error":{"message":...,"type":...,"param":...,"code":...}}. Of the texts, what is not
/// UTF-8 becomes U+FFFD.
std::string error_body(const ApiError& error);

HttpResponse error_response(const ApiError& error, HttpHeaders headers = {});

}  // namespace ridgeline
