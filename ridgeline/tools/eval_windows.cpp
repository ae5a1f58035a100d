#include "ridgeline/tools/eval_windows.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace ridgeline {

Result<std::vector<EvalWindow>> text_windows(const Tokenizer& tokenizer, std::string_view text,
                                             std::int64_t context) {
  const std::vector<TokenId> tokens = tokenizer.encode(text);
  if (static_cast<std::int64_t>(tokens.size()) < context || context < 4)
    return fail(
        fmt::format("the text has {} tokens, expected at least one window of {} (--context)",
                    tokens.size(), context));
  std::vector<EvalWindow> windows;
  for (std::int64_t begin = 0; begin + context <= static_cast<std::int64_t>(tokens.size());
       begin += context) {
    EvalWindow window;
    window.tokens.assign(tokens.begin() + begin, tokens.begin() + begin + context);
    if (tokenizer.adds_bos() && tokenizer.data().bos) window.tokens.front() = *tokenizer.data().bos;
    window.score_from = static_cast<std::size_t>(context / 2 + 1);
    windows.push_back(std::move(window));
  }
  return windows;
}

Result<std::vector<EvalWindow>> token_windows(std::string_view lines, const std::string& name,
                                              int vocab_size, std::int64_t context) {
  std::vector<EvalWindow> windows;
  std::size_t line_number = 0;
  while (!lines.empty()) {
    ++line_number;
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(lines.size(), end + 1));

    std::vector<std::int64_t> numbers;
    for (const char* p = line.data(); p != line.data() + line.size();) {
      if (*p == ' ' || *p == '\t' || *p == '\r') {
        ++p;
        continue;
      }
      std::int64_t value = 0;
      const auto [next, error] = std::from_chars(p, line.data() + line.size(), value);
      if (error != std::errc{})
        return fail(fmt::format("{}:{}: '{}' is not a number", name, line_number,
                                std::string_view(p, line.data() + line.size()).substr(0, 20)));
      numbers.push_back(value);
      p = next;
    }
    if (numbers.empty()) continue;
    if (numbers.front() != static_cast<std::int64_t>(numbers.size()) - 1 || numbers.size() < 3)
      return fail(fmt::format("{}:{}: the count is {}, but {} ids follow (at least 2 are needed)",
                              name, line_number, numbers.front(), numbers.size() - 1));
    EvalWindow window;
    for (std::size_t i = 1; i < numbers.size(); ++i) {
      if (numbers[i] < 0 || numbers[i] >= vocab_size)
        return fail(fmt::format("{}:{}: token id {}, expected 0 to {}", name, line_number,
                                numbers[i], vocab_size - 1));
      window.tokens.push_back(static_cast<TokenId>(numbers[i]));
    }
    window.tokens.resize(std::min(window.tokens.size(), static_cast<std::size_t>(context)));
    windows.push_back(std::move(window));
  }
  if (windows.empty()) return fail(fmt::format("{}: no sequences in it", name));
  return windows;
}

}  // namespace ridgeline
