#include "ridgeline/text/tool_calls/tag_finder.h"

#include "ridgeline/text/tool_calls/json_call.h"

namespace ridgeline {

bool TagFinder::push(char c, std::string& certain) {
  if (c == tag_[matched_]) {
    held_ += c;
    return ++matched_ == tag_.size();
  }
  // No tag has its first byte anywhere else in it, so a mismatch leaves nothing matched.
  if (matched_ > 0) {
    certain += take_held();
    if (c == tag_[0]) return push(c, certain);
  }
  if (is_json_space(c)) {
    held_ += c;
  } else {
    certain += take_held();
    certain += c;
  }
  return false;
}

}  // namespace ridgeline
