// GPTQ and AWQ folders that something is wrong with.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "ridgeline/format/hugging_face.h"
#include "ridgeline/quant/decode_rows.h"

namespace ridgeline {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string folder_of(const std::string& name) {
  return RIDGELINE_SOURCE_DIR "/tests/data/oracles/packed4/" + name;
}

/// A copy of a good folder, to be spoilt.
class Packed4Folder : public testing::Test {
 protected:
  Packed4Folder() : folder_(testing::TempDir() + "packed4-" + std::to_string(::getpid())) {
    copy("gptq-act-order");
  }
  ~Packed4Folder() override { fs::remove_all(folder_); }

  void copy(const char* name) const {
    fs::remove_all(folder_);
    fs::copy(folder_of(name), folder_);
  }
  std::string weights() const { return (folder_ / "model.safetensors").string(); }
  static std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write_weights(const std::string& bytes) const {
    std::ofstream(weights(), std::ios::binary) << bytes;
  }
  /// With a tensor's name in the header changed to another of the same length.
  void rename(const std::string& from, const std::string& to) const {
    std::string bytes = read_file(weights());
    const std::size_t at = bytes.find('"' + from + '"');
    ASSERT_NE(at, std::string::npos) << from;
    ASSERT_EQ(from.size(), to.size());
    write_weights(bytes.replace(at + 1, from.size(), to));
  }
  void set_config(const char* key, const nlohmann::json& value) const {
    auto config = nlohmann::json::parse(std::ifstream(folder_ / "config.json"));
    config[key] = value;
    std::ofstream(folder_ / "config.json") << config;
  }
  std::string error() const {
    const auto file = open_hugging_face(folder_.string());
    return file ? "no error" : file.error().message;
  }
  fs::path folder_;
};

TEST_F(Packed4Folder, ErrorsAreSentences) {
  EXPECT_EQ(error(), "no error");
  const std::string layer = "model.layers.0.mlp.";
  rename(layer + "up_proj.qzeros", layer + "up_proj.qzerox");
  EXPECT_THAT(error(), HasSubstr("tensor 'model.layers.0.mlp.up_proj.qzeros' is missing"));
  copy("gptq-act-order");
  rename(layer + "up_proj.scales", layer + "up_proj.scalex");
  EXPECT_THAT(error(), HasSubstr("tensor 'model.layers.0.mlp.up_proj.scales' is missing"));
  copy("gptq-act-order");
  rename(layer + "up_proj.qweight", layer + "up_proj.qweighs");
  EXPECT_THAT(error(), HasSubstr("is not part of llama as it is known here"));
  copy("gptq-act-order");
  set_config("quantization_config", nullptr);
  EXPECT_THAT(error(), HasSubstr("is quantized, but config.json has no quantization_config"));
  copy("gptq-act-order");
  set_config("quantization_config", {{"quant_method", "awq"}, {"bits", 4}, {"group_size", 32}});
  EXPECT_THAT(error(), HasSubstr(".qweight' has 8 inputs, expected a multiple of 32"));
}

TEST_F(Packed4Folder, ExpertsWithAnOrderOfTheirOwnAreRefused) {
  copy("awq-experts");
  // The header gains a g_idx for one expert: data that others have too would overlap, so it
  // is appended.
  std::string bytes = read_file(weights());
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  auto header = nlohmann::json::parse(bytes.substr(8, length));
  const std::string data = bytes.substr(8 + length);
  std::string g_idx;
  for (std::int32_t i = 0; i < 64; ++i) {
    const std::int32_t group = i % 2;
    g_idx.append(reinterpret_cast<const char*>(&group), sizeof group);
  }
  header["model.layers.0.mlp.experts.1.up_proj.g_idx"] = {
      {"dtype", "I32"},
      {"shape", {64}},
      {"data_offsets", {data.size(), data.size() + g_idx.size()}}};
  const std::string text = header.dump();
  length = text.size();
  write_weights(std::string(reinterpret_cast<const char*>(&length), sizeof length) + text + data +
                g_idx);
  EXPECT_THAT(error(), HasSubstr("experts.1.up_proj.qweight' has its inputs in an order of its "
                                 "own (g_idx, desc_act), which is not supported for experts"));
}

TEST_F(Packed4Folder, DamagedFilesAreErrorsOrNumbers) {
  std::mt19937 random(5);
  for (const char* name : {"gptq-act-order", "gptq-grouped-order", "awq-experts"}) {
    copy(name);
    const std::string good = read_file(weights());
    std::uint64_t length = 0;
    std::memcpy(&length, good.data(), sizeof length);
    int opened = 0;
    for (int round = 0; round < 120; ++round) {
      std::string bad = good;
      const std::size_t range = round % 3 == 0 ? bad.size() : 8 + length;
      for (int i = 0; i < 3; ++i)
        bad[random() % range] =
            round % 2 == 0 ? static_cast<char>(random()) : static_cast<char>('0' + random() % 10);
      write_weights(bad);
      const auto file = open_hugging_face(folder_.string());
      if (!file) {
        EXPECT_FALSE(file.error().message.empty());
        continue;
      }
      ++opened;
      for (const TensorView& t : file->tensors()) {
        std::vector<std::byte> scratch;
        std::vector<float> values(static_cast<std::size_t>(t.elements()));
        decode_rows(t, 0, t.rows(), scratch, values.data());
      }
    }
    EXPECT_GT(opened, 0);
  }
}

}  // namespace
}  // namespace ridgeline
