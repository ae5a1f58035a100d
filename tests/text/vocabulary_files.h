#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ridgeline/text/tiktoken.h"
#include "ridgeline/text/tokenizer.h"

// Vocabularies for tests, from the third-party files beside the checkout. The layer
// below `format` cannot use its reader, so what these tests need of GGUF is read here;
// tests/model covers the real way from file to tokenizer.
namespace ridgeline::testing {

inline std::filesystem::path shared_data() { return RIDGELINE_SHARED_DATA; }

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// Reads the metadata of a trusted GGUF file in order, keeping the tokenizer's.
class GgufVocabularyReader {
 public:
  explicit GgufVocabularyReader(const std::filesystem::path& path) : bytes_(read_file(path)) {}

  VocabularyData read() {
    at_ = 16;  // magic, version, number of tensors
    const auto num_keys = take<std::uint64_t>();
    for (std::uint64_t i = 0; i < num_keys; ++i) {
      const std::string key = take_string();
      read_value(key, take<std::uint32_t>());
    }
    return std::move(data_);
  }

 private:
  enum Type : std::uint32_t {
    kU8,
    kI8,
    kU16,
    kI16,
    kU32,
    kI32,
    kF32,
    kBool,
    kString,
    kArray,
    kU64,
    kI64,
    kF64
  };

  template <class T>
  T take() {
    T value;
    if (bytes_.size() - at_ < sizeof value) throw std::runtime_error("GGUF file ends early");
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  std::string take_string() {
    const auto size = take<std::uint64_t>();
    if (bytes_.size() - at_ < size) throw std::runtime_error("GGUF file ends early");
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }

  void skip(std::uint32_t type) {
    constexpr std::size_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == kString) {
      take_string();
    } else {
      at_ += kSizes[type];
    }
  }

  void read_value(const std::string& key, std::uint32_t type) {
    const auto id = [&](const char* name, std::optional<TokenId>& field) {
      if (key != std::string("tokenizer.ggml.") + name + "_token_id") return false;
      field = take<std::int32_t>();
      return true;
    };
    const auto flag = [&](const char* name, std::optional<bool>& field) {
      if (key != std::string("tokenizer.ggml.") + name) return false;
      field = take<std::uint8_t>() != 0;
      return true;
    };
    if (type == kArray) return read_array(key);
    if (key == "tokenizer.ggml.model") {
      const std::string model = take_string();
      data_.kind = model == "gpt2"   ? VocabularyData::Kind::kByteLevelBpe
                   : model == "bert" ? VocabularyData::Kind::kWordPiece
                                     : VocabularyData::Kind::kSentencePieceBpe;
    } else if (key == "tokenizer.ggml.pre") {
      data_.pre_tokenizer = take_string();
    } else if (!id("bos", data_.bos) && !id("eos", data_.eos) && !id("unknown", data_.unknown) &&
               !id("padding", data_.padding) && !id("cls", data_.bos) &&
               !id("seperator", data_.eos) && !flag("add_bos_token", data_.add_bos) &&
               !flag("add_eos_token", data_.add_eos) &&
               !flag("add_space_prefix", data_.add_space_prefix)) {
      skip(type);
    }
  }

  void read_array(const std::string& key) {
    const auto type = take<std::uint32_t>();
    const auto size = take<std::uint64_t>();
    for (std::uint64_t i = 0; i < size; ++i) {
      if (key == "tokenizer.ggml.tokens") {
        data_.tokens.push_back(take_string());
      } else if (key == "tokenizer.ggml.merges") {
        data_.merges.push_back(take_string());
      } else if (key == "tokenizer.ggml.scores") {
        data_.scores.push_back(take<float>());
      } else if (key == "tokenizer.ggml.token_type") {
        data_.types.push_back(static_cast<VocabularyData::TokenType>(take<std::int32_t>()));
      } else {
        skip(type);
      }
    }
  }

  std::string bytes_;
  std::size_t at_ = 0;
  VocabularyData data_;
};

inline VocabularyData from_tiktoken(const std::filesystem::path& path,
                                    const std::string& pre_tokenizer,
                                    const std::vector<std::string>& control_tokens) {
  auto data = read_tiktoken(read_file(path), pre_tokenizer, control_tokens);
  if (!data) throw std::runtime_error(data.error().message);
  return *std::move(data);
}

/// The vocabularies that have llama.cpp's vectors, and those of them that lie there as
/// GGUF: the other two take a second to make, several with sanitizers.
inline const char* const kVocabularies[] = {"llama-spm",      "gpt-2",     "deepseek-llm",
                                            "deepseek-coder", "llama-bpe", "qwen2"};
inline const std::span<const char* const> kGgufVocabularies = std::span(kVocabularies).first(4);

/// For parameterized tests.
inline std::string name_of_vocabulary(const ::testing::TestParamInfo<const char*>& test) {
  std::string name = test.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

/// Once per program; nullptr where the data is absent.
inline std::shared_ptr<const Tokenizer> shared_tokenizer(const std::string& name) {
  static std::unordered_map<std::string, std::shared_ptr<const Tokenizer>> loaded;
  if (const auto found = loaded.find(name); found != loaded.end()) return found->second;
  const std::filesystem::path folder = shared_data() / "tokenizers";
  std::shared_ptr<const Tokenizer>& tokenizer = loaded[name];
  if (!std::filesystem::exists(folder)) return tokenizer;
  VocabularyData data;
  if (name == "llama-bpe") {
    data = from_tiktoken(folder / "llama3.tiktoken", name,
                         {"<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"});
    data.bos = static_cast<TokenId>(data.tokens.size()) - 3;
    data.eos = *data.bos + 1;
  } else if (name == "qwen2") {
    data = from_tiktoken(folder / "qwen2.tiktoken", name,
                         {"<|endoftext|>", "<|im_start|>", "<|im_end|>"});
    data.eos = static_cast<TokenId>(data.tokens.size()) - 1;
  } else {
    data = GgufVocabularyReader(folder / ("ggml-vocab-" + name + ".gguf")).read();
  }
  auto created = Tokenizer::create(std::move(data));
  if (!created) throw std::runtime_error(created.error().message);
  tokenizer = *std::move(created);
  return tokenizer;
}

/// In a test: the tokenizer, or the test ends, saying why.
#define RIDGELINE_TOKENIZER_OR_SKIP(variable, name)                   \
  const auto variable = ::ridgeline::testing::shared_tokenizer(name); \
  if (variable == nullptr) GTEST_SKIP() << "no vocabularies in " << RIDGELINE_SHARED_DATA

}  // namespace ridgeline::testing
