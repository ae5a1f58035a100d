#include "ridgeline/server/openai/service.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>
#include <utility>

#include "ridgeline/server/openai/generation_endpoints.h"
#include "ridgeline/server/openai/tokenize_endpoint.h"
#include "ridgeline/server/openai/work_pool.h"

namespace ridgeline::openai {
namespace {

Json model_json(const ServedModel& served, const std::string& name) {
  return {{"id", name},
          {"object", "model"},
          {"created", served.created},
          {"owned_by", "ridgeline"},
          {"root", served.path},
          {"parent", nullptr},
          {"max_model_len", served.context}};
}

HttpResponse json_response(const Json& json) { return {.status = 200, .body = dump(json)}; }

std::string_view bearer(const HttpRequest& request) {
  std::string_view value = request.header("authorization");
  constexpr std::string_view kScheme = "bearer ";
  if (value.size() < kScheme.size() ||
      !equal_ignoring_case(value.substr(0, kScheme.size()), kScheme))
    return request.header("x-api-key");
  value.remove_prefix(kScheme.size());
  while (value.starts_with(' ')) value.remove_prefix(1);
  return value;
}

}  // namespace

struct Service::Impl {
  using Work = std::function<void(const Call&, const Json&)>;

  Impl(ServedModel served, ServiceParts service_parts, ServiceOptions service_options)
      : model(std::move(served)),
        parts(std::move(service_parts)),
        options(std::move(service_options)),
        grammars(options.cached_grammars),
        pool(options.work_threads, options.max_waiting_calls) {}

  bool authorized(Call& call) const;
  void post(Call call, Work work);
  void add_post(Router& router, std::string_view pattern, Work work);
  void add_models(Router& router);
  void add_operations(Router& router);
  Work of(Checked<Json> (*endpoint)(const Json&, const ServedModel&));

