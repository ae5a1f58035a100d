#include "ridgeline/tools/load/target.h"

#include <fmt/format.h>

namespace ridgeline::load {

std::string Target::endpoint_url() const {
  return url + (endpoint == Endpoint::kChat ? "/v1/chat/completions" : "/v1/completions");
}

Result<Target> parse_target(const std::string& text) {
  Target target;
  std::string url = text;
  const std::size_t scheme = text.find("://");
  if (const std::size_t equals = text.find('='); equals < scheme) {
    target.label = text.substr(0, equals);
    url = text.substr(equals + 1);
  }
  while (url.ends_with('/')) url.pop_back();
  if (url.ends_with("/v1")) url.resize(url.size() - 3);
  std::size_t host = 0;
  if (url.starts_with("http://")) host = 7;
  if (url.starts_with("https://")) host = 8;
  if (host == 0 || url.size() == host || url.find_first_of(" \t") != url.npos)
    return fail(
        fmt::format("'{}' is no address of a server, expected http://host:port, or "
                    "NAME=http://host:port",
                    text));
  if (target.label.empty()) target.label = url.substr(host);
  target.url = std::move(url);
  return target;
}

}  // namespace ridgeline::load
