#include "ridgeline/text/jinja/text_search.h"

#include <string.h>  // memmem

#include <algorithm>

namespace ridgeline::jinja {

std::size_t find_text(std::string_view text, std::string_view part) {
  if (part.empty()) return 0;
  const void* found = memmem(text.data(), text.size(), part.data(), part.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

void step_over_search_from_right(Runtime& runtime, std::string_view text, std::string_view part) {
  runtime.step(text.size() / 64 * std::max<std::size_t>(part.size(), 1) + 1);
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       std::int64_t most, bool from_right) {
  std::vector<std::string_view> pieces;
  for (; most != 0; --most) {
    const std::size_t at = from_right ? text.rfind(separator) : find_text(text, separator);
    if (at == text.npos) break;
    const std::string_view before = text.substr(0, at), after = text.substr(at + separator.size());
    pieces.push_back(from_right ? after : before);
    text = from_right ? before : after;
  }
  pieces.push_back(text);
  if (from_right) std::ranges::reverse(pieces);
  return pieces;
}

std::vector<std::string_view> split_at_spaces(std::string_view text, std::int64_t most,
                                              bool from_right) {
  std::vector<std::string_view> words;
  for (std::string_view rest = strip_spaces(text, Ends::kLeft); !rest.empty();) {
    std::size_t end = 0;
    while (end < rest.size() && !is_space(first_code_point(rest.substr(end))))
      end += first_length(rest.substr(end));
    words.push_back(rest.substr(0, end));
    rest = strip_spaces(rest.substr(end), Ends::kLeft);
  }
  if (most < 0 || words.size() <= static_cast<std::size_t>(most)) return words;
  // What is not cut any more keeps its spaces at the far end.
  const auto cuts = static_cast<std::size_t>(most);
  if (from_right) {
    const std::string_view last = words[words.size() - cuts - 1];
    const char* end = last.data() + last.size();
    words.erase(words.begin(), words.end() - static_cast<std::ptrdiff_t>(cuts));
    words.insert(words.begin(),
                 std::string_view(text.data(), static_cast<std::size_t>(end - text.data())));
  } else {
    const char* start = words[cuts].data();
    words.resize(cuts);
    words.push_back(text.substr(static_cast<std::size_t>(start - text.data())));
  }
  return words;
}

Value replaced(Runtime& runtime, std::string_view text, std::string_view from, std::string_view to,
               std::int64_t most, bool markup) {
  TextBuilder out(runtime);
  runtime.step_over(text.size());
  if (from.empty()) {  // before every character, and at the end
    std::int64_t done = 0;
    for (const std::string_view piece : split_code_points(text)) {
      if (most < 0 || done++ < most) out.append(to);
      out.append(piece);
    }
    if (most < 0 || done < most) out.append(to);
    return out.to_value(markup);
  }
  for (; most != 0; --most) {
    const std::size_t at = find_text(text, from);
    if (at == text.npos) break;
    out.append(text.substr(0, at));
    out.append(to);
    text.remove_prefix(at + from.size());
  }
  out.append(text);
  return out.to_value(markup);
}

Value justified(Runtime& runtime, const Value& value, std::int64_t width, std::string_view fill,
                Ends ends) {
  const StringObject& string = value.string();
  const std::int64_t missing = width - static_cast<std::int64_t>(string.length);
  if (missing <= 0) return value;
  std::int64_t left = ends == Ends::kLeft ? missing : 0;
  // CPython's str.center gives the odd one to the left if the width is odd.
  if (ends == Ends::kBoth) left = missing / 2 + (missing & width & 1);
  TextBuilder out(runtime);
  out.append_repeated(static_cast<std::size_t>(left), fill);
  out.append(string.text);
  out.append_repeated(static_cast<std::size_t>(missing - left), fill);
  return out.to_value(string.markup);
}

}  // namespace ridgeline::jinja
