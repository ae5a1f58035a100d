#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "ridgeline/server/http/error_response.h"
#include "ridgeline/server/http/http_message.h"

namespace ridgeline {

struct RequestLimits {
  std::size_t max_header_bytes = std::size_t{16} << 10;
  std::size_t max_body_bytes = std::size_t{16} << 20;
};

/// Bytes of a connection in, requests out. Stricter than the RFCs demand wherever two
/// readers of the same bytes could disagree about where a request ends: no Content-Length
/// beside Transfer-Encoding, none twice, no coding but chunked, no folded lines, no bare
/// line feeds, one Host.
class RequestReader {
 public:
  enum class State {
    kIdle,      ///< no byte of the next request
    kHeader,    ///< in the request line or the headers
    kBody,      ///< the headers are complete, the body is not
    kComplete,  ///< take() the request
    kFailed,    ///< see error(); nothing more can be read from this connection
  };

  explicit RequestReader(RequestLimits limits);
  ~RequestReader();

  void append(std::string_view bytes);
  /// Goes as far as the bytes reach, but not past a complete request.
  State parse();
  State state() const { return state_; }

  /// Of kComplete: the request, without id and peer. The reader is at the next one.
  HttpRequest take();
  /// Of kFailed.
  const ApiError& error() const { return error_; }

  // Known once the headers are; they hold until the next request's first byte.
  bool http_1_0() const { return http_1_0_; }
  bool keep_alive() const { return keep_alive_; }
  /// The body is held back until the client sees 100 Continue. True once.
  bool take_expectation();
  /// What is known of the request so far, also of one that failed.
  const HttpRequest& partial() const { return request_; }

  /// Not parsed yet.
  std::size_t buffered_bytes() const { return input_.size() - begin_; }
  /// In memory for this reader.
  std::size_t held_bytes() const { return input_.size() + request_.body.size(); }

 private:
  class Parser;
  friend class Parser;

  void start();
  bool scan_headers();
  void put();
  void read_target(std::string_view target);
  void read_field(std::string_view name, std::string_view value);
  void check_headers();
  void fail_with(int status, std::string message);
  void discard_parsed();

  const RequestLimits limits_;
  std::string input_;
  std::size_t begin_ = 0;
  State state_ = State::kIdle;
  std::unique_ptr<Parser> parser_;  // of the request that is being read
  HttpRequest request_;
  ApiError error_;
  std::size_t leading_line_ends_ = 0;
  std::size_t scanned_ = 0;  // of the headers, from begin_
  std::size_t line_ = 0;     // where the line begins in which scanned_ is
  int hosts_ = 0;
  bool chunked_ = false;
  bool has_length_ = false;
  bool http_1_0_ = false;
  bool keep_alive_ = true;
  bool expects_continue_ = false;
};

}  // namespace ridgeline
