#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace ridgeline::load {

/// Server-sent events out of bytes as they come, cut anywhere (WHATWG HTML, 9.2.6). A line
/// that lies whole in one piece is not copied.
class SseParser {
 public:
  /// `kind` is the event's name, "" if it has none. llama.cpp's field "error:" is an event
  /// of that name.
  using Handler = std::function<void(std::string_view kind, std::string_view data)>;
  explicit SseParser(Handler handler) : handler_(std::move(handler)) {}

  /// False once an event is longer than any server's should be; what follows is ignored.
  bool push(std::string_view bytes);

 private:
  void take_line(std::string_view line);

  Handler handler_;
  std::string line_;  ///< begun, and not yet ended
  std::string kind_, data_;
  bool has_data_ = false;
  bool skip_line_feed_ = false;  ///< its carriage return has ended the line
  bool too_long_ = false;
};

}  // namespace ridgeline::load
