#include "ridgeline/server/http/request_reader.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace ridgeline {
namespace {

using State = RequestReader::State;
using namespace std::string_literals;

constexpr RequestLimits kLimits{.max_header_bytes = 1024, .max_body_bytes = 4096};

/// What a connection's bytes mean: its requests, one text each, then "status" of what is
/// wrong, or "..." if a request is not complete.
std::vector<std::string> read_all(std::string_view bytes, std::size_t step) {
  RequestReader reader(kLimits);
  std::vector<std::string> result;
  for (;;) {
    const State state = reader.parse();
    if (state == State::kComplete) {
      const HttpRequest request = reader.take();
      std::string text = fmt::format("{} {}?{}", request.method, request.path, request.query);
      for (const auto& [name, value] : request.headers) text += fmt::format("|{}={}", name, value);
      result.push_back(fmt::format("{}|{}", text, request.body));
      continue;
    }
    if (state == State::kFailed) {
      result.push_back(std::to_string(reader.error().status));
      EXPECT_FALSE(reader.error().message.empty());
      EXPECT_FALSE(reader.keep_alive());
      return result;
    }
    if (bytes.empty()) {
      if (state != State::kIdle) result.emplace_back("...");
      return result;
    }
    reader.append(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
  }
}

struct Case {
  std::string bytes;
  std::vector<std::string> meaning;
};

std::string get(const std::string& headers) {
  return fmt::format("GET / HTTP/1.1\r\n{}\r\n", headers);
}
std::string post(const std::string& headers, const std::string& body) {
  return fmt::format("POST / HTTP/1.1\r\nHost: h\r\n{}\r\n{}", headers, body);
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"", {}},
      {get("Host: h\r\n"), {"GET /?|Host=h|"}},
      {"\r\n\r\n" + get("Host: h\r\n"), {"GET /?|Host=h|"}},
      {"\r\n\r\n\r\n" + get("Host: h\r\n"), {"400"}},
      {"GET /a%20b/c?x=1?y HTTP/1.1\r\nhost:h\r\nX:  y z \t\r\nE:\r\n\r\n",
       {"GET /a%20b/c?x=1?y|host=h|X=y z|E=|"}},
      {"GET http://h:1/a?b HTTP/1.1\r\nHost: h\r\n\r\n", {"GET /a?b|Host=h|"}},
      {"GET http://h?b HTTP/1.1\r\nHost: h\r\n\r\n", {"GET /?b|Host=h|"}},
      {"GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", {"GET /?|Host=h|"}},
      {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", {"OPTIONS *?|Host=h|"}},
      {"GET / HTTP/1.0\r\n\r\n", {"GET /?|"}},
      // Pipelined.
      {get("Host: a\r\n") + post("Content-Length: 2\r\n", "xy") + get("Host: b\r\n"),
       {"GET /?|Host=a|", "POST /?|Host=h|Content-Length=2|xy", "GET /?|Host=b|"}},
      // Bodies.
      {post("Content-Length: 0\r\n", ""), {"POST /?|Host=h|Content-Length=0|"}},
      {post("Content-Length: 5\r\n", "a\0b\r\n"s), {"POST /?|Host=h|Content-Length=5|a\0b\r\n"s}},
      {post("Transfer-Encoding: Chunked\r\n", "3\r\nabc\r\n0A;x=\"y\"\r\n0123456789\r\n0\r\n\r\n"),
       {"POST /?|Host=h|Transfer-Encoding=Chunked|abc0123456789"}},
      {post("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\nTrailer: t\r\nHost: u\r\n\r\n") +
           get("Host: b\r\n"),
       {"POST /?|Host=h|Transfer-Encoding=chunked|a", "GET /?|Host=b|"}},
      {post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
       {"POST /?|Host=h|Transfer-Encoding=chunked|"}},
      // Premature ends.
      {"GET / HTT", {"..."}},
      {"GET / HTTP/1.1\r\nHost: h\r\n", {"..."}},
      {post("Content-Length: 3\r\n", "ab"), {"..."}},
      {post("Transfer-Encoding: chunked\r\n", "5\r\nabc"), {"..."}},
      {post("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n"), {"..."}},
      // Request lines.
      {"GET\r\n\r\n", {"400"}},
      {"GET /\r\n\r\n", {"400"}},
      {" GET / HTTP/1.1\r\nHost: h\r\n\r\n", {"400"}},
      {"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", {"400"}},
      {"GET / b HTTP/1.1\r\nHost: h\r\n\r\n", {"505"}},
      {"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", {"505"}},
      {"G\0T / HTTP/1.1\r\nHost: h\r\n\r\n"s, {"400"}},
      {"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n"s, {"400"}},
      {"GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n", {"400"}},
      {"GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n", {"400"}},
      {"GET / HTTP/1.1\nHost: h\n\n", {"400"}},
      {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", {"505"}},
      {"GET / HTTP/1.2\r\nHost: h\r\n\r\n", {"505"}},
      {"GET / FTP/1.1\r\nHost: h\r\n\r\n", {"400"}},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {"505"}},
      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \r\n\r\n"s, {"400"}},
      // Headers.
      {get(""), {"400"}},
      {get("Host: a\r\nHost: a\r\n"), {"400"}},
      {get("Host: h\r\nA : b\r\n"), {"400"}},
      {get("Host: h\r\n: b\r\n"), {"400"}},
      {get("Host: h\r\nno colon\r\n"), {"400"}},
      {get("Host: h\r\nA: b\0c\r\n"s), {"400"}},
      {get("Host: h\r\nA\0: b\r\n"s), {"400"}},
      {get("Host: h\r\nA: b\nEvil: c\r\n"), {"400"}},
      {get("Host: h\r\nA: b\rEvil: c\r\n"), {"400"}},
      {get("Host: h\r\nA: b\r\n folded\r\n"), {"400"}},
      {get("Host: h\r\nA: \r\n folded\r\n"), {"400"}},
      {get("Host: h\r\nA: b\r\n \r\n"), {"400"}},
      {get(" Host: h\r\n"), {"400"}},
      {get("Host: h\r\nExpect: a miracle\r\n"), {"417"}},
      // Where two readers could disagree.
      {post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), {"400"}},
      {post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", "0\r\n\r\n"), {"400"}},
      {post("Content-Length: 1\r\nContent-Length: 2\r\n", "ab"), {"400"}},
      {post("Content-Length: 1\r\nContent-Length: 1\r\n", "a"), {"400"}},
      {post("Content-Length: 1, 1\r\n", "a"), {"400"}},
      {post("Content-Length: +1\r\n", "a"), {"400"}},
      {post("Content-Length: -1\r\n", "a"), {"400"}},
      {post("Content-Length: 0x1\r\n", "a"), {"400"}},
      {post("Content-Length: 1 2\r\n", "a"), {"400"}},
      {post("Content-Length:\r\n", "a"), {"400"}},
      {post("Content-Length: 99999999999999999999\r\n", "a"), {"400"}},
      {post("Transfer-Encoding: gzip\r\n", "a"), {"501"}},
      {post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), {"501"}},
      {post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), {"501"}},
      {post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), {"501"}},
      {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), {"400"}},
      {post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), {"400"}},
      {post("Transfer-Encoding:\x0b"
            "chunked\r\n",
            "0\r\n\r\n"),
       {"400"}},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {"400"}},
      {post("Transfer-Encoding: chunked\r\n", "0\r\nContent-Length: 3\r\n\r\n"), {"400"}},
      // Chunks.
      {post("Transfer-Encoding: chunked\r\n", "x\r\n"), {"400"}},
      {post("Transfer-Encoding: chunked\r\n", "-1\r\na\r\n"), {"400"}},
      {post("Transfer-Encoding: chunked\r\n", " 1\r\na\r\n"), {"400"}},
      {post("Transfer-Encoding: chunked\r\n", "1\r\nab\r\n0\r\n\r\n"), {"400"}},
      {post("Transfer-Encoding: chunked\r\n", "1\na\r\n0\r\n\r\n"), {"400"}},
      {post("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\na"), {"400"}},
      {post("Transfer-Encoding: chunked\r\n", "ffffffffffffffff\r\na"), {"413"}},
      {post("Transfer-Encoding: chunked\r\n", "1;" + std::string(2000, 'x')), {"431"}},
      {post("Transfer-Encoding: chunked\r\n", "1;a=\"\r\nb\r\n0\r\n\r\n"), {"400"}},
      {post("Transfer-Encoding: chunked\r\n", "1;a=\"\r\n\"\r\nb\r\n0\r\n\r\n"), {"400"}},
      // Limits.
      {get("Host: h\r\nA: " + std::string(1100, 'x') + "\r\n"), {"431"}},
      {"GET /" + std::string(1100, 'x'), {"431"}},
      {std::string(1100, 'x'), {"431"}},
      {post("Content-Length: 4097\r\n", ""), {"413"}},
      {post("Transfer-Encoding: chunked\r\n", "1001\r\n"), {"413"}},
  };
  return all;
}

