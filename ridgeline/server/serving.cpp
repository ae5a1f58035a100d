#include "ridgeline/server/serving.h"

#include <fmt/format.h>

#include <filesystem>

#include "ridgeline/server/http/router.h"
#include "ridgeline/server/limits/pressure_monitor.h"
#include "ridgeline/server/limits/rate_limiter.h"
#include "ridgeline/server/metrics/server_metrics.h"
#include "ridgeline/server/openai/service.h"
#include "ridgeline/server/web/page.h"

namespace ridgeline {

// In the order in which they stand on each other: what is destroyed first comes last.
struct Serving::Impl {
  Impl(ApiKeys api_keys, const ServingOptions& options)
      : keys(std::move(api_keys)),
        log(options.log_format, options.log_descriptor),
        log_requests(options.log_requests),
        metrics(options.names.front()) {}

  ServerState state() const;

  ApiKeys keys;
  RequestLog log;
  bool log_requests;
  ServerMetrics metrics;
  RateLimiter limiter;
  std::unique_ptr<EngineLoop> loop;
  double prefill_share = 0;  ///< as configured
  std::unique_ptr<DegradationLadder> ladder;
  std::unique_ptr<PressureMonitor> pressure;
  std::unique_ptr<openai::Service> service;
  Router router;
  std::unique_ptr<HttpServer> http;
};

ServerState Serving::Impl::state() const {
  ServerState s;
  s.ladder = ladder->report();
  const ProcessMemory memory = pressure->memory();
  s.resident_bytes = memory.resident_bytes;
  s.memory_limit_bytes = memory.limit_bytes;
  s.open_connections = http ? http->connections() : 0;
  s.log_lines_dropped = log.dropped();
  s.draining = loop->draining();
  return s;
}

namespace {

Result<openai::ServedModel> served_model(const Engine& engine, const ServingOptions& options) {
  openai::ServedModel model;
  model.tokenizer = &engine.tokenizer();
  model.context = engine.context();
  model.defaults = engine.generation_defaults();
  model.generates = !engine.config().is_encoder;
  model.embedding_size = engine.config().hidden_size;
  model.names = options.names;
  model.path = options.model_path;
  model.created = std::chrono::duration_cast<std::chrono::seconds>(
                      std::chrono::system_clock::now().time_since_epoch())
                      .count();
  model.fingerprint = "ridgeline-" + options.version;
  model.max_prompt_tokens = options.max_prompt_tokens;
  model.max_output_tokens = options.max_output_tokens;
  model.deadlines = options.deadlines;
  RIDGELINE_TRY_STATUS(adopt_chat_template(model, options.chat_template, options.tool_call_parser));
  return model;
}

/// "models/fireside-q8_0.gguf" is called fireside-q8_0.
std::string name_of(const std::string& path) {
  const std::filesystem::path file = std::filesystem::path(path).lexically_normal();
  const std::filesystem::path last = file.has_filename() ? file : file.parent_path();
  return last.extension() == ".gguf" ? last.stem().string() : last.filename().string();
}

}  // namespace

Serving::Serving(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Serving>> Serving::start(std::unique_ptr<Engine> engine,
                                                ServingOptions options) {
  if (options.names.empty()) options.names = {name_of(options.model_path)};
  ApiKeys keys = ApiKeys::anonymous(options.anonymous_limits);
  if (!options.api_keys_file.empty()) {
    RIDGELINE_TRY(keys, ApiKeys::load(options.api_keys_file));
  }
  RIDGELINE_TRY(openai::ServedModel model, served_model(*engine, options));

  auto impl = std::make_unique<Impl>(std::move(keys), options);
  Impl& parts = *impl;
  options.queue.on_step = [&parts](const StepReport& step) { parts.metrics.on_step(step); };
  parts.prefill_share = engine->prefill_share();
  parts.loop = std::make_unique<EngineLoop>(std::move(engine), options.queue);

  LadderActions actions;
  actions.scale_prefill_share = [&parts](double scale) {
    parts.loop->set_prefill_share(parts.prefill_share * scale);
  };
  actions.allow_speculation = [&parts](bool allowed) { parts.loop->set_speculation(allowed); };
  actions.moved = [&parts](Rung from, Rung to) {
    parts.log.message(fmt::format("degradation: from {} to {}", name(from), name(to)));
  };
  parts.ladder = std::make_unique<DegradationLadder>(options.ladder, std::move(actions));
  parts.pressure = std::make_unique<PressureMonitor>(
      *parts.ladder, [&parts] { return parts.loop->stats(); }, options.memory_limit_bytes);

  openai::ServiceParts needs;
  needs.loop = parts.loop.get();
  needs.keys = &parts.keys;
  needs.limiter = &parts.limiter;
  needs.ladder = parts.ladder.get();
  needs.metrics = &parts.metrics;
  needs.log = parts.log_requests ? &parts.log : nullptr;
  needs.state = [&parts] { return parts.state(); };
  openai::ServiceOptions service;
  service.version = options.version;
  parts.service = std::make_unique<openai::Service>(std::move(model), needs, service);
  parts.service->add_routes(parts.router);
  add_page(parts.router);

  options.http.report = [&parts](const std::string& sentence) { parts.log.message(sentence); };
  RIDGELINE_TRY(parts.http,
                HttpServer::listen(options.http, [&parts](HttpRequest request,
                                                          std::shared_ptr<Exchange> exchange) {
                  parts.router.handle(std::move(request), std::move(exchange));
                }));
  return std::unique_ptr<Serving>(new Serving(std::move(impl)));
}

Serving::~Serving() {
  stop();
  wait();
  impl_->loop->stop();  // nothing is left that its sinks could reach
}

const std::string& Serving::url() const { return impl_->http->url(); }
int Serving::port() const { return impl_->http->port(); }
std::string Serving::warning() const { return impl_->keys.warning(); }
EngineStats Serving::stats() const { return impl_->loop->stats(); }

void Serving::reload_keys() {
  if (!impl_->keys.required()) return;
  if (const Status status = impl_->keys.reload(); !status)
    impl_->log.message("API keys stay as they were: " + status.error().message);
  else
    impl_->log.message(fmt::format("API keys read again: {}", impl_->keys.size()));
  if (const std::string warning = impl_->keys.warning(); !warning.empty())
    impl_->log.message(warning);
}

void Serving::drain(std::chrono::milliseconds timeout) {
  impl_->loop->drain();
  impl_->http->drain(timeout);
}

void Serving::stop() {
  impl_->loop->drain();
  impl_->http->stop();
}

void Serving::wait() { impl_->http->wait(); }

}  // namespace ridgeline
