#include "ridgeline/server/http/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "ridgeline/server/http/error_response.h"
#include "ridgeline/server/http/exchange_core.h"

namespace ridgeline {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// The answer's bytes as they would be sent.
std::string route(const Router& router, std::string method, std::string path) {
  auto core = std::make_shared<ExchangeCore>(AnswerTerms{}, nullptr, 0);
  HttpRequest request;
  request.method = std::move(method);
  request.path = std::move(path);
  router.handle(std::move(request), std::make_shared<Exchange>(core));
  std::string bytes;
  core->take(bytes);
  return bytes;
}

Router example() {
  const auto say = [](std::string name) {
    return [name](HttpRequest request, std::shared_ptr<Exchange> exchange) {
      std::string body = name;
      for (const auto& [key, value] : request.path_parameters) body += "," + key + "=" + value;
      exchange->respond({.body = body});
    };
  };
  Router router;
  router.add("GET", "/", say("root"));
  router.add("GET", "/v1/models", say("models"));
  router.add("GET", "/v1/models/{model...}", say("model"));
  router.add("POST", "/v1/chat/completions", say("chat"));
  router.add("GET", "/v1/responses/{id}", say("response"));
  router.add("DELETE", "/v1/responses/{id}", say("delete"));
  router.add("GET", "/v1/responses/{id}/items", say("items"));
  return router;
}

TEST(Router, FindsByMethodAndPath) {
  const Router router = example();
  EXPECT_THAT(route(router, "GET", "/"), HasSubstr("\r\n\r\nroot"));
  EXPECT_THAT(route(router, "GET", "/v1/models"), HasSubstr("\r\n\r\nmodels"));
  EXPECT_THAT(route(router, "GET", "/v1/models/"), HasSubstr("\r\n\r\nmodels"));
  EXPECT_THAT(route(router, "HEAD", "/v1/models"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(route(router, "GET", "/v1/models/a%2Fb%20c"), HasSubstr("\r\n\r\nmodel,model=a/b c"));
  EXPECT_THAT(route(router, "GET", "/v1/models/a/b"), HasSubstr("\r\n\r\nmodel,model=a/b"));
  EXPECT_THAT(route(router, "GET", "/v1/responses/7"), HasSubstr("\r\n\r\nresponse,id=7"));
  EXPECT_THAT(route(router, "DELETE", "/v1/responses/7"), HasSubstr("\r\n\r\ndelete,id=7"));
  EXPECT_THAT(route(router, "GET", "/v1/responses/7/items"), HasSubstr("\r\n\r\nitems,id=7"));
  EXPECT_EQ(router.pattern_of("/v1/responses/7/items"), "/v1/responses/{id}/items");
  EXPECT_EQ(router.pattern_of("/v1/nothing"), "");
}

TEST(Router, WhatIsNotThereAndWhatIsNotAllowed) {
  const Router router = example();
  EXPECT_THAT(route(router, "GET", "/v1"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(route(router, "GET", "/v1/responses//items"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(route(router, "GET", "//"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(route(router, "GET", "/v1/models/%zz"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(route(router, "GET", "/v1/models/%00"), StartsWith("HTTP/1.1 400 "));
  const std::string wrong = route(router, "PUT", "/v1/responses/7");
  EXPECT_THAT(wrong, StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(wrong, HasSubstr("\r\nAllow: GET, HEAD, DELETE, OPTIONS\r\n"));
  EXPECT_THAT(wrong, HasSubstr(R"("code":"method_not_allowed")"));
  const std::string options = route(router, "OPTIONS", "/v1/chat/completions");
  EXPECT_THAT(options, StartsWith("HTTP/1.1 204 "));
  EXPECT_THAT(options, HasSubstr("\r\nAllow: POST, OPTIONS\r\n"));
  EXPECT_THAT(route(router, "OPTIONS", "*"), StartsWith("HTTP/1.1 204 "));
}

TEST(ErrorResponse, ShapeAndEscapes) {
  EXPECT_EQ(error_body({.status = 400, .message = "a \"b\" \\ \n\x01", .param = "n"}),
            R"({"error":{"message":"a \"b\" \\ \n\u0001","type":"invalid_request_error",)"
            R"("param":"n","code":null}})");
  EXPECT_EQ(error_body({.status = 503, .message = "ü \xff \xed\xa0\x80", .code = "c"}),
            "{\"error\":{\"message\":\"ü \xEF\xBF\xBD \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\","
            "\"type\":\"server_error\",\"param\":null,\"code\":\"c\"}}");
}

TEST(Exchange, HeadersCannotEndTheirLine) {
  auto core = std::make_shared<ExchangeCore>(AnswerTerms{}, nullptr, 0);
  core->respond({.headers = {{"X", "a\r\nEvil: b"}}, .body = "x"});
  std::string bytes;
  EXPECT_EQ(core->take(bytes), ExchangeCore::Taken::kBytes);
  EXPECT_THAT(bytes, HasSubstr("\r\nX: a  Evil: b\r\n"));
  EXPECT_EQ(core->take(bytes), ExchangeCore::Taken::kEnd);
}

TEST(Exchange, OnlyTheFirstAnswerCounts) {
  auto core = std::make_shared<ExchangeCore>(AnswerTerms{}, nullptr, 0);
  bool called = false;
  {
    Exchange exchange(core);
    exchange.on_close([&] { called = true; });
    EXPECT_TRUE(exchange.respond({.body = "one"}));
    EXPECT_FALSE(exchange.respond({.body = "two"}));
    EXPECT_FALSE(exchange.start_stream(200, {}, "text/plain"));
    EXPECT_FALSE(exchange.write("three"));
    EXPECT_FALSE(exchange.closed());
  }
  EXPECT_FALSE(core->client_gone());
  EXPECT_FALSE(called);
}

TEST(Exchange, AnAnswerWhoseClientIsGone) {
  auto core = std::make_shared<ExchangeCore>(AnswerTerms{}, nullptr, 0);
  Exchange exchange(core);
  int called = 0;
  exchange.on_close([&] { ++called; });
  exchange.on_close([&] { called += 10; });
  EXPECT_TRUE(exchange.start_stream(200, {}, "text/plain"));
  EXPECT_TRUE(core->client_gone());
  EXPECT_EQ(called, 11);
  EXPECT_TRUE(exchange.closed());
  EXPECT_FALSE(exchange.write("x"));
  exchange.on_close([&] { called += 100; });
  EXPECT_EQ(called, 111);
  core->client_gone();
  EXPECT_EQ(called, 111);
}

TEST(Exchange, QueuedBytesAreBounded) {
  auto core = std::make_shared<ExchangeCore>(AnswerTerms{.max_output_bytes = 100}, nullptr, 0);
  Exchange exchange(core);
  bool called = false;
  exchange.on_close([&] { called = true; });
  ASSERT_TRUE(exchange.start_stream(200, {}, "text/plain"));
  std::string bytes;
  core->take(bytes);
  core->sent(bytes.size());
  // One chunk may be larger than the bound, but nothing beside it.
  EXPECT_TRUE(exchange.write(std::string(1000, 'x')));
  core->take(bytes);
  EXPECT_FALSE(core->overflowed());
  EXPECT_FALSE(exchange.write("y"));
  EXPECT_TRUE(core->overflowed());
  EXPECT_TRUE(exchange.closed());
  EXPECT_FALSE(called);  // by the I/O thread, not by the writer
  EXPECT_TRUE(core->client_gone());
  EXPECT_TRUE(called);
}

}  // namespace
}  // namespace ridgeline