  const ServedModel model;
  const ServiceParts parts;
  const ServiceOptions options;
  GrammarCache grammars;
  WorkPool pool;  // last: its threads use what is above
};

Service::Service(ServedModel model, ServiceParts parts, ServiceOptions options)
    : impl_(std::make_unique<Impl>(std::move(model), std::move(parts), std::move(options))) {}

Service::~Service() = default;

bool Service::Impl::authorized(Call& call) const {
  if (parts.keys == nullptr) return true;
  const std::string_view key = bearer(call.http);
  std::optional<ApiKey> known = parts.keys->check(key);
  if (known) {
    call.key = *std::move(known);
    return true;
  }
  const ApiError error{.status = 401,
                       .message = key.empty() ? "There is no API key; expected the header "
                                                "'Authorization: Bearer KEY'"
                                              : "The API key is none that this server knows",
                       .type = "invalid_request_error",
                       .code = "invalid_api_key"};
  answer_error(parts, call, error, {{"WWW-Authenticate", "Bearer"}}, "unauthorized");
  return false;
}

/// Hands a call to the pool, as far as anything is taken at all.
void Service::Impl::post(Call call, Work work) {
  if (!authorized(call)) return;
  if (parts.loop != nullptr && parts.loop->draining()) {
    const RefusalAnswer told =
        answer_of({Refusal::Kind::kDraining, "The server is shutting down and takes no new work"});
    return answer_error(parts, call, told.error, told.headers, told.reason);
  }
  auto shared = std::make_shared<Call>(std::move(call));
  const bool taken = pool.post([this, shared, work = std::move(work)] {
    if (shared->exchange->closed()) return;
    Checked<Json> body = parse_body(shared->http.body);
    if (!body) return answer_error(parts, *shared, body.error());
    shared->http.body = {};
    try {
      work(*shared, *body);
    } catch (const std::exception& e) {
      answer_error(
          parts, *shared,
          {.status = 500, .message = std::string("This is a bug of the server: ") + e.what()});
    }
  });
  if (!taken)
    answer_error(parts, *shared,
                 {.status = 503,
                  .message = "Too many requests are waiting to be read",
                  .code = "queue_full"},
                 {{"Retry-After", "1"}}, "queue_full");
}

void Service::Impl::add_post(Router& router, std::string_view pattern, Work work) {
  router.add("POST", pattern,
             [this, pattern, work](HttpRequest request, std::shared_ptr<Exchange> exchange) {
               post({std::move(request), std::move(exchange), pattern, {}, Clock::now()}, work);
             });
}

Service::Impl::Work Service::Impl::of(Checked<Json> (*endpoint)(const Json&, const ServedModel&)) {
  return [this, endpoint](const Call& call, const Json& body) {
    const Checked<Json> result = endpoint(body, model);
    if (!result) return answer_error(parts, call, result.error());
    answer(parts, call, json_response(*result));
  };
}

void Service::Impl::add_models(Router& router) {
  const auto list = [this](HttpRequest request, std::shared_ptr<Exchange> exchange) {
    Call call{std::move(request), std::move(exchange), "/v1/models", {}, Clock::now()};
    if (!authorized(call)) return;
    Json data = Json::array();
    for (const std::string& name : model.names) data.push_back(model_json(model, name));
    answer(parts, call, json_response({{"object", "list"}, {"data", std::move(data)}}));
  };
  router.add("GET", "/v1/models", list);
  router.add("GET", "/models", list);
  router.add(
      "GET", "/v1/models/{model...}",
      [this](HttpRequest request, std::shared_ptr<Exchange> exchange) {
        const std::string name(request.path_parameter("model"));
        Call call{std::move(request), std::move(exchange), "/v1/models/{model}", {}, Clock::now()};
        if (!authorized(call)) return;
        if (std::ranges::find(model.names, name) != model.names.end())
          return answer(parts, call, json_response(model_json(model, name)));
        answer_error(parts, call,
                     {.status = 404,
                      .message = fmt::format("The model {} does not exist; this server has {}",
                                             ridgeline::quoted(name), model.names.front()),
                      .param = "model",
                      .code = "model_not_found"});
      });
}

/// For operators; none of them asks for a key, and none is logged.
void Service::Impl::add_operations(Router& router) {
  const auto get = [&](std::string_view pattern, std::function<HttpResponse()> make) {
    router.add("GET", pattern,
               [this, pattern, make = std::move(make)](const HttpRequest&,
                                                       const std::shared_ptr<Exchange>& exchange) {
                 HttpResponse response = make();
                 if (parts.metrics != nullptr)
                   parts.metrics->http_response(pattern, response.status);
                 exchange->respond(std::move(response));
               });
  };
  get("/health", [] { return json_response({{"status", "ok"}}); });
  get("/ready", [this] {
    if (parts.loop != nullptr && !parts.loop->draining())
      return json_response({{"status", "ready"}});
    HttpResponse response = json_response({{"status", "draining"}});
    response.status = 503;
    return response;
  });
  get("/version", [this] { return json_response({{"version", options.version}}); });
  if (parts.metrics == nullptr || parts.loop == nullptr) return;
  const auto state = [this] { return parts.state ? parts.state() : ServerState{}; };
  get("/metrics", [this, state] {
    HttpResponse response;
    response.body = parts.metrics->prometheus_text(parts.loop->stats(), state());
    response.content_type = std::string(kPrometheusContentType);
    return response;
  });
  get("/stats", [this, state] {
    return HttpResponse{.status = 200,
                        .body = parts.metrics->stats_json(parts.loop->stats(), state())};
  });
}

void Service::add_routes(Router& router) {
  Impl& impl = *impl_;
  impl.add_models(router);
  impl.add_operations(router);
  const auto generation = [&impl](auto endpoint) -> Impl::Work {
    return [&impl, endpoint](const Call& call, const Json& body) {
      endpoint(GenerationContext{impl.model, impl.parts, impl.grammars}, call, body);
    };
  };
  // The short forms are llama-server's.
  for (const std::string_view pattern : {"/v1/completions", "/completions"})
    impl.add_post(router, pattern, generation(complete));
  for (const std::string_view pattern : {"/v1/chat/completions", "/chat/completions"})
    impl.add_post(router, pattern, generation(chat));
  for (const std::string_view pattern : {"/v1/embeddings", "/embeddings"})
    impl.add_post(router, pattern, generation(embed));
  impl.add_post(router, "/v1/responses", generation(respond));
  impl.add_post(router, "/tokenize", impl.of(tokenize));
  impl.add_post(router, "/detokenize", impl.of(detokenize));
}

}  // namespace ridgeline::openai
