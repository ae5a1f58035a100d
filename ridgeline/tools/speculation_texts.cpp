#include "ridgeline/tools/speculation_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "ridgeline/base/check.h"
#include "ridgeline/tools/load/text_file.h"

namespace ridgeline {
namespace {

using Json = nlohmann::json;

/// n-grams that misleading_tokens() looks at.
constexpr std::size_t kLongest = 8;

constexpr std::string_view kPassage =
    "The lighthouse at the end of the bay was built in the winter of 1861, when the harbour still "
    "lived on herring. Its keeper was paid in coal and flour, and had to write down the weather "
    "three times a day. The first keeper, a man called Anders Holm, wrote a good deal more than "
    "that.\n"
    "He noted which boats went out and which of them came back. He noted the price of rope, the "
    "names of the children at the school, and the day on which the ice broke. When the wind stood "
    "in the north for a week he wrote that the sea sounded like a cart on a wooden bridge.\n"
    "In the spring of 1874 a storm took the roof of the oil store. Holm carried the oil up the "
    "tower himself, forty cans of it, and did not let the light go out. The harbour office sent "
    "him a letter of thanks, and deducted the price of two cans that had been spilled.\n"
    "The keeper wrote a long answer to the harbour office. He listed the forty cans by number, "
    "said which of them had leaked, and asked who would have carried them if he had not. No reply "
    "to it was ever found, but from that year on the price of oil is missing from his books.\n"
    "After Holm came his daughter, Signe, who kept the light for thirty years. Her books are "
    "shorter, and they are full of drawings: gulls, knots, the shapes of clouds, the lamp taken "
    "apart and put together again. She was the first to write down how long the lamp burned on a "
    "litre of oil, and the first to make it burn longer.\n"
    "She ground the edges of the wicks, cleaned the lens with spirit in place of soap, and moved "
    "the lamp by the width of a finger. Ships reported that the light could be seen two miles "
    "further out. The harbour office sent an inspector, who measured everything and changed "
    "nothing.\n"
    "The light was made electric in 1926, and the last keeper left in 1958. The books went to the "
    "town's library, where they were put on a shelf behind the atlases and forgotten. A student "
    "who looked for the price of herring found them in 1983, and read them all in one summer.\n"
    "What she found was a record of the weather of ninety-seven years, three times a day, with "
    "four days missing. On each of the four days somebody had been born. The books are in the "
    "museum now, open at the page with the forty cans, and the lens stands beside them.\n";

/// Pieces with what separates them: all of them together are the text.
std::vector<std::string> split(std::string_view text, std::string_view ends) {
  std::vector<std::string> pieces;
  while (!text.empty()) {
    std::size_t end = text.find_first_of(ends);
    end = end == text.npos ? text.size() : end + 1;
    while (end < text.size() && (text[end] == ' ' || text[end] == '\n')) ++end;
    pieces.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return pieces;
}

bool in_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) != 0; }

/// Where words of three letters or more are: begin and length.
std::vector<std::pair<std::size_t, std::size_t>> words_of(std::string_view text) {
  std::vector<std::pair<std::size_t, std::size_t>> words;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && in_word(text[end])) ++end;
    if (end - i >= 3) words.emplace_back(i, end - i);
    i = std::max(end, i + 1);
  }
  return words;
}

Result<PromptLine> parse_prompt_line(const Json& json) {
  PromptLine line{.category = "prompts", .text = {}};
  if (!json.is_object()) return fail("expected a JSON object");
  if (json.contains("category")) {
    if (!json["category"].is_string()) return fail("'category': expected a text");
    line.category = json["category"];
  }
  if (json.contains("turns")) {
    const Json& turns = json["turns"];
    if (!turns.is_array() || turns.empty() || !turns[0].is_string())
      return fail("'turns': expected an array of texts");
    line.text = turns[0];
  } else if (json.contains("prompt") && json["prompt"].is_string()) {
    line.text = json["prompt"];
  } else {
    return fail("expected 'turns', an array of texts, or 'prompt', a text");
  }
  if (line.text.empty()) return fail("the prompt is empty");
  return line;
}

/// Text that grows, and what followed each n-gram the last time.
class MisleadingText {
 public:
  MisleadingText(std::span<const TokenId> alphabet, unsigned seed)
      : alphabet_(alphabet), random_(seed) {
    RIDGELINE_CHECK(alphabet.size() > kLongest);
  }

  void append(TokenId token) {
    for (std::size_t n = 1; n <= std::min(kLongest, tokens_.size()); ++n)
      followed_[last(n)] = token;
    tokens_.push_back(token);
  }
  void append_other() {
    std::vector<TokenId> free(alphabet_.begin(), alphabet_.end());
    for (std::size_t n = 1; n <= std::min(kLongest, tokens_.size()); ++n)
      if (const auto found = followed_.find(last(n)); found != followed_.end())
        std::erase(free, found->second);
    append(free[random_() % free.size()]);
  }
  void append_quote(std::int64_t length) {
    const auto quoted = static_cast<std::size_t>(length);
    if (tokens_.size() < quoted) return;
    const std::size_t from = random_() % (tokens_.size() - quoted + 1);
    for (std::size_t i = 0; i < quoted; ++i) append(tokens_[from + i]);
  }
  const std::vector<TokenId>& tokens() const { return tokens_; }

