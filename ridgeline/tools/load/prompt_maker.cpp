#include "ridgeline/tools/load/prompt_maker.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdlib>

namespace ridgeline::load {
namespace {

/// Common ones: most are a token in most vocabularies.
constexpr auto kWords = std::to_array<std::string_view>(
    {"time",    "year",     "people", "way",     "day",     "man",      "thing",    "woman",
     "life",    "child",    "world",  "school",  "state",   "family",   "group",    "country",
     "problem", "hand",     "part",   "place",   "case",    "week",     "company",  "system",
     "program", "question", "work",   "number",  "night",   "point",    "home",     "water",
     "room",    "mother",   "area",   "money",   "story",   "fact",     "month",    "lot",
     "right",   "study",    "book",   "eye",     "job",     "word",     "business", "issue",
     "side",    "kind",     "head",   "house",   "service", "friend",   "father",   "power",
     "hour",    "game",     "line",   "end",     "member",  "law",      "car",      "city",
     "name",    "team",     "minute", "idea",    "body",    "back",     "parent",   "face",
     "level",   "office",   "door",   "health",  "person",  "art",      "war",      "history",
     "party",   "result",   "change", "morning", "reason",  "research", "girl",     "moment",
     "air",     "teacher",  "force",  "food",    "have",    "say",      "make",     "know",
     "think",   "take",     "see",    "come",    "want",    "look",     "use",      "find",
     "give",    "tell",     "ask",    "seem",    "feel",    "try",      "leave",    "call",
     "good",    "new",      "first",  "last",    "long",    "great",    "little",   "own",
     "other",   "old",      "big",    "high",    "small",   "large",    "next",     "early",
     "young",   "few",      "public", "same",    "able",    "and",      "but",      "with",
     "from",    "about",    "into",   "over",    "after",   "under",    "between",  "because"});

/// Close enough is good enough where a word is several tokens, and they depend on neighbours.
constexpr int kTriesMax = 8;

}  // namespace

PromptMaker::PromptMaker(TokenCounter& counter, std::string_view text) : counter_(counter) {
  constexpr std::string_view kSpace = " \t\r\n";
  while (true) {
    const std::size_t begin = text.find_first_not_of(kSpace);
    if (begin == text.npos) break;
    text.remove_prefix(begin);
    const std::size_t end = text.find_first_of(kSpace);
    text_.emplace_back(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end);
  }
}

std::string PromptMaker::words(std::size_t count, SeededRandom random) const {
  std::string prompt;
  std::size_t at = text_.empty() ? 0 : random.below(text_.size());
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) prompt += ' ';
    if (text_.empty())
      prompt += kWords[random.below(kWords.size())];
    else
      prompt += text_[at++ % text_.size()];
  }
  return prompt;
}

Result<MadePrompt> PromptMaker::make(std::int64_t tokens, SeededRandom random) {
  MadePrompt best;
  std::int64_t best_distance = tokens;
  auto count =
      static_cast<std::int64_t>(std::llround(static_cast<double>(tokens) / tokens_per_word_));
  for (int i = 0; i < kTriesMax && best_distance > 0; ++i) {
    count = std::max<std::int64_t>(count, 1);
    std::string prompt = words(static_cast<std::size_t>(count), random);
    RIDGELINE_TRY(const std::int64_t found, counter_.count(prompt));
    const std::int64_t missing = tokens - found;
    if (best.text.empty() || std::abs(missing) < best_distance) {
      best = {std::move(prompt), found};
      best_distance = std::abs(missing);
    } else if (i > 2) {
      break;  // to and fro between two neighbours
    }
    tokens_per_word_ = std::max(1.0, static_cast<double>(found)) / static_cast<double>(count);
    const auto step = std::llround(static_cast<double>(missing) / tokens_per_word_);
    count += step != 0 ? step : (missing > 0) - (missing < 0);
  }
  return best;
}

}  // namespace ridgeline::load
