#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/engine.h"
#include "ridgeline/engine/engine_loop.h"
#include "ridgeline/server/http/http_server.h"
#include "ridgeline/server/limits/api_keys.h"
#include "ridgeline/server/limits/degradation_ladder.h"
#include "ridgeline/server/metrics/request_log.h"
#include "ridgeline/text/chat_template.h"

namespace ridgeline {

struct ServingOptions {
  std::string model_path;          ///< as /v1/models shows it
  std::vector<std::string> names;  ///< that requests may call the model by; empty: its file's name
  std::optional<ChatTemplate> chat_template;  ///< none: chat is refused with a sentence
  std::string tool_call_parser;               ///< "": as the template writes calls
  std::string version;

  HttpOptions http{};
  std::string api_keys_file;  ///< "": everyone comes in
  KeyLimits anonymous_limits{};
  EngineLoopOptions queue{};
  std::int64_t max_prompt_tokens = 0, max_output_tokens = 0;  ///< 0: as many as the context holds
  Deadlines deadlines{.queue_seconds = 300, .first_token_seconds = 600, .total_seconds = 3600};
  LadderOptions ladder{};
  std::uint64_t memory_limit_bytes = 0;  ///< 0: what the cgroup or the machine allows
  LogFormat log_format = LogFormat::kText;
  bool log_requests = true;
  int log_descriptor = 2;
};

/// `ridgeline serve`: an engine behind OpenAI's API, with its keys, limits, metrics, log and page.
/// Every function may be called from any thread.
class Serving {
 public:
  /// Listens. Errors: the address, a certificate, the key file, the parser's name.
  static Result<std::unique_ptr<Serving>> start(std::unique_ptr<Engine> engine,
                                                ServingOptions options);
  /// Stops at once.
  ~Serving();
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;

  const std::string& url() const;
  int port() const;
  /// What the operator should know: a key file that everyone may read; may be empty.
  std::string warning() const;
  EngineStats stats() const;

  /// Reads the key file again; the log says how it went.
  void reload_keys();
  /// No new work; what runs goes on for `timeout` at most.
  void drain(std::chrono::milliseconds timeout);
  /// Ends everything now.
  void stop();
  /// Until a drain() or stop() is through.
  void wait();

 private:
  struct Impl;
  explicit Serving(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ridgeline
