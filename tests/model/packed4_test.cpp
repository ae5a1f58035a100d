// Folders that GPTQModel packed (tests/data/oracles/packed4, tools/make_packed4_oracle.py), and
// the same models with their weights written out as F32.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "ridgeline/format/gguf_writer.h"
#include "ridgeline/format/hugging_face.h"
#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/kv/block_table.h"
#include "ridgeline/model/model.h"
#include "ridgeline/model/pack_plan.h"
#include "ridgeline/model/quantize_on_load.h"
#include "ridgeline/platform/crc32c.h"
#include "ridgeline/quant/decode_rows.h"
#include "tests/support/random_model.h"

namespace ridgeline {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string folder_of(const std::string& name) {
  return RIDGELINE_SOURCE_DIR "/tests/data/oracles/packed4/" + name;
}

struct RunOptions {
  std::string isa{};
  ActivationPrecision activations = ActivationPrecision::kExact;
  std::int32_t chunk = 1 << 20;  ///< positions of a step
  std::string cache{};
};

struct Outcome {
  std::vector<float> logits;  ///< of the last positions
  PackedCacheReport report;
};

Outcome run(const std::string& path, const std::vector<std::int32_t>& prompt,
            std::int32_t positions, const RunOptions& how) {
  Outcome result;
  auto file = ModelFile::open(path);
  auto backend = create_backend({.threads = 2, .isa = how.isa, .activations = how.activations});
  if (!file || !backend) {
    ADD_FAILURE() << (file ? backend.error().message : file.error().message);
    return result;
  }
  const auto length = static_cast<std::int32_t>(prompt.size());
  Model::LoadOptions options;
  options.max_batch_rows = options.max_logit_rows = options.max_positions = length;
  options.packed_cache.folder = how.cache;
  auto model = Model::load(*file, **backend, options);
  if (!model) {
    ADD_FAILURE() << model.error().message;
    return result;
  }
  const ModelConfig& config = (*model)->config();
  BlockPool pool(blocks_for(length));
  auto cache = (*backend)->make_kv_cache(config.kv_shape(DType::kF32, pool.capacity()));
  BlockTable blocks(pool);
  EXPECT_TRUE(blocks.reserve(length));
  for (std::int32_t begin = 0; begin < length; begin += how.chunk) {
    const std::int32_t rows = std::min(how.chunk, length - begin);
    Batch batch;
    batch.tokens.assign(prompt.begin() + begin, prompt.begin() + begin + rows);
    batch.slices = {{0, rows, begin, blocks.blocks()}};
    for (std::int32_t i = std::max(0, length - positions - begin); i < rows; ++i)
      batch.logit_rows.push_back(i);
    (*model)->forward(batch, **cache);
    std::vector<float> logits(batch.logit_rows.size() *
                              static_cast<std::size_t>(config.vocab_size));
    (*model)->head(0, static_cast<std::int64_t>(batch.logit_rows.size()), logits);
    result.logits.insert(result.logits.end(), logits.begin(), logits.end());
  }
  result.report = (*model)->packed_cache();
  return result;
}

float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  float worst = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

class Packed4Model : public testing::TestWithParam<const char*> {
 protected:
  Packed4Model()
      : folder_(folder_of(GetParam())),
        oracle_(nlohmann::json::parse(std::ifstream(folder_ + "/oracle.json"))),
        prompt_(oracle_["prompt_ids"].get<std::vector<std::int32_t>>()),
        positions_(oracle_["positions"].get<std::int32_t>()) {}

