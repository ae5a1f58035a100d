#include "ridgeline/server/http/answer_rules.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <string_view>

namespace ridgeline {
namespace {

constexpr std::size_t kRequestIdBytesMax = 128;

bool all_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7F'; });
}

bool allows_all(const HttpOptions& options) {
  return std::count(options.cors_origins.begin(), options.cors_origins.end(), "*") > 0;
}

/// The value of Access-Control-Allow-Origin; empty if the origin is not allowed.
std::string_view allowed_origin(const HttpOptions& options, const HttpRequest& request) {
  const std::string_view origin = request.header("Origin");
  if (origin.empty()) return {};
  if (allows_all(options)) return "*";
  for (const std::string& allowed : options.cors_origins) {
    if (equal_ignoring_case(allowed, origin)) return origin;
  }
  return {};
}

}  // namespace

std::string request_id(const HttpRequest& request) {
  const std::string_view given = request.header("x-request-id");
  if (!given.empty() && given.size() <= kRequestIdBytesMax && all_printable(given)) {
    return std::string(given);
  }
  thread_local std::mt19937_64 random{[] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }()};
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string id = "req-";
  for (int word = 0; word < 2; ++word) {
    std::uint64_t bits = random();
    for (int digit = 0; digit < 16; ++digit, bits >>= 4) id += kHex[bits & 15];
  }
  return id;
}

std::string cors_headers(const HttpOptions& options, const HttpRequest& request) {
  if (options.cors_origins.empty()) return {};
  const std::string_view origin = allowed_origin(options, request);
  std::string lines;
  if (!origin.empty()) {
    ((lines += "Access-Control-Allow-Origin: ") += origin) += "\r\n";
    lines += "Access-Control-Expose-Headers: *\r\n";
  }
  // A cache must not give one origin the answer that another got.
  if (!allows_all(options)) lines += "Vary: Origin\r\n";
  return lines;
}

std::optional<HttpResponse> cors_preflight(const HttpOptions& options, const HttpRequest& request) {
  if (request.method != "OPTIONS" || request.header("Access-Control-Request-Method").empty() ||
      allowed_origin(options, request).empty()) {
    return std::nullopt;
  }
  std::string headers(request.header("Access-Control-Request-Headers"));
  if (headers.empty()) headers = "authorization, content-type";
  return HttpResponse{.status = 204,
                      .headers = {{"Access-Control-Allow-Methods", "GET, POST, OPTIONS"},
                                  {"Access-Control-Allow-Headers", headers},
                                  {"Access-Control-Max-Age", "600"}},
                      .content_type = ""};
}

ApiError too_many_connections() {
  return {.status = 503, .message = "The server has too many connections, try again later"};
}

ApiError shutting_down() { return {.status = 503, .message = "The server is shutting down"}; }

}  // namespace ridgeline
