#pragma once

#include <optional>
#include <string>

#include "ridgeline/server/http/error_response.h"
#include "ridgeline/server/http/http_server.h"

namespace ridgeline {

/// The client's x-request-id if it is printable and of 128 bytes at most, else a new one.
std::string request_id(const HttpRequest& request);

/// Whole lines for any answer to this request; empty where no CORS is wanted.
std::string cors_headers(const HttpOptions& options, const HttpRequest& request);

/// The answer to a browser that asks whether it may send a request from a page of an allowed
/// origin.
std::optional<HttpResponse> cors_preflight(const HttpOptions& options, const HttpRequest& request);

ApiError too_many_connections();
ApiError shutting_down();

}  // namespace ridgeline
