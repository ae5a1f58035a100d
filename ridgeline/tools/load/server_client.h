#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/load/target.h"

namespace ridgeline::load {

/// What is asked of a server beside the load: one question at a time, over a connection
/// that stays open.
class ServerClient {
 public:
  /// `target` outlives the client; what it says when a question is asked counts.
  static Result<std::unique_ptr<ServerClient>> create(const Target& target);
  ~ServerClient();
  ServerClient(const ServerClient&) = delete;
  ServerClient& operator=(const ServerClient&) = delete;

  /// Until it is there and ready. Errors: it is not, after so long.
  Status wait_until_ready(std::chrono::duration<double> patience);
  /// The first of /v1/models.
  Result<std::string> first_model();
  /// By /tokenize, as llama.cpp and vLLM have it, without what a server puts in front.
  /// Errors: it has none, or one of another kind.
  Result<std::int64_t> count_tokens(const std::string& text);

 private:
  struct Answer {
    long status = 0;
    std::string body;
  };
  struct Handle;
  explicit ServerClient(const Target& target, std::unique_ptr<Handle> handle);
  /// A GET where there is no body.
  Result<Answer> ask(const std::string& path, const std::string* body);

  const Target& target_;
  std::unique_ptr<Handle> handle_;
};

}  // namespace ridgeline::load
