#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>

#include "ridgeline/engine/engine.h"
#include "ridgeline/server/http/http_server.h"
#include "ridgeline/server/openai/service.h"
#include "tests/server/http_test_client.h"

namespace ridgeline::openai::testing {

using Json = nlohmann::ordered_json;

inline std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

/// The endpoints over HTTP, on the model that comes with the project.
class OpenAiService : public ::testing::Test {
 protected:
  /// A new server, in place of the one before.
  void start(ApiKeys keys = ApiKeys::anonymous({}), SpeculationOptions speculation = {}) {
    stop();
    EngineOptions engine_options;
    engine_options.speculation = std::move(speculation);
    engine_options.max_sequences = 8;
    engine_options.context = 1024;
    auto engine = Engine::load(RIDGELINE_SOURCE_DIR "/models/fireside-q8_0.gguf", engine_options);
    ASSERT_TRUE(engine) << engine.error().message;
    ServedModel model;
    model.tokenizer = &(*engine)->tokenizer();
    model.context = (*engine)->context();
    model.names = {"fireside"};
    model.embedding_size = (*engine)->config().hidden_size;
    auto chat = ChatTemplate::parse(read_file(RIDGELINE_SOURCE_DIR "/tests/server/tools.jinja"), "",
                                    "", "t");
    ASSERT_TRUE(adopt_chat_template(model, *std::move(chat), ""));
    loop_ = std::make_unique<EngineLoop>(*std::move(engine), EngineLoopOptions{});
    keys_ = std::make_unique<ApiKeys>(std::move(keys));
    metrics_ = std::make_unique<ServerMetrics>("fireside");
    ServiceParts parts;
    parts.loop = loop_.get();
    parts.keys = keys_.get();
    parts.limiter = &limiter_;
    parts.metrics = metrics_.get();
    service_ = std::make_unique<Service>(std::move(model), std::move(parts),
                                         ServiceOptions{.version = "1"});
    service_->add_routes(router_.emplace());
    HttpOptions options;
    options.port = 0;
    auto server = HttpServer::listen(
        options, [this](HttpRequest request, std::shared_ptr<Exchange> exchange) {
          router_->handle(std::move(request), std::move(exchange));
        });
    ASSERT_TRUE(server) << server.error().message;
    server_ = *std::move(server);
  }

  void TearDown() override { stop(); }
  void stop() {
    server_.reset();
    if (loop_) loop_->stop();
    service_.reset();
  }

  static std::string post(const std::string& path, const std::string& body,
                          const std::string& headers = "") {
    return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  test::RawAnswer ask(const std::string& path, const std::string& body,
                      const std::string& headers = "") {
    return test::RawClient(server_->port()).ask(post(path, body, headers));
  }
  test::RawAnswer get(const std::string& path) {
    return test::RawClient(server_->port()).ask("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  /// Within some seconds nothing runs any more.
  bool becomes_idle() {
    for (int i = 0; i < 500; ++i) {
      const EngineStats stats = loop_->stats();
      if (stats.running == 0 && stats.waiting == 0) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  std::unique_ptr<ApiKeys> keys_;
  RateLimiter limiter_;
  std::unique_ptr<ServerMetrics> metrics_;
  std::unique_ptr<EngineLoop> loop_;
  std::unique_ptr<Service> service_;
  std::optional<Router> router_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace ridgeline::openai::testing
