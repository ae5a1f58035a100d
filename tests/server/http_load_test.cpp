#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/platform/topology.h"
#include "tests/server/http_test_server.h"

namespace ridgeline {
namespace {

using test::eventually;
using test::RawAnswer;
using test::RawClient;
using test::TestServer;
using ::testing::HasSubstr;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::string_view kHealth = "GET /health HTTP/1.1\r\nHost: h\r\n\r\n";

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

void healthy(const HttpRequest&, const std::shared_ptr<Exchange>& exchange) {
  exchange->respond({.body = R"({"status":"ok"})"});
}

double milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

/// For the time of a test.
class OpenFileLimit {
 public:
  explicit OpenFileLimit(rlim_t soft) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit limit{std::min(soft, before_.rlim_max), before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  ~OpenFileLimit() { setrlimit(RLIMIT_NOFILE, &before_); }
  OpenFileLimit(const OpenFileLimit&) = delete;
  OpenFileLimit& operator=(const OpenFileLimit&) = delete;
  rlim_t hard() const { return before_.rlim_max; }

 private:
  rlimit before_{};
};

TEST(HttpLoad, ThousandsOfIdleConnections) {
  const int connections = kSanitized ? 500 : 2000;
  const auto files = static_cast<rlim_t>(2 * connections + 500);  // both ends are in this process
  const OpenFileLimit limit(files);
  if (limit.hard() < files) GTEST_SKIP() << "no more than " << limit.hard() << " open files";
  HttpOptions options;
  options.max_connections = connections + 10;
  TestServer server(healthy, options);
  ASSERT_GE(server->max_connections(), connections + 10);
  std::vector<RawClient> clients;
  clients.reserve(static_cast<std::size_t>(connections));
  // Warm, so that what is measured is the connections.
  EXPECT_EQ(server.client().ask(kHealth).status, 200);
  const std::uint64_t before = resident_bytes();
  for (int i = 0; i < connections; ++i) {
    clients.push_back(server.client());
    ASSERT_EQ(clients.back().ask(kHealth).status, 200) << i;
  }
  const double each = static_cast<double>(resident_bytes() - before) / connections;
  RecordProperty("bytes_each", static_cast<int>(each));
  if (!kSanitized) {
    EXPECT_LT(each, 8192) << "bytes of a connection, with the client's end";
  }
  // The last and the first are served alike, and all are still there.
  const auto start = Clock::now();
  for (RawClient& client : clients) ASSERT_EQ(client.ask(kHealth).status, 200);
  RecordProperty("microseconds_each",
                 static_cast<int>(1000 * milliseconds(Clock::now() - start) / connections));
  EXPECT_EQ(server->connections(), connections);
  server->drain(10s);
  server->wait();
  EXPECT_EQ(server->connections(), 0);
}

TEST(HttpLoad, WithoutFilesItWaitsAndGoesOn) {
  TestServer server(healthy);
  RawClient early = server.client();
  EXPECT_EQ(early.ask(kHealth).status, 200);
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  std::vector<RawClient> clients;
  {
    // The next descriptor is the client's own, then none is left for the server's end.
    RawClient late = server.client();
    EXPECT_EQ(late.ask(kHealth).status, 200);
    const int next = ::dup(0);
    ASSERT_GE(next, 0);
    ::close(next);
    const OpenFileLimit limit(static_cast<rlim_t>(next + 1));
    clients.push_back(server.client());
    ASSERT_TRUE(clients.back().connected());
    clients.back().send(kHealth);
    EXPECT_TRUE(eventually([&] { return !server.reports().empty(); }));
    EXPECT_EQ(early.ask(kHealth).status, 200);
  }
  EXPECT_EQ(clients.back().answer().status, 200);
  ASSERT_EQ(server.reports().size(), 1u);
  EXPECT_THAT(server.reports().front(), HasSubstr("Too many open files"));
}

TEST(HttpLoad, HealthAnswersWhileAllCoresCompute) {
  TestServer server(healthy);
  std::atomic<bool> end = false;
  std::thread engine([&] {
    ThreadPool pool(topology().default_threads());
    while (!end) {
      pool.parallel_for(64, [](std::int64_t, int) {
        const auto until = Clock::now() + 500us;
        while (Clock::now() < until) {
        }
      });
    }
  });
  std::vector<double> latencies;
  RawClient client = server.client();
  std::this_thread::sleep_for(50ms);
  for (int i = 0; i < 200; ++i) {
    const auto start = Clock::now();
    EXPECT_EQ(client.ask(kHealth).status, 200);
    latencies.push_back(milliseconds(Clock::now() - start));
    std::this_thread::sleep_for(2ms);
  }
  end = true;
  engine.join();
  std::sort(latencies.begin(), latencies.end());
  RecordProperty("median_us", static_cast<int>(1000 * latencies[100]));
  RecordProperty("p99_us", static_cast<int>(1000 * latencies[198]));
  // Of a machine that others use too, only the median says something.
  EXPECT_LT(latencies[100], 20) << "milliseconds";
}

TEST(HttpLoad, RequestsAfterEachOther) {
  TestServer server(healthy);
  RawClient client = server.client();
  const int requests = kSanitized ? 300 : 3000;
  const auto start = Clock::now();
  for (int i = 0; i < requests; ++i) ASSERT_EQ(client.ask(kHealth).status, 200);
  RecordProperty("microseconds_each",
                 static_cast<int>(1000 * milliseconds(Clock::now() - start) / requests));
}

// Whatever comes over a connection, it ends with answers, a close or a wait for more, and
// the server goes on.
TEST(HttpLoad, RandomMutationsOverSockets) {
  HttpOptions options;
  options.header_timeout = 1s;
  options.body_timeout = 1s;
  options.max_header_bytes = 2048;
  options.max_body_bytes = 4096;
  TestServer server(healthy, options);
  std::mt19937 random(11);
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  const std::string valid[] = {
      std::string(kHealth),
      "POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nExpect: "
      "100-continue\r\n\r\n0123456789",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
      "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: h\r\nOrigin: x\r\nAccess-Control-Request-Method: GET\r\n\r\n",
  };
  const int rounds = kSanitized ? 600 : 3000;
  for (int round = 0; round < rounds; ++round) {
    std::string bytes;
    for (std::size_t n = 1 + below(3); n > 0; --n) bytes += valid[below(std::size(valid))];
    for (std::size_t edits = below(5); edits > 0; --edits) {
      const std::size_t at = below(bytes.size());
      switch (below(3)) {
        case 0:
          bytes[at] = static_cast<char>(below(256));
          break;
        case 1:
          bytes.erase(at, 1 + below(6));
          break;
        default:
          bytes.insert(at, below(2) == 0 ? "\r\n" : std::string(1 + below(300), 'A'));
          break;
      }
      if (bytes.empty()) bytes.push_back(kHealth.front());
    }
    RawClient client = server.client();
    ASSERT_TRUE(client.connected());
    const std::size_t cut = below(bytes.size());
    // It may answer an error and close before all is sent.
    if (client.send(bytes.substr(0, cut))) client.send(bytes.substr(cut));
    if (below(8) == 0) continue;
    client.shut_down_sending();
    ASSERT_TRUE(client.at_end()) << ::testing::PrintToString(bytes);
    if (!client.received().empty()) {
      EXPECT_THAT(client.received(), ::testing::StartsWith("HTTP/1.1 "));
    }
  }
  EXPECT_EQ(server.client().ask(kHealth).status, 200);
  EXPECT_TRUE(eventually([&] { return server->connections() == 0; }));
  EXPECT_TRUE(server.reports().empty());
}

}  // namespace
}  // namespace ridgeline
