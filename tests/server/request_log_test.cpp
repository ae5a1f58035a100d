#include "ridgeline/server/metrics/request_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "ridgeline/server/metrics/quoted_text.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

RequestRecord some_record() {
  RequestRecord record;
  record.id = "req-1";
  record.key = "alice";
  record.client = "[::1]:40000";
  record.endpoint = "/v1/chat/completions";
  record.status = 200;
  record.prompt_tokens = 100;
  record.cached_tokens = 96;
  record.output_tokens = 48;
  record.queue_seconds = 0.0125;
  record.first_token_seconds = 0.25;
  record.total_seconds = 2.5;
  record.tokens_per_second = 20.888;
  record.finish_reason = "stop";
  return record;
}

constexpr double kTime = 1795388758.123;  // 2026-11-22T23:05:58.123Z

TEST(RequestLog, TextLine) {
  EXPECT_EQ(format_request(some_record(), LogFormat::kText, kTime),
            "time=2026-11-22T23:05:58.123Z id=req-1 key=alice client=[::1]:40000 "
            "endpoint=/v1/chat/completions status=200 prompt_tokens=100 cached_tokens=96 "
            "output_tokens=48 queue_seconds=0.0125 first_token_seconds=0.25 total_seconds=2.5 "
            "tokens_per_second=20.89 finish_reason=stop preemptions=0");
}

TEST(RequestLog, JsonLine) {
  const Json line = Json::parse(format_request(some_record(), LogFormat::kJson, kTime));
  EXPECT_EQ(line["time"], "2026-11-22T23:05:58.123Z");
  EXPECT_EQ(line["id"], "req-1");
  EXPECT_EQ(line["status"], 200);
  EXPECT_EQ(line["first_token_seconds"], 0.25);
  EXPECT_FALSE(line.contains("error"));
  EXPECT_FALSE(line.contains("passes"));
  RequestRecord drafted = some_record();
  drafted.speculation = SpeculationCounts{.checks = 20,
                                          .tokens = 47,
                                          .drafted = 40,
                                          .accepted = 27,
                                          .seconds = 0.5,
                                          .plain_seconds = 0.75};
  EXPECT_THAT(format_request(drafted, LogFormat::kText, kTime),
              HasSubstr("preemptions=0 passes=20 drafted_tokens=40 accepted_tokens=27 "
                        "estimated_speedup=1.5"));
  RequestRecord refused;
  refused.id = "x";
  refused.status = 429;
  const Json short_line = Json::parse(format_request(refused, LogFormat::kJson, kTime));
  EXPECT_FALSE(short_line.contains("queue_seconds"));
  EXPECT_FALSE(short_line.contains("finish_reason"));
}

TEST(RequestLog, NothingBreaksOutOfItsField) {
  RequestRecord record = some_record();
  record.id = "a b=\"c\"\n status=500";
  record.client = "\x1b[2J\xc2\x9b\xe2\x80\xa8\xff";
  record.error = "";
  const std::string text = format_request(record, LogFormat::kText, kTime);
  EXPECT_THAT(text, HasSubstr(R"(id="a b=\"c\"\u000a status=500" )"));
  EXPECT_THAT(text, HasSubstr("client=\"\\u001b[2J\\u009b\\u2028\xEF\xBF\xBD\""));
  record.id = "";
  EXPECT_THAT(format_request(record, LogFormat::kText, kTime), HasSubstr(" id=\"\" "));
}

TEST(RequestLog, LongValuesAreCut) {
  RequestRecord record = some_record();
  const std::string error(100'000, 'x');
  record.error = error;
  EXPECT_LT(format_request(record, LogFormat::kJson, kTime).size(), 1000u);
}

TEST(RequestLog, RandomBytesStayOneLineOfJson) {
  std::mt19937 random(11);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % (random() % 3 == 0 ? 48 : 256));
    std::string quoted;
    append_quoted(bytes, quoted);
    EXPECT_TRUE(std::none_of(quoted.begin(), quoted.end(),
                             [](char c) { return static_cast<unsigned char>(c) < 0x20; }));
    const Json back = Json::parse(quoted, nullptr, false);
    ASSERT_TRUE(back.is_string()) << quoted;
    EXPECT_EQ(back == bytes, utf8_valid_prefix_bytes(bytes) == bytes.size());
    RequestRecord record;
    record.id = record.error = bytes;
    EXPECT_TRUE(Json::accept(format_request(record, LogFormat::kJson, kTime)));
  }
}

class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe2(ends_, O_CLOEXEC), 0); }
  ~Pipe() {
    close_reader();
    close_writer();
  }
  int writer() const { return ends_[1]; }
  void close_reader() { close(ends_[0]); }
  void close_writer() { close(ends_[1]); }
  std::string read_all() {
    close_writer();
    std::string text;
    char chunk[4096];
    for (ssize_t count; (count = ::read(ends_[0], chunk, sizeof chunk)) > 0;) {
      text.append(chunk, static_cast<std::size_t>(count));
    }
    return text;
  }

 private:
  static void close(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  int ends_[2] = {-1, -1};
};

TEST(RequestLog, LinesOfManyThreadsStayWhole) {
  Pipe pipe;
  {
    RequestLog log(LogFormat::kJson, pipe.writer());
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&log] {
        for (int i = 0; i < 25; ++i) log.write(some_record());
      });
    }
    for (std::thread& thread : threads) thread.join();
    log.message("keys\nreloaded");
    EXPECT_EQ(log.dropped(), 0u);
  }
  const std::string text = pipe.read_all();
  int lines = 0;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line); ++lines) {
    EXPECT_TRUE(Json::accept(line)) << line;
  }
  EXPECT_EQ(lines, 101);
  EXPECT_THAT(text, HasSubstr(R"("message":"keys\u000areloaded")"));
}

TEST(RequestLog, AReaderThatDoesNotReadHoldsUpNobody) {
  Pipe pipe;
  const auto start = std::chrono::steady_clock::now();
  {
    RequestLog log(LogFormat::kText, pipe.writer());
    for (int i = 0; i < 6000; ++i) log.write(some_record());
    EXPECT_GT(log.dropped(), 0u);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(RequestLog, AReaderThatIsGoneIsNotTheEnd) {
  Pipe pipe;
  pipe.close_reader();
  RequestLog log(LogFormat::kText, pipe.writer());
  log.write(some_record());
  while (log.dropped() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(log.dropped(), 1u);
}

}  // namespace
}  // namespace ridgeline