 private:
  std::vector<TokenId> last(std::size_t n) const {
    return {tokens_.end() - static_cast<std::ptrdiff_t>(n), tokens_.end()};
  }

  std::span<const TokenId> alphabet_;
  std::mt19937 random_;
  std::vector<TokenId> tokens_;
  std::map<std::vector<TokenId>, TokenId> followed_;
};

}  // namespace

Result<std::vector<PromptLine>> read_prompt_lines(const std::string& path) {
  RIDGELINE_TRY(const std::string text, load::read_text_file(path));
  std::vector<PromptLine> lines;
  std::string_view rest = text;
  for (int number = 1; !rest.empty(); ++number) {
    const std::string_view line = load::next_line(rest);
    if (line.find_first_not_of(" \t") == line.npos) continue;
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_discarded())
      return fail(fmt::format("{}:{}: expected a JSON object in each line", path, number));
    Result<PromptLine> parsed = parse_prompt_line(json);
    if (!parsed) return fail(fmt::format("{}:{}: {}", path, number, parsed.error().message));
    lines.push_back(std::move(*parsed));
  }
  if (lines.empty()) return fail(fmt::format("{}: there is no prompt in it", path));
  return lines;
}

std::string_view sample_passage() { return kPassage; }

std::string edited(std::string_view text, int every) {
  constexpr std::size_t kLongLine = 400;
  std::vector<std::string> lines;
  for (const std::string& line : split(text, "\n")) {
    if (line.size() <= kLongLine)
      lines.push_back(line);
    else
      std::ranges::move(split(line, "."), std::back_inserter(lines));
  }
  std::vector<std::string> vocabulary;
  for (const auto& [begin, length] : words_of(text))
    vocabulary.emplace_back(text.substr(begin, length));
  std::mt19937 random(1);
  std::string result;
  int count = 0;
  for (std::string& line : lines) {
    const auto words = words_of(line);
    if (!words.empty() && count++ % every == 1 % every) {
      const auto [begin, length] = words[words.size() / 2];
      const std::string old = line.substr(begin, length);
      std::string other = old;
      // A text of one word has no other.
      for (int tries = 0; other == old && tries < 100; ++tries)
        other = vocabulary[random() % vocabulary.size()];
      line.replace(begin, length, other);
    }
    result += line;
  }
  return result;
}

std::string quoting_summary(std::string_view text) {
  constexpr std::array<std::string_view, 4> kBetween{
      "In short, the text says: \"", "It goes on: \"", "What matters here is this: \"",
      "Further on we read: \""};
  const std::vector<std::string> sentences = split(text, ".!?\n");
  std::string summary;
  std::size_t quotes = 0;
  for (std::size_t i = 0; i < sentences.size(); i += 3) {
    std::string sentence = sentences[i];
    while (!sentence.empty() && (sentence.back() == ' ' || sentence.back() == '\n'))
      sentence.pop_back();
    if (sentence.empty()) continue;
    summary += kBetween[quotes++ % kBetween.size()];
    summary += sentence + "\"\n";
  }
  return summary;
}

std::vector<TokenId> misleading_tokens(std::span<const TokenId> alphabet, std::int64_t count,
                                       unsigned seed) {
  MisleadingText text(alphabet, seed);
  for (std::int64_t i = 0; i < count; ++i) text.append_other();
  return text.tokens();
}

std::vector<TokenId> luring_tokens(std::span<const TokenId> alphabet, std::int64_t count,
                                   std::int64_t period, std::int64_t quoted, unsigned seed) {
  RIDGELINE_CHECK(quoted > 0 && period > quoted);
  MisleadingText text(alphabet, seed);
  for (std::int64_t i = 0; i < count; i += period) {
    for (std::int64_t j = quoted; j < period; ++j) text.append_other();
    text.append_quote(quoted);
  }
  std::vector<TokenId> tokens = text.tokens();
  tokens.resize(static_cast<std::size_t>(count));
  return tokens;
}

std::vector<TokenId> ordinary_tokens(const Tokenizer& tokenizer, std::size_t size) {
  std::vector<TokenId> tokens;
  // Rather from the middle on than from the front, where bytes and control tokens are.
  const int all = tokenizer.vocab_size();
  for (int i = 0; i < all && tokens.size() < size; ++i) {
    const TokenId id = (i + all / 2) % all;
    if (!tokenizer.piece(id).empty() && !tokenizer.is_end_of_generation(id)) tokens.push_back(id);
  }
  return tokens;
}

}  // namespace ridgeline
