#include "ridgeline/server/http/http_server.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <sys/un.h>

#include <atomic>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/server/http_test_server.h"

namespace ridgeline {
namespace {

using test::eventually;
using test::Held;
using test::RawAnswer;
using test::RawClient;
using test::TestServer;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using namespace std::chrono_literals;

constexpr std::string_view kGet = "GET /x?y HTTP/1.1\r\nHost: h\r\n\r\n";

void echo(HttpRequest request, const std::shared_ptr<Exchange>& exchange) {
  exchange->respond({.headers = {{"X-Peer", request.peer}},
                     .body = fmt::format("{} {} {} {}", request.method, request.path, request.query,
                                         request.body),
                     .content_type = "text/plain"});
}

std::string post(std::string_view body, std::string_view headers = "") {
  return fmt::format("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n{}\r\n{}", body.size(),
                     headers, body);
}

TEST(HttpServer, AnswersAndKeepsTheConnection) {
  TestServer server(echo);
  RawClient client = server.client();
  for (int i = 0; i < 3; ++i) {
    const RawAnswer answer = client.ask(post("hello"));
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.whole);
    EXPECT_EQ(answer.body, "POST /x  hello");
    EXPECT_EQ(answer.header("content-type"), "text/plain");
    EXPECT_EQ(answer.header("connection"), "");
    EXPECT_THAT(answer.header("x-request-id"), MatchesRegex("req-[0-9a-f]+"));
    EXPECT_THAT(answer.header("x-peer"), MatchesRegex("127.0.0.1:[0-9]+"));
    EXPECT_THAT(answer.header("date"), MatchesRegex("[a-z]+, [0-9]+ [a-z]+ 20.. ..:..:.. gmt"));
  }
  EXPECT_EQ(client.ask(kGet).body, "GET /x y ");
  EXPECT_EQ(server->connections(), 1);
  EXPECT_EQ(server->stats().requests, 4u);
  EXPECT_EQ(server->stats().accepted, 1u);
  client.close();
  EXPECT_TRUE(eventually([&] { return server->connections() == 0; }));
  EXPECT_EQ(server->stats().abandoned, 0u);
}

TEST(HttpServer, RequestIds) {
  TestServer server([](HttpRequest request, const std::shared_ptr<Exchange>& exchange) {
    exchange->respond({.body = request.id});
  });
  RawClient client = server.client();
  const auto id = [&](const std::string& given) {
    const RawAnswer answer = client.ask(post("", fmt::format("X-Request-ID: {}\r\n", given)));
    EXPECT_EQ(answer.header("x-request-id"), answer.body);
    return answer.body;
  };
  EXPECT_EQ(id("abc-1/2"), "abc-1/2");
  EXPECT_EQ(id(std::string(128, 'a')), std::string(128, 'a'));
  EXPECT_THAT(id(std::string(129, 'a')), MatchesRegex("req-[0-9a-f]+"));
  EXPECT_THAT(id("with spaces"), MatchesRegex("req-[0-9a-f]+"));
  EXPECT_NE(id(""), id(""));
}

TEST(HttpServer, PipelinedRequestsAreAnsweredInOrder) {
  Held held;
  TestServer server(held.handler());
  RawClient client = server.client();
  client.send(post("one") + post("two") + post("three", "Connection: close\r\n"));
  for (const std::string expected : {"one", "two", "three"}) {
    auto [request, exchange] = held.next();
    EXPECT_EQ(request.body, expected);
    EXPECT_TRUE(held.empty());  // the next waits for this one's answer
    exchange->respond({.body = expected});
    const RawAnswer answer = client.answer();
    EXPECT_EQ(answer.body, expected);
    EXPECT_EQ(answer.header("connection"), expected == "three" ? "close" : "");
  }
  EXPECT_TRUE(client.at_end());
}

TEST(HttpServer, ManyPipelinedRequestsAtOnce) {
  TestServer server(echo);
  RawClient client = server.client();
  constexpr int kRequests = 5000;
  std::thread sender([&] {
    for (int i = 0; i < kRequests; ++i) client.send(post(std::to_string(i)));
  });
  for (int i = 0; i < kRequests; ++i)
    ASSERT_EQ(client.answer().body, fmt::format("POST /x  {}", i));
  sender.join();
}

TEST(HttpServer, Http10) {
  TestServer server([](const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    if (request.path == "/whole") return static_cast<void>(exchange->respond({.body = "whole"}));
    exchange->start_stream(200, {}, "text/plain");
    exchange->write("a");
    exchange->write("b");
    exchange->finish();
  });
  RawClient kept = server.client();
  RawAnswer answer = kept.ask("GET /whole HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(answer.body, "whole");
  EXPECT_EQ(answer.header("connection"), "keep-alive");
  answer = kept.ask("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(answer.body, "ab");
  EXPECT_EQ(answer.header("transfer-encoding"), "");
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_TRUE(answer.whole);  // to the end of the connection

  RawClient closed = server.client();
  EXPECT_EQ(closed.ask("GET /whole HTTP/1.0\r\n\r\n").header("connection"), "close");
  EXPECT_TRUE(closed.at_end());
}

TEST(HttpServer, HeadHasNoBody) {
  TestServer server([](const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
    if (request.path == "/whole") return static_cast<void>(exchange->respond({.body = "whole"}));
    exchange->start_stream(200, {}, "text/event-stream");
    EXPECT_TRUE(exchange->write("a"));
    exchange->finish();
  });
  RawClient client = server.client();
  client.send("HEAD /whole HTTP/1.1\r\nHost: h\r\n\r\nHEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.answer(true).header("content-length"), "5");
  EXPECT_EQ(client.answer(true).header("transfer-encoding"), "chunked");
  EXPECT_EQ(client.ask("GET /whole HTTP/1.1\r\nHost: h\r\n\r\n").body, "whole");
}

TEST(HttpServer, StreamsAsItIsWritten) {
  Held held;
  TestServer server(held.handler());
  RawClient client = server.client();
  client.send(kGet);
  auto [request, exchange] = held.next();
  EXPECT_TRUE(exchange->start_stream(200, {{"X-A", "b"}}, "text/event-stream"));
  EXPECT_TRUE(client.receive_until("\r\n\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("\r\nX-A: b\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("\r\nCache-Control: no-cache\r\n"));
  EXPECT_TRUE(exchange->write("data: 1\n\n"));
  EXPECT_TRUE(client.receive_until("9\r\ndata: 1\n\n\r\n"));
  EXPECT_TRUE(exchange->write(""));  // is not the end
  EXPECT_TRUE(exchange->write("data: 2\n\n"));
  EXPECT_TRUE(client.receive_until("data: 2\n\n\r\n"));
  exchange->finish();
  EXPECT_FALSE(exchange->write("late"));
  const RawAnswer answer = client.answer();
  EXPECT_TRUE(answer.whole);
  EXPECT_EQ(answer.body, "data: 1\n\ndata: 2\n\n");
  exchange.reset();
  client.send(kGet);
  held.next().second->respond({.body = "next"});
  EXPECT_EQ(client.answer().body, "next");
}

TEST(HttpServer, HundredContinue) {
  TestServer server(echo);
  RawClient client = server.client();
  client.send("POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  ASSERT_TRUE(client.receive_until("\r\n\r\n"));
  EXPECT_EQ(client.received(), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("ab");
  EXPECT_EQ(client.answer().body, "POST /x  ab");
  // Nobody is asked for a body that will not be taken.
  const RawAnswer refused = client.ask(
      "POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");
  EXPECT_EQ(refused.status, 413);
}

TEST(HttpServer, ChunkedBody) {
  TestServer server(echo);
  RawClient client = server.client();
  for (const char c :
       std::string_view("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                        "\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n")) {
    client.send({&c, 1});
  }
  EXPECT_EQ(client.answer().body, "POST /x  abcd");
}

TEST(HttpServer, LargeBodiesBothWays) {
  TestServer server([](HttpRequest request, const std::shared_ptr<Exchange>& exchange) {
    exchange->respond({.body = std::move(request.body)});
  });
  std::string body(8 << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 7 + i / 251);
  RawClient client = server.client();
  std::thread sender([&] { client.send(post(body)); });
  const RawAnswer answer = client.answer();
  sender.join();
  EXPECT_TRUE(answer.whole);
  EXPECT_TRUE(answer.body == body);
}

TEST(HttpServer, Cors) {
  HttpOptions options;
  options.cors_origins = {"https://a.example"};
  TestServer listed(echo, options);
  options.cors_origins = {"*"};
  TestServer open(echo, options);
  TestServer closed(echo);
  const auto ask = [](TestServer& server, std::string_view origin) {
    return server.client().ask(post("", fmt::format("Origin: {}\r\n", origin)));
  };
  EXPECT_EQ(ask(listed, "https://a.example").header("access-control-allow-origin"),
            "https://a.example");
  EXPECT_EQ(ask(listed, "https://a.example").header("vary"), "origin");
  EXPECT_EQ(ask(listed, "https://b.example").header("access-control-allow-origin"), "");
  EXPECT_EQ(ask(open, "https://b.example").header("access-control-allow-origin"), "*");
  EXPECT_EQ(ask(closed, "https://a.example").header("access-control-allow-origin"), "");

  const auto preflight = [](TestServer& server) {
    return server.client().ask(
        "OPTIONS /v1 HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example\r\n"
        "Access-Control-Request-Method: POST\r\n"
        "Access-Control-Request-Headers: authorization,x-stainless-os\r\n\r\n");
  };
  const RawAnswer allowed = preflight(listed);
  EXPECT_EQ(allowed.status, 204);
  EXPECT_EQ(allowed.header("access-control-allow-headers"), "authorization,x-stainless-os");
  EXPECT_EQ(allowed.header("access-control-allow-methods"), "get, post, options");
  EXPECT_EQ(preflight(closed).status, 200);  // the handler's
}

TEST(HttpServer, TheHandlersFaults) {
  TestServer server([](const HttpRequest& request, std::shared_ptr<Exchange> exchange) {
    if (request.path == "/throws") throw std::runtime_error("secret");
    if (request.path == "/forgets") return;
    if (request.path == "/odd") throw 7;
    exchange->start_stream(200, {}, "text/plain");
    exchange->write("part");
    exchange.reset();  // without finish()
  });
  RawClient client = server.client();
  RawAnswer answer = client.ask("GET /throws HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(answer.status, 500);
  EXPECT_THAT(answer.body, HasSubstr(R"("type":"server_error")"));
  EXPECT_EQ(answer.body.find("secret"), std::string::npos);
  EXPECT_EQ(client.ask("GET /odd HTTP/1.1\r\nHost: h\r\n\r\n").status, 500);
  EXPECT_EQ(client.ask("GET /forgets HTTP/1.1\r\nHost: h\r\n\r\n").status, 500);
  answer = client.ask("GET /breaks HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(answer.status, 200);
  EXPECT_FALSE(answer.whole);
  EXPECT_TRUE(client.at_end());
  EXPECT_THAT(server.reports(), ::testing::Contains(HasSubstr("secret")));
}

TEST(HttpServer, MalformedRequestsAreAnsweredAndClosed) {
  TestServer server(echo);
  const std::pair<std::string, int> cases[] = {
      {"nonsense\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505},
      {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: "
       "chunked\r\n\r\n0\r\n\r\n",
       400},
      {"GET /" + std::string(20000, 'a') + " HTTP/1.1\r\n", 431},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999\r\n\r\n", 413},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n", 413},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n", 415},
      {"\x16\x03\x01\x02", 400},
  };
  for (const auto& [bytes, status] : cases) {
    RawClient client = server.client();
    const RawAnswer answer = client.ask(bytes);
    EXPECT_EQ(answer.status, status) << bytes.substr(0, 200);
    EXPECT_THAT(answer.body, HasSubstr(R"({"error":{"message":")"));
    EXPECT_EQ(answer.header("connection"), "close");
    EXPECT_NE(answer.header("x-request-id"), "");
    EXPECT_TRUE(client.at_end());
  }
  EXPECT_EQ(server->stats().requests, 0u);
  EXPECT_EQ(server.client().ask(kGet).status, 200);
}

TEST(HttpServer, AnErrorArrivesThoughTheClientIsStillSending) {
  TestServer server(echo);
  RawClient client = server.client();
  std::thread sender([&] {
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 30000000\r\n\r\n");
    const std::string megabyte(1 << 20, 'x');
    for (int i = 0; i < 30 && client.send(megabyte); ++i) {
    }
  });
  EXPECT_EQ(client.answer().status, 413);
  sender.join();
}

TEST(HttpServer, APrematureEndIsAnsweredWhereItCanBe) {
  TestServer server(echo);
  for (const std::string bytes :
       {"GET / HTT", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab"}) {
    RawClient client = server.client();
    client.send(bytes);
    client.shut_down_sending();
    EXPECT_EQ(client.answer().status, 400) << bytes;
    EXPECT_TRUE(client.at_end());
  }
  RawClient silent = server.client();
  silent.shut_down_sending();
  EXPECT_TRUE(silent.at_end());
  EXPECT_EQ(silent.received(), "");
}

TEST(HttpServer, TimeoutsOfHeadersBodyAndIdleConnections) {
  HttpOptions options;
  options.header_timeout = 150ms;
  options.body_timeout = 200ms;
  options.idle_timeout = 300ms;
  TestServer server(echo, options);
  const auto start = std::chrono::steady_clock::now();

  RawClient idle = server.client();
  RawClient used = server.client();
  RawClient slow_body = server.client();
  EXPECT_EQ(used.ask(kGet).status, 200);
  slow_body.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\na");
  // A byte at a time does not prolong the time for all of them.
  RawClient slow_header = server.client();
  std::thread drip([&] {
    for (const char c : std::string_view("GET / HTTP/1.1\r\nHost: abcdefghijklmnopqrstuvwxyz")) {
      if (!slow_header.send({&c, 1})) break;
      std::this_thread::sleep_for(10ms);
    }
  });
  RawAnswer answer = slow_header.answer();
  EXPECT_EQ(answer.status, 408);
  EXPECT_THAT(answer.body, HasSubstr("headers took too long"));
  drip.join();
  answer = slow_body.answer();
  EXPECT_EQ(answer.status, 408);
  EXPECT_THAT(answer.body, HasSubstr("body took too long"));
  EXPECT_TRUE(idle.at_end());
  EXPECT_EQ(idle.received(), "");
  EXPECT_TRUE(used.at_end());
  EXPECT_GE(std::chrono::steady_clock::now() - start, 300ms);
  EXPECT_EQ(server->stats().timeouts, 2u);
}

TEST(HttpServer, AClientThatLeavesIsNoticed) {
  Held held;
  TestServer server(held.handler());
  std::atomic<int> closed = 0;

  RawClient waiting = server.client();
  waiting.send(kGet);
  auto unanswered = held.next().second;
  unanswered->on_close([&] { ++closed; });
  EXPECT_FALSE(unanswered->closed());
  waiting.close();
  EXPECT_TRUE(eventually([&] { return closed == 1; }));
  EXPECT_TRUE(unanswered->closed());
  EXPECT_FALSE(unanswered->respond({}));

  RawClient reading = server.client();
  reading.send(kGet);
  auto stream = held.next().second;
  stream->on_close([&] { ++closed; });
  stream->start_stream(200, {}, "text/event-stream");
  EXPECT_TRUE(stream->write("data: 1\n\n"));
  EXPECT_TRUE(reading.receive_until("data: 1"));
  reading.close();
  EXPECT_TRUE(eventually([&] { return closed == 2; }));
  EXPECT_FALSE(stream->write("data: 2\n\n"));
  EXPECT_TRUE(eventually([&] { return server->connections() == 0; }));
  EXPECT_EQ(server->stats().abandoned, 2u);
  EXPECT_EQ(server->stats().exchanges, 0);
}

TEST(HttpServer, AHalfClosedClient) {
  // Answered at once, it gets its answer in any case.
  TestServer prompt(echo);
  RawClient asked = prompt.client();
  asked.send(kGet);
  asked.send(kGet);
  asked.shut_down_sending();
  EXPECT_EQ(asked.answer().status, 200);
  EXPECT_EQ(asked.answer().status, 200);
  EXPECT_TRUE(asked.at_end());

  HttpOptions options;
  options.answer_half_closed = true;
  Held held;
  TestServer patient(held.handler(), options);
  RawClient client = patient.client();
  client.send(kGet);
  client.shut_down_sending();
  auto exchange = held.next().second;
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(exchange->closed());
  exchange->respond({.body = "patience"});
  EXPECT_EQ(client.answer().body, "patience");
  EXPECT_TRUE(client.at_end());
}

TEST(HttpServer, ASlowReaderIsGivenUpWithoutBlockingTheWriter) {
  HttpOptions options;
  options.max_output_bytes = 64 << 10;
  Held held;
  TestServer server(held.handler(), options);
  RawClient slow = server.client(4096);
  slow.send(kGet);
  auto exchange = held.next().second;
  std::atomic<bool> closed = false;
  exchange->on_close([&] { closed = true; });
  exchange->start_stream(200, {}, "text/plain");
  const std::string chunk(1000, 'x');
  std::size_t written = 0;
  const auto start = std::chrono::steady_clock::now();
  while (exchange->write(chunk)) written += chunk.size();
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
  EXPECT_GE(written, 60u << 10);
  EXPECT_TRUE(exchange->closed());
  EXPECT_TRUE(eventually([&] { return closed.load(); }));
  EXPECT_TRUE(eventually([&] { return server->connections() == 0; }));
  EXPECT_EQ(server->stats().overflows, 1u);
}

TEST(HttpServer, AReaderThatStopsIsTimedOut) {
  HttpOptions options;
  options.write_timeout = 100ms;
  TestServer server(
      [](const HttpRequest&, const std::shared_ptr<Exchange>& exchange) {
        exchange->respond({.body = std::string(32 << 20, 'x')});
      },
      options);
  RawClient client = server.client(4096);
  client.send(kGet);
  EXPECT_TRUE(eventually([&] { return server->stats().timeouts == 1; }));
  EXPECT_FALSE(client.answer().whole);
}

TEST(HttpServer, OneConnectionTooManyIsRefused) {
  HttpOptions options;
  options.max_connections = 3;
  TestServer server(echo, options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(server.client());
    EXPECT_EQ(clients.back().ask(kGet).status, 200);
  }
  RawClient extra = server.client();
  const RawAnswer refused = extra.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.header("retry-after"), "1");
  EXPECT_EQ(refused.header("connection"), "close");
  EXPECT_THAT(refused.body, HasSubstr("too many connections"));
  EXPECT_TRUE(extra.at_end());
  extra.close();
  clients.pop_back();
  EXPECT_TRUE(eventually([&] { return server->connections() == 2; }));
  EXPECT_EQ(server.client().ask(kGet).status, 200);
  EXPECT_EQ(server->stats().refused, 1u);
}

TEST(HttpServer, MemoryOfArrivingBodiesIsBounded) {
  HttpOptions options;
  options.max_arriving_bytes = 100'000;
  TestServer server(echo, options);
  RawClient client = server.client();
  const RawAnswer refused = client.ask(
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + std::string(150000, 'x'));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.header("retry-after"), "1");
  EXPECT_EQ(server.client().ask(post(std::string(90000, 'x'))).status, 200);
}

TEST(HttpServer, DrainLetsExchangesFinishAndClosesTheRest) {
  Held held;
  TestServer server(held.handler());
  RawClient idle = server.client();
  RawClient running = server.client();
  RawClient streaming = server.client();
  RawClient sending = server.client();
  running.send(kGet);
  auto whole = held.next().second;
  streaming.send(kGet);
  auto stream = held.next().second;
  stream->start_stream(200, {}, "text/event-stream");
  EXPECT_TRUE(streaming.receive_until("\r\n\r\n"));
  sending.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_TRUE(sending.receive_until("100 Continue\r\n\r\n"));
  EXPECT_TRUE(eventually([&] { return server->connections() == 4; }));

  server->drain(10s);
  EXPECT_TRUE(idle.at_end());
  EXPECT_TRUE(eventually([&] { return !server.client().connected(); }));
  // What was on its way comes too late.
  EXPECT_EQ(sending.ask("ab").status, 503);
  sending.close();
  EXPECT_TRUE(stream->write("data: 1\n\n"));
  stream->finish();
  EXPECT_EQ(streaming.answer().body, "data: 1\n\n");
  EXPECT_TRUE(streaming.at_end());
  whole->respond({.body = "done"});
  const RawAnswer answer = running.answer();
  EXPECT_EQ(answer.body, "done");
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_TRUE(running.at_end());
  running.close();
  streaming.close();
  const auto start = std::chrono::steady_clock::now();
  server->wait();
  EXPECT_LT(std::chrono::steady_clock::now() - start, 3s);
  EXPECT_EQ(server->connections(), 0);
}

TEST(HttpServer, DrainGivesUpAfterItsTimeAndStopAtOnce) {
  for (const bool stop : {false, true}) {
    Held held;
    TestServer server(held.handler());
    RawClient client = server.client();
    client.send(kGet);
    auto exchange = held.next().second;
    std::atomic<bool> closed = false;
    exchange->on_close([&] { closed = true; });
    server->drain(stop ? 1h : 50ms);
    // As a thread that waits for signals would.
    std::thread watcher([&] {
      if (stop) server->stop();
    });
    server->wait();
    watcher.join();
    EXPECT_TRUE(closed);
    EXPECT_TRUE(client.at_end());
    EXPECT_FALSE(exchange->respond({}));
  }
}

TEST(HttpServer, AnExchangeOutlivesItsServer) {
  Held held;
  std::shared_ptr<Exchange> waiting;
  std::shared_ptr<Exchange> stream;
  {
    TestServer server(held.handler());
    RawClient one = server.client();
    RawClient two = server.client();
    one.send(kGet);
    waiting = held.next().second;
    two.send(kGet);
    stream = held.next().second;
    stream->start_stream(200, {}, "text/plain");
  }
  EXPECT_FALSE(waiting->respond({}));
  EXPECT_FALSE(stream->write("x"));
  stream->finish();
}

// Exchanges answered from several threads, clients that leave at any time: for the sanitizers.
TEST(HttpServer, ManyThreadsAndClientsThatComeAndGo) {
  HttpOptions options;
  options.io_threads = 2;
  std::mutex mutex;
  std::vector<std::shared_ptr<Exchange>> work;
  std::atomic<bool> end = false;
  std::atomic<int> closed = 0;
  TestServer server(
      [&](const HttpRequest&, std::shared_ptr<Exchange> exchange) {
        exchange->on_close([&] { ++closed; });
        const std::lock_guard lock(mutex);
        work.push_back(std::move(exchange));
      },
      options);
  std::vector<std::thread> workers;
  for (int w = 0; w < 2; ++w) {
    workers.emplace_back([&] {
      while (!end) {
        std::shared_ptr<Exchange> exchange;
        {
          const std::lock_guard lock(mutex);
          if (!work.empty()) {
            exchange = std::move(work.back());
            work.pop_back();
          }
        }
        if (exchange == nullptr) {
          std::this_thread::sleep_for(100us);
          continue;
        }
        exchange->start_stream(200, {}, "text/event-stream");
        for (int i = 0; i < 20 && exchange->write("data: x\n\n"); ++i) std::this_thread::yield();
        exchange->finish();
      }
    });
  }
  std::vector<std::thread> clients;
  std::atomic<int> whole = 0;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      for (int i = 0; i < 60; ++i) {
        RawClient client = server.client();
        for (int k = 0; k < 3; ++k) {
          client.send(kGet);
          if ((i + k + c) % 4 == 0) break;  // leaves without reading
          if ((i + k + c) % 5 == 0) {
            client.receive_until("data");
            break;
          }
          const RawAnswer answer = client.answer();
          EXPECT_TRUE(answer.whole);
          whole += answer.whole ? 1 : 0;
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(eventually([&] { return server->connections() == 0; }));
  end = true;
  for (std::thread& worker : workers) worker.join();
  EXPECT_GT(whole, 100);
  EXPECT_EQ(server->stats().exchanges, 0);
}

TEST(HttpServer, AddressesInUseOrUnknownAreNamed) {
  TestServer server(echo);
  HttpOptions options;
  options.port = server->port();
  auto again = HttpServer::listen(options, echo);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().message,
            fmt::format("127.0.0.1:{}: cannot listen: Address already in use", options.port));
  options.host = "no such host";
  again = HttpServer::listen(options, echo);
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("no such host:"));
  options = {};
  options.port = 70000;
  EXPECT_FALSE(HttpServer::listen(options, echo));
}

TEST(HttpServer, LocalhostAndIpv6) {
  HttpOptions options;
  options.port = 0;
  options.host = "localhost";
  auto local = HttpServer::listen(options, echo);
  ASSERT_TRUE(local) << local.error().message;
  EXPECT_EQ(RawClient((*local)->port()).ask(kGet).status, 200);

  options.host = "::";
  auto any = HttpServer::listen(options, echo);
  if (!any) GTEST_SKIP() << "no IPv6 here: " << any.error().message;
  EXPECT_EQ((*any)->url(), fmt::format("http://[::]:{}", (*any)->port()));
  EXPECT_EQ(RawClient((*any)->port()).ask(kGet).status, 200);
}

TEST(HttpServer, UnixSocket) {
  const std::string path =
      (std::filesystem::path(::testing::TempDir()) / fmt::format("http-{}.sock", ::getpid()))
          .string();
  HttpOptions options;
  options.host = "unix:" + path;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  // Left over by a process that was killed.
  const int stale = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(stale, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ::close(stale);
  {
    auto server = HttpServer::listen(options, echo);
    ASSERT_TRUE(server) << server.error().message;
    EXPECT_FALSE(HttpServer::listen(options, echo));  // in use
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(::send(fd, kGet.data(), kGet.size(), 0), static_cast<ssize_t>(kGet.size()));
    char answer[1000];
    const ssize_t size = ::recv(fd, answer, sizeof(answer), 0);
    ASSERT_GT(size, 0);
    EXPECT_THAT(std::string(answer, static_cast<std::size_t>(size)), HasSubstr("X-Peer: unix\r\n"));
    ::close(fd);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace ridgeline