TEST(RequestReader, TableOfBytesInOnePiece) {
  for (const Case& c : cases()) {
    EXPECT_EQ(read_all(c.bytes, c.bytes.size() + 1), c.meaning)
        << ::testing::PrintToString(c.bytes);
  }
}

TEST(RequestReader, PiecesMeanWhatTheWholeMeans) {
  for (const Case& c : cases()) {
    for (const std::size_t step : {1, 2, 3, 7, 16}) {
      EXPECT_EQ(read_all(c.bytes, step), c.meaning)
          << "in pieces of " << step << ": " << ::testing::PrintToString(c.bytes);
    }
  }
}

TEST(RequestReader, ManyHeadersReachTheLimitTogether) {
  std::string headers = "Host: h\r\n";
  for (int i = 0; i < 200; ++i) headers += fmt::format("A{}: b\r\n", i);
  EXPECT_EQ(read_all(get(headers), 1), std::vector<std::string>{"431"});
  EXPECT_EQ(read_all(get(headers), 100000), std::vector<std::string>{"431"});
}

TEST(RequestReader, AWholeBodyAtTheLimitPasses) {
  const auto result = read_all(post("Content-Length: 4096\r\n", std::string(4096, 'x')), 100);
  ASSERT_EQ(result.size(), 1u);
  EXPECT_THAT(result[0], ::testing::EndsWith("xxx"));
}

