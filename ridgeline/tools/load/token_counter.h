#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/load/server_client.h"

namespace ridgeline::load {

/// How many tokens a text is, as well as can be known before a server is asked.
class TokenCounter {
 public:
  virtual ~TokenCounter() = default;
  virtual Result<std::int64_t> count(const std::string& text) = 0;
  virtual bool is_estimate() const { return false; }
  /// For people: whose count it is.
  virtual std::string name() const = 0;
};

/// By a server's /tokenize. `server` outlives it.
std::unique_ptr<TokenCounter> count_by_server(ServerClient& server, std::string label);
/// By a model's tokenizer.
Result<std::unique_ptr<TokenCounter>> count_by_model(const std::string& path);
/// Four bytes of text are a token, more or less.
std::unique_ptr<TokenCounter> count_by_estimate();

}  // namespace ridgeline::load
