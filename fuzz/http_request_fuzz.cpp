#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/server/http/request_reader.h"

// The bytes of a connection: however they are cut, they mean the same requests, or the same
// error, and what the header promises about an accepted request holds.
namespace {

using ridgeline::HttpRequest;
using ridgeline::RequestReader;
using State = RequestReader::State;

constexpr ridgeline::RequestLimits kLimits{.max_header_bytes = 512, .max_body_bytes = 1024};

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

void check(const HttpRequest& request) {
  require(request.body.size() <= kLimits.max_body_bytes, "a body within its limit");
  require(!request.path.empty(), "a path");
  std::size_t lengths = 0;
  std::size_t encodings = 0;
  std::size_t bytes = 0;
  for (const auto& [name, value] : request.headers) {
    const auto is_control = [](char c) {
      return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == '\x7F';
    };
    require(!name.empty() && std::none_of(name.begin(), name.end(), is_control) &&
                std::none_of(value.begin(), value.end(), is_control),
            "no control characters in headers");
    lengths += ridgeline::equal_ignoring_case(name, "Content-Length") ? 1 : 0;
    encodings += ridgeline::equal_ignoring_case(name, "Transfer-Encoding") ? 1 : 0;
    bytes += name.size() + value.size();
  }
  require(bytes <= kLimits.max_header_bytes, "headers within their limit");
  require(lengths + encodings <= 1, "one way to tell a body's end");
  if (lengths == 1) {
    require(std::to_string(request.body.size()).size() <= request.header("Content-Length").size() &&
                std::strtoull(std::string(request.header("Content-Length")).c_str(), nullptr, 10) ==
                    request.body.size(),
            "the body has its length");
  }
}

std::string read_all(std::string_view bytes, std::size_t step) {
  RequestReader reader(kLimits);
  std::string result;
  for (;;) {
    const State state = reader.parse();
    if (state == State::kComplete) {
      const HttpRequest request = reader.take();
      check(request);
      result += request.method + '\1' + request.path + '\1' + request.query + '\1' + request.body;
      for (const auto& [name, value] : request.headers) result += '\2' + name + '\3' + value;
      continue;
    }
    if (state == State::kFailed) {
      const int status = reader.error().status;
      require(status >= 400 && status < 600 && !reader.error().message.empty(), "an error's form");
      return result + '\4' + std::to_string(status);
    }
    if (bytes.empty()) return result + (state == State::kIdle ? '\5' : '\6');
    reader.append(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view input(reinterpret_cast<const char*>(bytes + 1), size - 1);
  const std::string whole = read_all(input, input.size() + 1);
  require(whole == read_all(input, 1 + bytes[0] % 32u), "pieces mean what the whole means");
  return 0;
}
