#include "ridgeline/text/thinking.h"

#include <gtest/gtest.h>

#include <string>

namespace ridgeline {
namespace {

/// The whole text in pieces of `step` bytes.
ThinkingSplitter::Piece split(const std::string& text, std::size_t step, bool inside = false,
                              const std::string& open = "<think>",
                              const std::string& close = "</think>") {
  ThinkingSplitter splitter(open, close, inside);
  ThinkingSplitter::Piece all;
  const auto add = [&](const ThinkingSplitter::Piece& piece) {
    all.thinking += piece.thinking;
    all.answer += piece.answer;
  };
  for (std::size_t at = 0; at < text.size(); at += step) add(splitter.push(text.substr(at, step)));
  add(splitter.finish());
  return all;
}

void expect(const std::string& text, bool inside, const std::string& thinking,
            const std::string& answer) {
  for (std::size_t step = 1; step <= text.size() + 1; ++step) {
    const auto piece = split(text, step, inside);
    EXPECT_EQ(piece.thinking, thinking) << step;
    EXPECT_EQ(piece.answer, answer) << step;
  }
}

TEST(ThinkingSplitter, SplitsWhateverThePieces) {
  expect("<think>\nlet me see\n\nyes\n</think>\n\nIt is 4.\n", false, "let me see\n\nyes",
         "It is 4.\n");
  expect("  <think>a</think>b", false, "a", "b");
  expect("<think>\n\n</think>\n\nshort", false, "", "short");
}

TEST(ThinkingSplitter, ThePromptMayHaveOpenedIt) {
  expect("let me see</think>\nIt is 4.", true, "let me see", "It is 4.");
  expect("never closed </thin", true, "never closed </thin", "");
}

TEST(ThinkingSplitter, TagsInAnAnswerAreText) {
  expect("no <think>x</think>", false, "", "no <think>x</think>");
  expect("<thing", false, "", "<thing");
  expect("<think>a</think>b</think> <think>c", false, "a", "b</think> <think>c");
  expect("", false, "", "");
}

TEST(ThinkingSplitter, WithoutTagsEverythingIsAnswer) {
  const auto piece = split("<think>a</think>", 3, false, "", "");
  EXPECT_EQ(piece.thinking, "");
  EXPECT_EQ(piece.answer, "<think>a</think>");
}

TEST(HarmonySplitter, GoesByChannels) {
  HarmonySplitter splitter;
  std::string thinking, answer;
  for (const char* part :
       {"<|channel|>", "ana", "lysis", "<|message|>", "let me ", "see", "<|end|>", "<|start|>",
        "assistant", "<|channel|>", "final", "<|message|>", "It is", " 4.", "<|return|>"}) {
    if (std::string_view(part).starts_with("<|")) {
      EXPECT_TRUE(splitter.control(part)) << part;
      continue;
    }
    const auto piece = splitter.push(part);
    thinking += piece.thinking;
    answer += piece.answer;
  }
  EXPECT_EQ(thinking, "let me see");
  EXPECT_EQ(answer, "It is 4.");
  EXPECT_FALSE(splitter.control("<|im_end|>"));
}

}  // namespace
}  // namespace ridgeline
