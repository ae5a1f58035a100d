#pragma once

#include <memory>
#include <string>

#include "ridgeline/server/http/router.h"
#include "ridgeline/server/openai/call.h"
#include "ridgeline/server/openai/served_model.h"

namespace ridgeline::openai {

struct ServiceOptions {
  std::string version;                   ///< of GET /version
  int work_threads = 2;                  ///< parsing, templates, tokenizing, grammars
  std::size_t max_waiting_calls = 1024;  ///< for such a thread: one more is answered by 503
  std::size_t cached_grammars = 64;
};

/// OpenAI's API, with vLLM's and llama-server's additions, on an EngineLoop.
class Service {
 public:
  Service(ServedModel model, ServiceParts parts, ServiceOptions options);
  /// Drops calls that have not come to the engine.
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// The handlers refer to this.
  void add_routes(Router& router);

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace ridgeline::openai