TEST(RequestReader, KeepAliveByVersionAndHeader) {
  const auto keep_alive = [](const std::string& bytes) {
    RequestReader reader(kLimits);
    reader.append(bytes);
    EXPECT_EQ(reader.parse(), State::kComplete) << bytes;
    return reader.keep_alive();
  };
  EXPECT_TRUE(keep_alive(get("Host: h\r\n")));
  EXPECT_FALSE(keep_alive(get("Host: h\r\nConnection: close\r\n")));
  EXPECT_FALSE(keep_alive(get("Host: h\r\nConnection: x, Close\r\n")));
  EXPECT_FALSE(keep_alive("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keep_alive("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

TEST(RequestReader, AnExpectationIsTakenOnceAndOnlyBeforeTheBody) {
  RequestReader reader(kLimits);
  reader.append(post("Expect: 100-continue\r\nContent-Length: 2\r\n", ""));
  EXPECT_EQ(reader.parse(), State::kBody);
  EXPECT_TRUE(reader.take_expectation());
  EXPECT_FALSE(reader.take_expectation());
  reader.append("ab");
  EXPECT_EQ(reader.parse(), State::kComplete);
  EXPECT_FALSE(reader.take_expectation());

  RequestReader eager(kLimits);
  eager.append(post("Expect: 100-continue\r\nContent-Length: 2\r\n", "a"));
  EXPECT_EQ(eager.parse(), State::kBody);
  EXPECT_FALSE(eager.take_expectation());
}

TEST(RequestReader, AnIdleReaderHoldsNoBuffer) {
  RequestReader reader(kLimits);
  reader.append(post("Content-Length: 4000\r\n", std::string(4000, 'x')));
  EXPECT_EQ(reader.parse(), State::kComplete);
  EXPECT_GE(reader.held_bytes(), 4000u);
  EXPECT_EQ(reader.take().body.size(), 4000u);
  EXPECT_EQ(reader.held_bytes(), 0u);
}

// fuzz/seeds/http_request: a byte that says how the fuzzer cuts, then a connection's bytes.
TEST(RequestReader, FuzzSeeds) {
  int seeds = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(RIDGELINE_SOURCE_DIR "/fuzz/seeds/http_request")) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(file), {});
    ASSERT_GT(bytes.size(), 1u) << entry.path();
    const auto whole = read_all(std::string_view(bytes).substr(1), bytes.size());
    EXPECT_FALSE(whole.empty());
    EXPECT_EQ(whole, read_all(std::string_view(bytes).substr(1), 5)) << entry.path();
    ++seeds;
  }
  EXPECT_GE(seeds, 5);
}

// Whatever the bytes, and however they are cut, the reader comes to the same result, and a
// request that it accepts has a Host and no conflict about its length.
TEST(RequestReader, RandomMutationsOfRequests) {
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  constexpr std::string_view kPieces[] = {"\r\n",
                                          "\n",
                                          "\r",
                                          std::string_view("\0", 1),
                                          " ",
                                          ":",
                                          "Content-Length: 3\r\n",
                                          "Transfer-Encoding: chunked\r\n",
                                          "\r\n\r\n",
                                          "0\r\n\r\n",
                                          "Host: h\r\n",
                                          "HTTP/1.1",
                                          "\xff",
                                          "ffffffff\r\n"};
  int accepted = 0;
  int refused = 0;
  for (int round = 0; round < 100000; ++round) {
    std::string bytes = cases()[below(cases().size())].bytes;
    for (std::size_t edits = below(4); edits > 0; --edits) {
      const std::size_t at = below(bytes.size() + 1);
      switch (below(4)) {
        case 0:
          bytes.insert(at, kPieces[below(std::size(kPieces))]);
          break;
        case 1:
          bytes.erase(at, below(8));
          break;
        case 2:
          if (at < bytes.size()) bytes[at] = static_cast<char>(below(256));
          break;
        default:
          bytes += cases()[below(cases().size())].bytes;
          break;
      }
    }
    const auto whole = read_all(bytes, bytes.size() + 1);
    ASSERT_EQ(whole, read_all(bytes, 1 + below(40))) << ::testing::PrintToString(bytes);
    for (const std::string& text : whole) {
      (text.size() > 3 ? accepted : refused) += 1;
      EXPECT_FALSE(text.find("|Content-Length=") != std::string::npos &&
                   text.find("|Transfer-Encoding=") != std::string::npos)
          << text;
    }
  }
  EXPECT_GT(accepted, 1000);
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace ridgeline
