#include "ridgeline/text/wordpiece.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "ridgeline/text/bert_characters.h"
#include "tests/text/small_vocabularies.h"
#include "tests/text/vocabulary_files.h"

// Against the tokenizers library (tools/make_tokenizer_oracle.py).
namespace ridgeline::testing {
namespace {

const std::filesystem::path kFolder = RIDGELINE_SOURCE_DIR "/tests/data/oracles/tokenizers";

// As GGUF writes a vocab.txt.
VocabularyData from_vocab_txt(const std::vector<std::string>& tokens) {
  VocabularyData data;
  data.kind = VocabularyData::Kind::kWordPiece;
  for (const std::string& token : tokens) {
    if (token.starts_with("##")) {
      add_token(data, token.substr(2), Type::kNormal);
    } else if (token.starts_with('[') && token.ends_with(']') && token.size() > 2) {
      add_token(data, token, Type::kControl);
    } else {
      add_token(data, "\u2581" + token, Type::kNormal);
    }
  }
  return data;
}

TEST(WordPiece, GivesTheIdsAndTextsOfTheLibrary) {
  const auto oracle = nlohmann::json::parse(read_file(kFolder / "wordpiece.json"));
  ASSERT_GE(oracle["texts"].size(), 50u);
  for (const auto& [name, expected] : oracle["vocabularies"].items()) {
    VocabularyData data = from_vocab_txt(expected["tokens"]);
    data.lowercase = expected["options"].value("lowercase", true);
    if (expected["options"].contains("strip_accents"))
      data.strip_accents = expected["options"]["strip_accents"];
    const auto tokenizer = make_tokenizer(std::move(data));
    for (std::size_t i = 0; i < oracle["texts"].size(); ++i) {
      const std::string text = oracle["texts"][i];
      const std::vector<TokenId> ids = expected["ids"][i];
      EXPECT_EQ(tokenizer->encode(text, {.add_bos = false, .add_eos = false}), ids)
          << name << ": " << text;
      if (i < expected["decoded"].size()) {
        EXPECT_EQ(tokenizer->decode(ids), expected["decoded"][i]) << name << ": " << text;
      }
    }
  }
}

std::set<char32_t> characters(const nlohmann::json& ranges) {
  std::set<char32_t> members;
  for (const auto& range : ranges)
    for (char32_t c = range[0]; c <= range[1]; ++c) members.insert(c);
  return members;
}

// Every character of Unicode 14 (what it has not assigned is not in the oracle).
TEST(WordPiece, TakesEveryCharacterForWhatTheLibraryTakesItFor) {
  const auto oracle = nlohmann::json::parse(read_file(kFolder / "bert_characters.json"));
  std::map<std::string, std::set<char32_t>> found;
  std::map<std::string, std::map<int, std::uint64_t>> hashes;
  const auto assigned = characters(oracle["assigned"]);
  const auto add_hash = [&](const char* what, char32_t c, const std::string& text) {
    std::string bytes;
    append_utf8(c, bytes);
    if (text == bytes) return;
    std::uint64_t& hash =
        hashes[what].try_emplace(static_cast<int>(c >> 12), 0xCBF29CE484222325u).first->second;
    for (const char byte : bytes + text)
      hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3u;
  };
  for (const char32_t c : assigned) {
    std::string text;
    append_utf8(c, text);
    const std::string cleaned = bert_normalize(
        text, {.clean_text = true, .space_cjk = false, .lowercase = false, .strip_accents = {}});
    if (cleaned.empty()) {
      found["removed"].insert(c);
    } else if (cleaned != text) {
      EXPECT_EQ(cleaned, " ");
      found["space"].insert(c);
    }
    if (bert::is_cjk(c)) found["cjk"].insert(c);
    if (bert::is_punctuation(c)) found["punctuation"].insert(c);
    const std::string stripped = bert_normalize(
        text, {.clean_text = false, .space_cjk = false, .lowercase = false, .strip_accents = true});
    if (stripped.empty()) {
      found["accent"].insert(c);
    } else {
      add_hash("stripped", c, stripped);
    }
    std::string lower;
    bert::append_lowercase(c, lower);
    add_hash("lower", c, lower);
  }
  for (const char* what : {"removed", "space", "cjk", "punctuation", "accent"}) {
    EXPECT_TRUE(found[what] == characters(oracle[what])) << what;
    EXPECT_FALSE(found[what].empty()) << what;
  }
  for (const char* what : {"stripped", "lower"}) {
    ASSERT_EQ(hashes[what].size(), oracle[what].size());
    for (const auto& [block, hash] : hashes[what]) {
      char text[24];
      std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
      EXPECT_EQ(text, oracle[what].value(std::to_string(block), "none")) << what << " " << block;
    }
  }
}

VocabularyData small_wordpiece() {
  return from_vocab_txt({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "##re", "##in", "there", ",",
                         "!", "a", "##b", "\u4e2d", "##\u00e9"});
}

TEST(WordPiece, TheLongestTokenFirstOrTheWholeWordIsUnknown) {
  const auto tokenizer = make_tokenizer(small_wordpiece());
  const auto encode = [&](std::string_view text) {
    std::string ids;
    for (const TokenId id : tokenizer->encode(text)) ids += std::to_string(id) + " ";
    return ids;
  };
  EXPECT_EQ(encode(""), "2 3 ");
  EXPECT_EQ(encode("  \t\n"), "2 3 ");
  EXPECT_EQ(encode("There therein thex"), "2 7 7 6 1 3 ");
  EXPECT_EQ(encode("the,the!"), "2 4 8 4 9 3 ");
  EXPECT_EQ(encode("th\u00e9 a\u4e2d"), "2 4 10 12 3 ");
  EXPECT_EQ(encode("a\xFF"
                   "b"),
            "2 10 11 3 ");  // no character, so removed
  EXPECT_EQ(encode("[CLS] the"), "2 1 1 1 4 3 ");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("therein, the!")), "therein, the!");
}

// Words without end, marks that are put in order, words of one mark: all in linear time.
TEST(WordPiece, LongRunsOfAnything) {
  const auto tokenizer = make_tokenizer(small_wordpiece());
  for (const auto& [unit, expected] :
       std::map<std::string, std::size_t>{{"a", 1}, {"\u302e", 1}, {",", 1 << 18}, {" ", 0}}) {
    std::string text;
    for (int i = 0; i < 1 << 18; ++i) text += unit;
    EXPECT_EQ(tokenizer->encode(text).size(), expected + 2) << unit;
  }
}

TEST(WordPiece, StreamsWhatDecodeGives) {
  const auto tokenizer = make_tokenizer(small_wordpiece());
  const std::vector<TokenId> ids = tokenizer->encode("Therein, a\u4e2d the ab!");
  for (const bool render_special : {false, true}) {
    StreamingDetokenizer stream(*tokenizer, render_special);
    std::string text;
    for (const TokenId id : ids) text += stream.push(id);
    EXPECT_EQ(text + stream.finish(), tokenizer->decode(ids, render_special));
  }
}

}  // namespace
}  // namespace ridgeline::testing
