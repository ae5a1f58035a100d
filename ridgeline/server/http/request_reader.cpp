#include "ridgeline/server/http/request_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <cstdint>
#include <utility>

#include "ridgeline/base/check.h"

namespace ridgeline {
namespace {

namespace http = boost::beast::http;
using ErrorCode = boost::beast::error_code;
using boost::beast::string_view;

std::string_view view(string_view text) { return {text.data(), text.size()}; }

bool is_hex_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// Memory is not set aside on the word of a header alone.
constexpr std::uint64_t kReservedBodyBytesMax = std::uint64_t{1} << 20;
/// Line ends that some clients send after a body (RFC 9112, 2.2).
constexpr std::size_t kLeadingLineEndBytesMax = 4;
constexpr std::size_t kKeptBufferBytes = 4096;

/// `rest` begins with all of the line of a chunk's size, which is not the last chunk's:
/// then there is nothing to wait for, but Beast looks for the end of a quoted string behind it.
bool is_whole_chunk_line(std::string_view rest) {
  if (rest.starts_with("\r\n")) rest.remove_prefix(2);  // of the chunk before
  const std::string_view line = rest.substr(0, rest.find("\r\n"));
  const std::size_t digit = std::min(line.find_first_not_of('0'), line.size());
  const bool last_chunk = digit > 0 && (digit == line.size() || !is_hex_digit(line[digit]));
  return line.size() < rest.size() && !last_chunk;
}

}  // namespace

/// Beast's parser, whose events fill the reader's request.
class RequestReader::Parser final : public http::basic_parser<true> {
 public:
  explicit Parser(RequestReader& reader) : reader_(reader) {
    eager(false);
    header_limit(static_cast<std::uint32_t>(
        std::min<std::size_t>(reader.limits_.max_header_bytes + 1, UINT32_MAX)));
    body_limit(reader.limits_.max_body_bytes);
  }

 private:
  void on_request_impl(http::verb, string_view method, string_view target, int version,
                       ErrorCode& error) override {
    reader_.request_.method = view(method);
    reader_.http_1_0_ = version == 10;
    reader_.read_target(view(target));
    check(error);
  }

  void on_response_impl(int, string_view, int, ErrorCode&) override {}

  void on_field_impl(http::field, string_view name, string_view value, ErrorCode& error) override {
    if (is_header_done()) return;  // a trailer
    reader_.read_field(view(name), view(value));
    check(error);
  }

  void on_header_impl(ErrorCode& error) override {
    reader_.check_headers();
    check(error);
  }

  void on_body_init_impl(const boost::optional<std::uint64_t>& length, ErrorCode&) override {
    if (length) {
      reader_.request_.body.reserve(
          static_cast<std::size_t>(std::min(*length, kReservedBodyBytesMax)));
    }
  }

  std::size_t on_body_impl(string_view body, ErrorCode&) override {
    reader_.request_.body += view(body);
    return body.size();
  }

  void on_chunk_header_impl(std::uint64_t, string_view, ErrorCode&) override {}

  std::size_t on_chunk_body_impl(std::uint64_t, string_view body, ErrorCode&) override {
    reader_.request_.body += view(body);
    return body.size();
  }

  void on_finish_impl(ErrorCode&) override {}

  void check(ErrorCode& error) const {
    if (reader_.state_ == State::kFailed) error = http::error::bad_value;
  }

