#include "ridgeline/server/serving.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/http_test_client.h"

// The parts put together, as `ridgeline serve` does.
namespace ridgeline {
namespace {

bool becomes(const std::function<bool()>& state) {
  for (int i = 0; i < 1000; ++i) {
    if (state()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST(Serving, TheLadderStandsDraftsDownAndLetsThemBack) {
  EngineOptions options;
  options.max_sequences = 1;
  options.context = 2048;
  options.speculation.lookup = true;
  auto engine = Engine::load(RIDGELINE_SOURCE_DIR "/models/fireside-q8_0.gguf", options);
  ASSERT_TRUE(engine) << engine.error().message;
  ServingOptions serving;
  serving.model_path = "fireside.gguf";
  serving.http.port = 0;
  serving.log_requests = false;
  serving.ladder.queue_delay_target_seconds = 0.01;
  serving.ladder.step_up_seconds = serving.ladder.step_down_seconds = 0.01;
  auto server = Serving::start(*std::move(engine), serving);
  ASSERT_TRUE(server) << server.error().message;
  const auto allowed = [&] { return (*server)->stats().speculation.allowed; };
  EXPECT_TRUE(allowed());

  const std::string body =
      R"({"prompt": "a", "max_tokens": 2000, "ignore_eos": true, "stream": true})";
  std::vector<test::RawClient> clients;
  for (int i = 0; i < 8; ++i) {  // one runs, the others wait
    clients.emplace_back((*server)->port());
    clients.back().send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                        std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  EXPECT_TRUE(becomes([&] { return !allowed(); }));
  clients.clear();
  EXPECT_TRUE(becomes(allowed));
}

}  // namespace
}  // namespace ridgeline
