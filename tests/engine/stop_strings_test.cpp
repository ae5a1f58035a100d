#include "ridgeline/engine/stop_strings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>

namespace ridgeline {
namespace {

struct Streamed {
  std::string text;
  bool stopped = false;
};

Streamed stream(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopStrings matcher(stops);
  Streamed result;
  for (const std::string& piece : pieces) {
    StopStrings::Output output = matcher.push(piece);
    result.text += output.emit;
    if (output.stopped) {
      result.stopped = true;
      return result;
    }
  }
  result.text += matcher.finish();
  return result;
}

// What the definition says, over the whole text: the earliest end, then the longest.
Streamed search(const std::vector<std::string>& stops, const std::string& text) {
  std::size_t end_best = std::string::npos, begin_best = 0;
  for (const std::string& stop : stops) {
    const std::size_t begin = text.find(stop);
    if (begin == std::string::npos) continue;
    const std::size_t end = begin + stop.size();
    if (end < end_best || (end == end_best && begin < begin_best)) {
      end_best = end;
      begin_best = begin;
    }
  }
  if (end_best == std::string::npos) return {text, false};
  return {text.substr(0, begin_best), true};
}

TEST(StopStrings, WithoutAnyTextPassesAtOnce) {
  StopStrings matcher({});
  const StopStrings::Output output = matcher.push("anything");
  EXPECT_EQ(output.emit, "anything");
  EXPECT_FALSE(output.stopped);
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopStrings, HoldsBackNoMoreThanAPossibleBeginning) {
  StopStrings matcher({"<|end|>"});
  EXPECT_EQ(matcher.push("one <").emit, "one ");
  EXPECT_EQ(matcher.push("|en").emit, "");
  EXPECT_EQ(matcher.push("ter> two").emit, "<|enter> two");
  EXPECT_EQ(matcher.push(" <|end|").emit, " ");
  const StopStrings::Output output = matcher.push("> never");
  EXPECT_EQ(output.emit, "");
  EXPECT_TRUE(output.stopped);
}

TEST(StopStrings, TruncatesAtTheBeginningOfTheMatch) {
  const Streamed result = stream({"\n\n"}, {"a\n", "b\n", "\nc"});
  EXPECT_EQ(result.text, "a\nb");
  EXPECT_TRUE(result.stopped);
}

TEST(StopStrings, FinishGivesWhatWasHeldBack) {
  const Streamed result = stream({"stop"}, {"do not st", "o"});
  EXPECT_EQ(result.text, "do not sto");
  EXPECT_FALSE(result.stopped);
}

TEST(StopStrings, AMismatchFallsBackToALaterBeginning) {
  EXPECT_EQ(stream({"aab"}, {"a", "a", "a", "b", "x"}).text, "a");
  EXPECT_EQ(stream({"abab!"}, {"ababab!"}).text, "ab");
}

TEST(StopStrings, TheFirstCompleteOneWins) {
  EXPECT_EQ(stream({"abcd", "bc"}, {"xabcd"}).text, "xa");
  // Both end at d: the longer one.
  EXPECT_EQ(stream({"cd", "abcd"}, {"xabcd"}).text, "x");
  EXPECT_EQ(stream({"abcd", "cd"}, {"xab", "cd"}).text, "x");
}

TEST(StopStrings, AfterTheStopNothingIsEmitted) {
  StopStrings matcher({"."});
  EXPECT_EQ(matcher.push("a.b").emit, "a");
  const StopStrings::Output output = matcher.push("c");
  EXPECT_EQ(output.emit, "");
  EXPECT_TRUE(output.stopped);
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopStrings, CharactersStayWhole) {
  // e-acute and e-grave share their first byte, and only whole characters are pushed.
  StopStrings matcher({"\xC3\xA9t\xC3\xA9"});
  EXPECT_EQ(matcher.push("\xC3\xA8").emit, "\xC3\xA8");
  EXPECT_EQ(matcher.push("\xC3\xA9").emit, "");
  EXPECT_EQ(matcher.push("t\xC3\xA8").emit, "\xC3\xA9t\xC3\xA8");
}

TEST(StopStrings, AgreesWithASearchOverTheWholeTextHoweverItIsCut) {
  std::mt19937 random(7);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  int stopped = 0, unstopped = 0;
  for (int round = 0; round < 20000; ++round) {
    const int letters = 1 + below(3);
    const auto word = [&](int length) {
      std::string result;
      for (int i = 0; i < length; ++i) result += static_cast<char>('a' + below(letters));
      return result;
    };
    std::vector<std::string> stops;
    for (int count = below(5); count > 0; --count) stops.push_back(word(1 + below(7)));
    const std::string text = word(below(40));
    std::vector<std::string> pieces;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t length = static_cast<std::size_t>(below(6));  // empty ones too
      pieces.push_back(text.substr(begin, length));
      begin += length;
    }
    const Streamed expected = search(stops, text);
    const Streamed actual = stream(stops, pieces);
    ASSERT_EQ(actual.text, expected.text) << "text " << text;
    ASSERT_EQ(actual.stopped, expected.stopped) << "text " << text;
    ++(actual.stopped ? stopped : unstopped);
  }
  EXPECT_GT(stopped, 2000);
  EXPECT_GT(unstopped, 2000);
}

// At every moment, what is held back is the longest suffix that begins a stop string.
TEST(StopStrings, HoldsBackExactlyTheLongestPossibleBeginning) {
  std::mt19937 random(11);
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops(2);
    for (std::string& stop : stops) {
      for (unsigned i = 0; i < 2 + random() % 5; ++i) stop += "ab"[random() % 2];
      stop += 'z';  // never complete
    }
    StopStrings matcher(stops);
    std::string text, emitted;
    for (int i = 0; i < 20; ++i) {
      const char byte = "ab"[random() % 2];
      text += byte;
      emitted += matcher.push(std::string(1, byte)).emit;
      std::size_t longest = 0;
      for (const std::string& stop : stops) {
        for (std::size_t n = 1; n <= std::min(stop.size(), text.size()); ++n) {
          if (text.ends_with(stop.substr(0, n))) longest = std::max(longest, n);
        }
      }
      ASSERT_EQ(emitted, text.substr(0, text.size() - longest));
    }
  }
}

// A megabyte of a stop string's beginning, repeated, must stay linear.
TEST(StopStrings, RepetitiveTextIsNotQuadratic) {
  const std::string stop = std::string(1000, 'a') + "b";
  StopStrings matcher({stop});
  std::size_t emitted = 0;
  for (int i = 0; i < 1000; ++i) emitted += matcher.push(std::string(1000, 'a')).emit.size();
  EXPECT_EQ(emitted, 1'000'000u - 1000);
  EXPECT_TRUE(matcher.push("b").stopped);
}

}  // namespace
}  // namespace ridgeline
