#include "ridgeline/tools/load/sse_parser.h"

namespace ridgeline::load {
namespace {

/// Text, log-probabilities and all of one event.
constexpr std::size_t kEventBytesMax = 16 << 20;

}  // namespace

bool SseParser::push(std::string_view bytes) {
  while (!bytes.empty() && !too_long_) {
    if (skip_line_feed_ && bytes.front() == '\n') bytes.remove_prefix(1);
    skip_line_feed_ = false;
    const std::size_t end = bytes.find_first_of("\r\n");
    if (line_.size() + data_.size() + bytes.size() > kEventBytesMax) too_long_ = true;
    if (end == bytes.npos) {
      line_ += bytes;
      break;
    }
    skip_line_feed_ = bytes[end] == '\r';
    if (line_.empty()) {
      take_line(bytes.substr(0, end));
    } else {
      line_ += bytes.substr(0, end);
      take_line(line_);
      line_.clear();
    }
    bytes.remove_prefix(end + 1);
  }
  return !too_long_;
}

void SseParser::take_line(std::string_view line) {
  if (line.empty()) {
    if (has_data_) handler_(kind_, data_);
    kind_.clear();
    data_.clear();
    has_data_ = false;
    return;
  }
  const std::size_t colon = line.find(':');
  if (colon == 0) return;  // a comment, that keeps the connection alive
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == line.npos ? "" : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") {
    kind_ = value;
  } else if (field == "data" || field == "error") {
    if (field == "error") kind_ = field;
    if (has_data_) data_ += '\n';
    data_ += value;
    has_data_ = true;
  }
}

}  // namespace ridgeline::load
