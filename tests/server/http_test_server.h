#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "ridgeline/server/http/http_server.h"
#include "tests/server/http_test_client.h"

namespace ridgeline::test {

/// A server on a free port of this machine, and what it reported.
class TestServer {
 public:
  explicit TestServer(HttpHandler handler, HttpOptions options = {}) {
    options.port = 0;
    options.report = [this](const std::string& sentence) {
      const std::lock_guard lock(mutex_);
      reports_.push_back(sentence);
    };
    auto server = HttpServer::listen(std::move(options), std::move(handler));
    if (!server) {
      ADD_FAILURE() << server.error().message;
      std::abort();
    }
    server_ = *std::move(server);
  }

  HttpServer* operator->() { return server_.get(); }
  RawClient client(int receive_buffer_bytes = 0) {
    return RawClient(server_->port(), receive_buffer_bytes);
  }
  std::vector<std::string> reports() {
    const std::lock_guard lock(mutex_);
    return reports_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> reports_;
  std::unique_ptr<HttpServer> server_;  // goes first
};

/// Waits some seconds for it.
template <class Condition>
bool eventually(Condition&& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    ::usleep(1000);
  }
  return true;
}

/// Keeps the exchanges that a test answers by itself, on its own thread.
class Held {
 public:
  HttpHandler handler() {
    return [this](HttpRequest request, std::shared_ptr<Exchange> exchange) {
      const std::lock_guard lock(mutex_);
      held_.emplace_back(std::move(request), std::move(exchange));
    };
  }
  std::pair<HttpRequest, std::shared_ptr<Exchange>> next() {
    EXPECT_TRUE(eventually([&] {
      const std::lock_guard lock(mutex_);
      return !held_.empty();
    }));
    const std::lock_guard lock(mutex_);
    if (held_.empty()) return {};
    auto first = std::move(held_.front());
    held_.erase(held_.begin());
    return first;
  }
  bool empty() {
    const std::lock_guard lock(mutex_);
    return held_.empty();
  }

 private:
  std::mutex mutex_;
  std::vector<std::pair<HttpRequest, std::shared_ptr<Exchange>>> held_;
};

}  // namespace ridgeline::test