  std::vector<float> logits(const RunOptions& how) const {
    return run(folder_, prompt_, positions_, how).logits;
  }
  bool has_input_orders() const {
    const auto file = open_hugging_face(folder_);
    return std::ranges::any_of(file->tensors(),
                               [](const TensorView& t) { return t.input_order != nullptr; });
  }
  std::string folder_;
  nlohmann::json oracle_;
  std::vector<std::int32_t> prompt_;
  std::int32_t positions_;
};

TEST_P(Packed4Model, FolderGivesTheSameLogits) {
  std::vector<float> expected(static_cast<std::size_t>(positions_) *
                              oracle_["vocab"].get<std::size_t>());
  std::ifstream(folder_ + "/logits.f32", std::ios::binary)
      .read(reinterpret_cast<char*>(expected.data()),
            static_cast<std::streamsize>(expected.size() * sizeof(float)));
  EXPECT_LE(largest_difference(logits({}), expected), 2e-4F);
}

/// model.layers.0.mlp.experts.3.up_proj.weight -> blk.0.ffn_up.3.weight
std::string gguf_name(std::string name) {
  const auto replace = [&](const std::string& from, const std::string& to) {
    const std::size_t at = name.find(from);
    if (at != std::string::npos) name.replace(at, from.size(), to);
  };
  replace("model.layers.", "blk.");
  replace("lm_head", "output");
  for (const char* part : {"q", "k", "v"})
    replace(fmt::format("self_attn.{}_proj", part), fmt::format("attn_{}", part));
  replace("self_attn.o_proj", "attn_output");
  const std::size_t expert = name.find("mlp.experts.");
  std::string index;
  if (expert != std::string::npos) {
    index = name.substr(expert + 12, name.find('.', expert + 12) - expert - 12);
    replace("mlp.experts." + index + ".", "mlp.");
    index = "." + index;
  }
  for (const char* part : {"gate", "up", "down"})
    replace(fmt::format("mlp.{}_proj", part), fmt::format("ffn_{}{}", part, index));
  return name;
}

TEST_P(Packed4Model, WeightsAreTheCheckpointsOwn) {
  const auto file = open_hugging_face(folder_);
  ASSERT_TRUE(file) << file.error().message;
  std::size_t matrices = 0;
  for (const TensorView& t : file->tensors()) matrices += is_gguf_type(t.dtype) ? 0 : 1;
  EXPECT_EQ(matrices, oracle_["matrix_crc32c"].size());
  std::vector<std::byte> scratch;
  for (const auto& [name, expected] : oracle_["matrix_crc32c"].items()) {
    SCOPED_TRACE(name);
    const TensorView* t = file->tensor(gguf_name(name));
    ASSERT_NE(t, nullptr) << gguf_name(name);
    EXPECT_FALSE(is_gguf_type(t->dtype));
    std::vector<float> values(static_cast<std::size_t>(t->elements()));
    decode_rows(*t, 0, t->rows(), scratch, values.data());
    EXPECT_EQ(crc32c(std::as_bytes(std::span(values))), expected.get<std::uint32_t>());
  }
}

// With exact activations both sum in the same order, unless the inputs were gathered.
TEST_P(Packed4Model, AgreesWithItsWeightsWrittenOut) {
  const auto file = open_hugging_face(folder_);
  ASSERT_TRUE(file) << file.error().message;
  std::vector<std::vector<float>> decoded;
  std::vector<TensorView> tensors;
  for (const TensorView& t : file->tensors()) {
    std::vector<std::byte> scratch;
    auto& values = decoded.emplace_back(static_cast<std::size_t>(t.elements()));
    decode_rows(t, 0, t.rows(), scratch, values.data());
    TensorView plain;
    plain.name = t.name;
    plain.shape = t.shape;
    plain.data = reinterpret_cast<const std::byte*>(values.data());
    plain.bytes = values.size() * sizeof(float);
    tensors.push_back(std::move(plain));
  }
  const std::string path = test::temporary_path("packed4.gguf");
  const auto status =
      write_gguf(path, GgufMetadata(file->metadata().begin(), file->metadata().end()), tensors);
  ASSERT_TRUE(status) << status.error().message;
  const std::vector<float> plain = run(path, prompt_, positions_, {}).logits;
  if (has_input_orders())
    EXPECT_LE(largest_difference(logits({}), plain), 1e-4F);
  else
    EXPECT_EQ(logits({}), plain);
  std::remove(path.c_str());
}

TEST_P(Packed4Model, RowsDoNotDependOnTheirCompany) {
  for (const KernelTable* table : available_kernels()) {
    for (const auto activations : {ActivationPrecision::kExact, ActivationPrecision::kFast}) {
      SCOPED_TRACE(table->name);
      RunOptions how{.isa = std::string(table->name), .activations = activations};
      const std::vector<float> whole = logits(how);
      for (const std::int32_t chunk : {1, 7}) {
        how.chunk = chunk;
        EXPECT_EQ(logits(how), whole) << "chunks of " << chunk;
      }
      // Activations of 8 bits: within a few steps of 1/127 of logits of about ±10.
      EXPECT_LE(largest_difference(whole, logits({})), 1.0F);
    }
  }
}

TEST_P(Packed4Model, StartsFromThePackedCache) {
  const std::string cache = test::temporary_path("packed4-cache");
  fs::remove_all(cache);
  const RunOptions how{.activations = ActivationPrecision::kFast, .cache = cache};
  const Outcome first = run(folder_, prompt_, positions_, how);
  const Outcome second = run(folder_, prompt_, positions_, how);
  EXPECT_EQ(first.report.state, PackedCacheReport::State::kWritten) << first.report.warning;
  EXPECT_EQ(second.report.state, PackedCacheReport::State::kUsed) << second.report.warning;
  EXPECT_EQ(first.logits, second.logits);
  EXPECT_EQ(first.logits, logits({.activations = ActivationPrecision::kFast}));
  fs::remove_all(cache);
}

INSTANTIATE_TEST_SUITE_P(Folders, Packed4Model,
                         testing::Values("gptq-sym", "gptq-act-order", "gptq-v2-act-order",
                                         "gptq-column", "gptq-grouped-order", "awq", "awq-128",
                                         "awq-experts"),
                         [](const auto& parameter) {
                           std::string text = parameter.param;
                           std::ranges::replace(text, '-', '_');
                           return text;
                         });

TEST(Packed4Folder, WhatIsQuantizedAlreadyIsNotRoundedAgain) {
  auto file = open_hugging_face(folder_of("gptq-act-order"));
  ASSERT_TRUE(file);
  const auto again = quantize_on_load(*std::move(file), DType::kQ8_0);
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("is INT4_32 already"));
}

/// An order that changes is another model, even where every stored value stays.
TEST(Packed4Folder, TheOrderOfInputsIsPartOfThePackedCache) {
  const fs::path folder = test::temporary_path("packed4");
  fs::remove_all(folder);
  fs::copy(folder_of("gptq-act-order"), folder);
  const auto description = [&] {
    auto file = open_hugging_face(folder.string());
    auto backend = create_backend({.threads = 1, .isa = ""});
    return PackPlan::make(*file, **backend)->description();
  };
  const std::string before = description();
  EXPECT_THAT(before, HasSubstr(" order "));
  const fs::path weights = folder / "model.safetensors";
  std::ifstream stream(weights, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  const auto header = nlohmann::json::parse(bytes.substr(8, length));
  const auto offset = header["model.layers.0.mlp.up_proj.g_idx"]["data_offsets"][0];
  const std::size_t at = 8 + length + offset.get<std::size_t>();
  std::array<std::int32_t, 64> g_idx;
  std::memcpy(g_idx.data(), bytes.data() + at, sizeof g_idx);
  std::ranges::reverse(g_idx);
  std::memcpy(bytes.data() + at, g_idx.data(), sizeof g_idx);
  std::ofstream(weights, std::ios::binary) << bytes;
  EXPECT_NE(description(), before);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace ridgeline
