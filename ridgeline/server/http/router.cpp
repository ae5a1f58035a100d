#include "ridgeline/server/http/router.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "ridgeline/base/check.h"
#include "ridgeline/server/http/error_response.h"

namespace ridgeline {
namespace {

/// Without the slashes at both ends; "/" has none.
std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> segments;
  if (path.starts_with('/')) path.remove_prefix(1);
  if (path.ends_with('/')) path.remove_suffix(1);
  while (!path.empty()) {
    const std::size_t end = path.find('/');
    segments.emplace_back(path.substr(0, end));
    if (end == std::string_view::npos) break;
    path.remove_prefix(end + 1);
    if (path.empty()) segments.emplace_back();
  }
  return segments;
}

/// The decoded segments, or nothing where one is not properly encoded.
std::optional<std::vector<std::string>> split_encoded(std::string_view path) {
  std::vector<std::string> segments = split(path);
  for (std::string& segment : segments) {
    std::string decoded;
    if (!percent_decode(segment, decoded)) return std::nullopt;
    segment = std::move(decoded);
  }
  return segments;
}

/// "{name}" and "{name...}".
bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.starts_with('{') && segment.ends_with('}');
}
bool takes_the_rest(std::string_view segment) {
  return is_parameter(segment) && segment.ends_with("...}");
}
std::string parameter_name(std::string_view segment) {
  const std::size_t around = takes_the_rest(segment) ? 5 : 2;
  return std::string(segment.substr(1, segment.size() - around));
}

bool match(const std::vector<std::string>& pattern, const std::vector<std::string>& path,
           HttpHeaders* parameters) {
  const bool tail = !pattern.empty() && takes_the_rest(pattern.back());
  if (tail ? path.size() < pattern.size() : path.size() != pattern.size()) return false;
  HttpHeaders found;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (!is_parameter(pattern[i])) {
      if (pattern[i] != path[i]) return false;
      continue;
    }
    std::string value = path[i];
    if (takes_the_rest(pattern[i])) {
      for (std::size_t k = i + 1; k < path.size(); ++k) (value += '/') += path[k];
    }
    if (value.empty()) return false;
    found.emplace_back(parameter_name(pattern[i]), std::move(value));
  }
  if (parameters != nullptr) *parameters = std::move(found);
  return true;
}

}  // namespace

void Router::add(std::string method, std::string_view pattern, HttpHandler handler) {
  RIDGELINE_CHECK(pattern.starts_with('/') && handler);
  routes_.push_back({std::move(method), std::string(pattern), split(pattern), std::move(handler)});
}

void Router::handle(HttpRequest request, std::shared_ptr<Exchange> exchange) const {
  const auto path = split_encoded(request.path);
  if (!path) {
    exchange->respond(error_response(
        {.status = 400,
         .message = "The path " + request.path + " is not properly percent-encoded"}));
    return;
  }
  // HEAD is answered as GET would be; the transport leaves out the body.
  const std::string_view method =
      request.method == "HEAD" ? "GET" : std::string_view(request.method);
  std::vector<std::string> allowed;
  for (const Route& route : routes_) {
    if (!match(route.segments, *path, &request.path_parameters)) continue;
    if (route.method == method) {
      route.handler(std::move(request), std::move(exchange));
      return;
    }
    if (std::find(allowed.begin(), allowed.end(), route.method) == allowed.end()) {
      allowed.push_back(route.method);
    }
  }
  const bool options = request.method == "OPTIONS";
  if (allowed.empty() && !(options && request.path == "*")) {
    exchange->respond(error_response(
        {.status = 404, .message = "There is nothing at " + request.path, .code = "not_found"}));
    return;
  }
  std::string allow;
  for (const std::string& name : allowed) allow += name == "GET" ? "GET, HEAD, " : name + ", ";
  allow += "OPTIONS";
  if (options) {
    exchange->respond({.status = 204, .headers = {{"Allow", allow}}, .content_type = ""});
    return;
  }
  exchange->respond(error_response(
      {.status = 405,
       .message = request.path + " does not take " + request.method + ", only " + allow,
       .code = "method_not_allowed"},
      {{"Allow", allow}}));
}

std::string_view Router::pattern_of(std::string_view path) const {
  const auto segments = split_encoded(path);
  if (!segments) return {};
  for (const Route& route : routes_) {
    if (match(route.segments, *segments, nullptr)) return route.pattern;
  }
  return {};
}

}  // namespace ridgeline
