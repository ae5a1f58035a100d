#include "ridgeline/engine/stop_strings.h"

#include <algorithm>
#include <utility>

#include "ridgeline/base/check.h"

namespace ridgeline {

StopStrings::StopStrings(std::vector<std::string> stops) {
  matchers_.reserve(stops.size());
  for (std::string& stop : stops) {
    RIDGELINE_CHECK(!stop.empty());
    Matcher matcher;
    matcher.pattern = std::move(stop);
    const std::string& pattern = matcher.pattern;
    matcher.borders.assign(pattern.size() + 1, 0);
    for (std::size_t length = 2; length <= pattern.size(); ++length) {
      std::size_t border = matcher.borders[length - 1];
      while (border > 0 && pattern[border] != pattern[length - 1]) border = matcher.borders[border];
      if (pattern[border] == pattern[length - 1]) ++border;
      matcher.borders[length] = border;
    }
    matchers_.push_back(std::move(matcher));
  }
}

void StopStrings::Matcher::advance(char byte) {
  while (matched > 0 && pattern[matched] != byte) matched = borders[matched];
  if (pattern[matched] == byte) ++matched;
}

StopStrings::Output StopStrings::push(std::string_view text) {
  if (stopped_) return {.emit = {}, .stopped = true, .stop = {}};
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string_view stop;
    for (Matcher& matcher : matchers_) {
      matcher.advance(text[i]);
      if (matcher.is_complete() && matcher.pattern.size() > stop.size()) stop = matcher.pattern;
    }
    if (stop.empty()) continue;
    // held_ + text[0, i] ends with the stop string, which may begin in held_.
    stopped_ = true;
    Output output{.emit = std::exchange(held_, {}), .stopped = true, .stop = std::string(stop)};
    output.emit.append(text.substr(0, i + 1));
    output.emit.resize(output.emit.size() - stop.size());
    return output;
  }
  std::size_t held = 0;
  for (const Matcher& matcher : matchers_) held = std::max(held, matcher.matched);
  Output output{.emit = std::exchange(held_, {}), .stopped = false, .stop = {}};
  output.emit.append(text);
  held_ = output.emit.substr(output.emit.size() - held);
  output.emit.resize(output.emit.size() - held);
  return output;
}

std::string StopStrings::finish() {
  stopped_ = true;
  return std::exchange(held_, {});
}

}  // namespace ridgeline
