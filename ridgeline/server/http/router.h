#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/server/http/exchange.h"

namespace ridgeline {

/// Method and path to handler. Filled before the server starts, then only read.
///
/// A pattern's {name} stands for one segment of a path, {name...} at its end for one or
/// more ("/v1/models/{model...}" takes "/v1/models/org/name"). What was registered first
/// wins. HEAD goes to the handler of GET, OPTIONS is answered with Allow, another method of
/// a known path with 405 and Allow, an unknown path with 404, a path that is not properly
/// percent-encoded with 400. A slash at the end of a path makes no difference.
class Router {
 public:
  void add(std::string method, std::string_view pattern, HttpHandler handler);

  /// Finds the handler and calls it: usable as HttpServer's handler by
  /// [&router](HttpRequest r, std::shared_ptr<Exchange> e) { router.handle(...); }.
  void handle(HttpRequest request, std::shared_ptr<Exchange> exchange) const;

  /// The pattern that takes this path by whatever method, for labels of metrics; empty if
  /// none does.
  std::string_view pattern_of(std::string_view path) const;

 private:
  struct Route {
    std::string method;
    std::string pattern;
    std::vector<std::string> segments;
    HttpHandler handler;
  };
  std::vector<Route> routes_;
};

}  // namespace ridgeline
