#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "tests/text/vocabulary_files.h"

// llama.cpp's own tokenizer vectors: 46 texts, and the ids that its tokenizers give
// for them without bos and with special tokens not parsed.
namespace ridgeline::testing {
namespace {

std::vector<std::string> read_cases(const std::string& file) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> cases;
  for (std::size_t at = 0; at < file.size();) {
    const std::size_t end = std::min(file.find(separator, at), file.size());
    cases.push_back(file.substr(at, end - at));
    at = end + separator.size();
  }
  return cases;
}

std::vector<std::vector<TokenId>> read_ids(const std::string& file) {
  std::vector<std::vector<TokenId>> ids;
  std::istringstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream numbers(line);
    auto& row = ids.emplace_back();
    for (TokenId id = 0; numbers >> id;) row.push_back(id);
  }
  return ids;
}

class LlamaCppVectors : public ::testing::TestWithParam<const char*> {};

TEST_P(LlamaCppVectors, IdsAreTheSame) {
  const std::string name = GetParam();
  RIDGELINE_TOKENIZER_OR_SKIP(tokenizer, name);
  const auto base = shared_data() / "tokenizers" / ("ggml-vocab-" + name + ".gguf");
  const auto cases = read_cases(read_file(base.string() + ".inp"));
  const auto expected = read_ids(read_file(base.string() + ".out"));
  ASSERT_EQ(cases.size(), expected.size());
  ASSERT_GE(cases.size(), 40u);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto ids = tokenizer->encode(cases[i], {.add_bos = false, .add_eos = false});
    EXPECT_EQ(ids, expected[i]) << "case " << i << ": " << cases[i];
    EXPECT_EQ(tokenizer->decode(ids), cases[i]) << "case " << i;
  }
}

// WordPiece keeps neither case nor accents nor spaces, so only the ids can be compared.
TEST(LlamaCppVectorsOfBert, IdsAreTheSame) {
  RIDGELINE_TOKENIZER_OR_SKIP(tokenizer, "bert-bge");
  const auto base = shared_data() / "tokenizers" / "ggml-vocab-bert-bge.gguf";
  const auto cases = read_cases(read_file(base.string() + ".inp"));
  const auto expected = read_ids(read_file(base.string() + ".out"));
  ASSERT_EQ(cases.size(), expected.size());
  for (std::size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(tokenizer->encode(cases[i], {.add_bos = false, .add_eos = false}), expected[i])
        << "case " << i << ": " << cases[i];
  }
  const std::vector<TokenId> ids = tokenizer->encode("Hello,  W\u00f6rld! (it's)");
  EXPECT_EQ(tokenizer->decode(ids), "hello, world! ( it ' s )");
  EXPECT_EQ(tokenizer->decode(ids, true), "[CLS] hello, world! ( it ' s ) [SEP]");
}

INSTANTIATE_TEST_SUITE_P(All, LlamaCppVectors, ::testing::ValuesIn(kVocabularies),
                         name_of_vocabulary);

}  // namespace
}  // namespace ridgeline::testing
