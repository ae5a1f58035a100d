#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ridgeline {

/// Looks for stop strings in text that arrives in pieces, and holds back what may be the
/// beginning of one. The first stop string to be complete ends the text at its own first
/// byte; of several that end at the same byte, the longest. So the outcome depends on the
/// text and not on how it was cut into tokens.
///
/// Where the stop strings and the pieces are valid UTF-8, so is everything emitted.
class StopStrings {
 public:
  /// No string may be empty (validate() refuses them); there may be none at all.
  explicit StopStrings(std::vector<std::string> stops);

  struct Output {
    std::string emit;      ///< certain to lie before any stop string
    bool stopped = false;  ///< a stop string is complete; nothing follows
    std::string stop{};    ///< that one
  };
  /// Time is linear in the text times the number of stop strings.
  Output push(std::string_view text);

  /// The text has ended without a stop string: what was held back.
  std::string finish();

 private:
  // Knuth-Morris-Pratt: `matched` bytes of the pattern are the longest suffix of the text
  // that is a prefix of the pattern; borders[n] is the longest proper border of its first
  // n bytes, where matching goes on after a mismatch.
  struct Matcher {
    std::string pattern;
    std::vector<std::size_t> borders;
    std::size_t matched = 0;

    void advance(char byte);
    bool is_complete() const { return matched == pattern.size(); }
  };

  std::vector<Matcher> matchers_;
  std::string held_;  ///< as long as the longest `matched`
  bool stopped_ = false;
};

}  // namespace ridgeline
