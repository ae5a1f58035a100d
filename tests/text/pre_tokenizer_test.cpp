#include "ridgeline/text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace ridgeline {
namespace {

void split(const PreTokenizer& pre_tokenizer, int pattern, std::string_view text,
           PreTokenizer::Scratch& scratch, std::vector<std::string>& pieces) {
  if (pattern == pre_tokenizer.num_patterns()) {
    pieces.emplace_back(text);
    return;
  }
  PreTokenizer::Pieces walk(pre_tokenizer, pattern, text, scratch);
  for (std::string_view piece; walk.next(piece);) {
    ASSERT_FALSE(piece.empty());
    split(pre_tokenizer, pattern + 1, piece, scratch, pieces);
  }
}

std::vector<std::string> split(std::string_view name, std::string_view text) {
  const auto pre_tokenizer = PreTokenizer::create(name);
  if (!pre_tokenizer) return {pre_tokenizer.error().message};
  PreTokenizer::Scratch scratch;
  std::vector<std::string> pieces;
  split(*pre_tokenizer, 0, text, scratch, pieces);
  return pieces;
}

std::vector<std::string> read_row(const std::string& line) {
  std::vector<std::string> fields(1);
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\t') {
      fields.emplace_back();
    } else if (line[i] == '\\') {
      const char escaped = line[++i];
      fields.back() += escaped == 'n' ? '\n' : escaped == 't' ? '\t' : escaped == 'r' ? '\r' : '\\';
    } else {
      fields.back() += line[i];
    }
  }
  return fields;
}

TEST(PreTokenizer, CutsAsTheModelsOwnExpressionsDo) {
  std::ifstream file(RIDGELINE_SOURCE_DIR "/tests/data/text/pre_tokenizer_splits.tsv");
  ASSERT_TRUE(file);
  int num_rows = 0;
  for (std::string line; std::getline(file, line); ++num_rows) {
    std::vector<std::string> expected = read_row(line);
    const std::string name = expected.front();
    expected.erase(expected.begin());
    std::string text;
    for (const std::string& piece : expected) text += piece;
    EXPECT_EQ(split(name, text), expected) << name << ": " << text;
  }
  EXPECT_EQ(num_rows, 8 * 14);
}

TEST(PreTokenizer, EveryRowKeepsEveryByteOfLongRuns) {
  const std::size_t size = 50'000;
  std::vector<std::string> texts;
  for (const char* unit :
       {"a", " ", "1", "!", "\n", "\r\n", " \n", "\u4e2d", "'s", "\u00a0", "aA", "\u0301"}) {
    std::string text;
    while (text.size() < size) text += unit;
    texts.insert(texts.end(), {text, text + "x", "x " + text});
  }
  std::set<std::string_view> names;
  for (const PreTokenizerRow& row : pre_tokenizer_table()) {
    for (const std::string_view name : row.names) {
      EXPECT_TRUE(names.insert(name).second) << name << " is in two rows";
    }
    for (const std::string& text : texts) {
      std::string joined;
      for (const std::string& piece : split(row.names.front(), text)) joined += piece;
      EXPECT_TRUE(joined == text) << row.names.front() << ": " << text.substr(0, 20);
    }
  }
}

TEST(PreTokenizer, AliasesHaveTheRowsOfWhatTheyMean) {
  const auto row = [](std::string_view name) { return PreTokenizer::create(name)->row(); };
  for (const char* name : {"llama3", "llama-v3", "llama-bpe", "falcon3"}) {
    EXPECT_TRUE(row(name).ignore_merges && row(name).add_bos) << name;
  }
  EXPECT_FALSE(row("dbrx").ignore_merges);
  EXPECT_EQ(row("dbrx").patterns, row("llama-bpe").patterns);
  EXPECT_EQ(row("deepseek-r1-qwen").patterns, row("qwen2").patterns);
  EXPECT_EQ(row("").patterns, row("default").patterns);
}

TEST(PreTokenizer, AnUnknownNameIsNamedWithThoseThatExist) {
  const auto none = PreTokenizer::create("gpt-5");
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("\"gpt-5\""), std::string::npos) << none.error().message;
  EXPECT_NE(none.error().message.find("llama-bpe"), std::string::npos);
  EXPECT_NE(none.error().message.find("qwen2"), std::string::npos);
}

}  // namespace
}  // namespace ridgeline
