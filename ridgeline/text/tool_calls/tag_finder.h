#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace ridgeline {

/// Looks for a tag in text that arrives byte by byte, and holds back what may be its beginning,
/// white space before it included: that belongs to neither side of a call.
class TagFinder {
 public:
  explicit TagFinder(std::string_view tag) : tag_(tag) {}

  /// True: the tag is complete; held() is it, and the white space before it.
  bool push(char c, std::string& certain);
  const std::string& held() const { return held_; }
  std::string take_held() {
    matched_ = 0;
    return std::exchange(held_, {});
  }

 private:
  std::string_view tag_;
  std::string held_;  ///< white space, then `matched_` bytes of the tag
  std::size_t matched_ = 0;
};

}  // namespace ridgeline
