#pragma once

#include <cstdint>
#include <string>

#include "ridgeline/base/result.h"

namespace ridgeline::load {

enum class Endpoint { kCompletions, kChat };

/// A server to measure, and how it is asked.
struct Target {
  std::string label;
  std::string url;  ///< http://host:port
  Endpoint endpoint = Endpoint::kCompletions;
  std::string model;
  std::string api_key;  ///< "": none
  std::string ca_file;  ///< of certificates to trust; "": the system's

  std::string endpoint_url() const;
};

/// "[LABEL=]http[s]://host[:port]", with or without "/v1" behind it; without a label, the
/// host and port are one.
Result<Target> parse_target(const std::string& text);

}  // namespace ridgeline::load