  RequestReader& reader_;
};

RequestReader::RequestReader(RequestLimits limits) : limits_(limits) {}
RequestReader::~RequestReader() = default;

void RequestReader::append(std::string_view bytes) {
  if (state_ != State::kFailed) input_ += bytes;
}

RequestReader::State RequestReader::parse() {
  if (state_ == State::kIdle) start();
  if (state_ == State::kHeader || state_ == State::kBody) put();
  return state_;
}

void RequestReader::start() {
  while (begin_ < input_.size() && leading_line_ends_ < kLeadingLineEndBytesMax &&
         (input_[begin_] == '\r' || input_[begin_] == '\n')) {
    ++begin_;
    ++leading_line_ends_;
  }
  if (begin_ == input_.size()) {
    discard_parsed();
    return;
  }
  request_ = {};
  scanned_ = line_ = leading_line_ends_ = 0;
  hosts_ = 0;
  chunked_ = has_length_ = http_1_0_ = expects_continue_ = false;
  keep_alive_ = true;
  parser_ = std::make_unique<Parser>(*this);
  state_ = State::kHeader;
}

/// Beast gets the headers in one piece, so that what it makes of bytes does not depend on how
/// they arrive; what can be refused at once is. True when they are complete.
bool RequestReader::scan_headers() {
  for (; begin_ + scanned_ < input_.size(); ++scanned_) {
    if (scanned_ == limits_.max_header_bytes) {
      fail_with(431, fmt::format("The request line and headers take more than {} bytes",
                                 limits_.max_header_bytes));
      return false;
    }
    const char c = input_[begin_ + scanned_];
    const char before = scanned_ > 0 ? input_[begin_ + scanned_ - 1] : '\0';
    const bool control = (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == '\x7F';
    if (before == '\r' ? c != '\n' : control && c != '\r') {
      fail_with(400, "A control character in the request line or the headers");
      return false;
    }
    if (before == '\n' && (c == ' ' || c == '\t')) {
      fail_with(400, "A header is folded over lines");
      return false;
    }
    if (c == '\n') {
      if (scanned_ == line_ + 1) {
        ++scanned_;
        return true;
      }
      line_ = scanned_ + 1;
    }
  }
  return false;
}

void RequestReader::put() {
  if (state_ == State::kHeader && !scan_headers()) return;
  while (begin_ < input_.size()) {
    // No more than the line of a chunk's size, or the trailers, may take.
    const std::size_t offered = state_ == State::kHeader
                                    ? scanned_
                                    : std::min(input_.size() - begin_, limits_.max_header_bytes);
    ErrorCode error;
    const std::size_t used =
        parser_->put(boost::asio::const_buffer(input_.data() + begin_, offered), error);
    begin_ += used;
    if (error == http::error::need_more) {
      if (state_ == State::kHeader) {
        return fail_with(400, "Malformed HTTP request: a line is too short");
      }
      if (is_whole_chunk_line(std::string_view(input_).substr(begin_, offered - used))) {
        return fail_with(400, "Malformed HTTP request: a chunk's extension goes over its line");
      }
      if (offered - used >= limits_.max_header_bytes) {
        return fail_with(431, fmt::format("The line of a chunk's size, or the trailers, take more "
                                          "than {} bytes",
                                          limits_.max_header_bytes));
      }
      break;
    }
    if (state_ == State::kFailed) return;
    if (error == http::error::body_limit) {
      return fail_with(413,
                       fmt::format("The body takes more than {} bytes", limits_.max_body_bytes));
    }
    if (error == http::error::bad_version) {
      const std::string_view line =
          std::string_view(input_).substr(begin_, input_.find('\r', begin_) - begin_);
      const bool names_version = line.find(" HTTP/") != std::string_view::npos;
      return fail_with(names_version ? 505 : 400,
                       "The request line does not end in HTTP/1.0 or HTTP/1.1");
    }
    if (error) return fail_with(400, fmt::format("Malformed HTTP request: {}", error.message()));
    RIDGELINE_CHECK(used > 0);
    if (parser_->is_header_done()) state_ = State::kBody;
    if (parser_->is_done()) {
      parser_.reset();
      state_ = State::kComplete;
      return;
    }
  }
  discard_parsed();
}

void RequestReader::read_target(std::string_view target) {
  if (!target.starts_with('/') && target != "*") {
    // The absolute form, as sent to proxies (RFC 9112, 3.2.2).
    const std::size_t scheme = target.find("://");
    if (scheme == std::string_view::npos) {
      return fail_with(400, "The request's target is neither a path nor a URL");
    }
    target.remove_prefix(scheme + 3);
    const std::size_t path = target.find_first_of("/?");
    target.remove_prefix(std::min(path, target.size()));
  }
  const std::size_t query = target.find('?');
  request_.path = target.substr(0, query);
  if (request_.path.empty()) request_.path += '/';
  if (query != std::string_view::npos) request_.query = target.substr(query + 1);
}

void RequestReader::read_field(std::string_view name, std::string_view value) {
  if (equal_ignoring_case(name, "Content-Length")) {
    const bool digits =
        std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (has_length_ || value.empty() || !digits) {
      return fail_with(400, "Content-Length is not one number");
    }
    has_length_ = true;
  } else if (equal_ignoring_case(name, "Transfer-Encoding")) {
    if (chunked_ || http_1_0_) {
      return fail_with(400, http_1_0_ ? "HTTP/1.0 has no Transfer-Encoding"
                                      : "Transfer-Encoding is given twice");
    }
    if (!equal_ignoring_case(value, "chunked")) {
      return fail_with(501, "Of transfer encodings only chunked is supported");
    }
    chunked_ = true;
  } else if (equal_ignoring_case(name, "Host")) {
    ++hosts_;
  } else if (equal_ignoring_case(name, "Expect")) {
    if (!equal_ignoring_case(value, "100-continue")) {
      return fail_with(417, "Of expectations only 100-continue can be met");
    }
    expects_continue_ = !http_1_0_;
  }
  if (has_length_ && chunked_) {
    return fail_with(400, "Content-Length and Transfer-Encoding exclude each other");
  }
  request_.headers.emplace_back(name, value);
}

void RequestReader::check_headers() {
  keep_alive_ = parser_->keep_alive();
  if (hosts_ > 1 || (hosts_ == 0 && !http_1_0_)) {
    fail_with(400, fmt::format("A request has one Host header, not {}", hosts_));
  }
}

bool RequestReader::take_expectation() {
  if (state_ != State::kBody || !request_.body.empty()) return false;
  return std::exchange(expects_continue_, false);
}

HttpRequest RequestReader::take() {
  state_ = State::kIdle;
  discard_parsed();
  return std::exchange(request_, {});
}

void RequestReader::fail_with(int status, std::string message) {
  if (state_ == State::kFailed) return;
  state_ = State::kFailed;
  keep_alive_ = false;
  error_ = {.status = status, .message = std::move(message)};
  request_.body = {};
}

void RequestReader::discard_parsed() {
  if (begin_ == input_.size()) {
    input_.clear();
    begin_ = 0;
    if (input_.capacity() > kKeptBufferBytes) input_ = {};
  } else if (begin_ >= input_.size() / 2) {
    input_.erase(0, begin_);
    begin_ = 0;
  }
}

}  // namespace ridgeline
