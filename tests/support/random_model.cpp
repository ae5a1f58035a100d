#include "tests/support/random_model.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

#include "ridgeline/format/gguf_writer.h"
#include "ridgeline/quant/block_format.h"
#include "ridgeline/quant/random_blocks.h"

namespace ridgeline::test {
namespace {

class Writer {
 public:
  explicit Writer(const RandomModel& model) : model_(model), random_(model.seed) {}

  void matrix(const std::string& name, int rows, int cols) { stack(name, 1, rows, cols); }
  void stack(const std::string& name, int matrices, int rows, int cols) {
    std::normal_distribution<float> normal(0.0F, 1.5F / std::sqrt(static_cast<float>(cols)));
    std::vector<float> values(static_cast<std::size_t>(matrices) * static_cast<std::size_t>(rows) *
                              static_cast<std::size_t>(cols));
    for (float& v : values) v = normal(random_);
    if (model_.planted != 0 && name == "blk.0.ffn_up.weight") values[5] = model_.planted;
    std::vector<std::int64_t> shape{rows, cols};
    if (matrices > 1) shape.insert(shape.begin(), matrices);
    add(name, model_.dtype, std::move(shape), values);
  }
  void vector(const std::string& name, int size, float mean) {
    std::normal_distribution<float> normal(mean, 0.2F);
    std::vector<float> values(static_cast<std::size_t>(size));
    for (float& v : values) v = normal(random_);
    if (name.ends_with("norm.weight"))
      for (std::size_t i = 7; i < values.size(); i += 50) values[i] *= model_.outliers;
    add(name, DType::kF32, {size}, values);
  }
  void write(const std::string& path, const GgufMetadata& metadata) {
    const Status status = write_gguf(path, metadata, tensors_);
    ASSERT_TRUE(status) << status.error().message;
  }

 private:
  void add(const std::string& name, DType dtype, std::vector<std::int64_t> shape,
           const std::vector<float>& values) {
    const auto count = static_cast<std::int64_t>(values.size());
    std::vector<std::byte>& bytes = storage_.emplace_back(row_bytes(dtype, count));
    if (can_encode(dtype))
      encode(dtype, values.data(), count, bytes.data());
    else
      random_blocks(dtype, static_cast<std::uint32_t>(random_()),
                    1.5F / std::sqrt(static_cast<float>(shape.back())), count, bytes.data());
    tensors_.push_back({name, dtype, std::move(shape), bytes.data(), bytes.size()});
  }

  RandomModel model_;
  std::mt19937 random_;
  std::deque<std::vector<std::byte>> storage_;
  std::vector<TensorView> tensors_;
};

GgufMetadata metadata_of(const RandomModel& m) {
  const std::string a = m.architecture + ".";
  const auto u32 = [](int v) { return GgufValue::of(static_cast<std::uint32_t>(v)); };
  GgufMetadata metadata{
      {"general.architecture", GgufValue::of(std::string_view(m.architecture))},
      {a + "block_count", u32(m.layers)},
      {a + "context_length", u32(m.context)},
      {a + "embedding_length", u32(m.hidden_size)},
      {a + "feed_forward_length", u32(m.ffn_size)},
      {a + "attention.head_count", u32(m.num_heads)},
      {a + "attention.head_count_kv", u32(m.num_kv_heads)},
      {a + "attention.key_length", u32(m.head_dim)},
      {a + "attention.value_length", u32(m.head_dim)},
      {a + "attention.layer_norm_rms_epsilon", GgufValue::of(1e-5F)},
      {a + "rope.freq_base", GgufValue::of(10000.0F)},
  };
  if (m.experts > 0) {
    metadata.emplace_back(a + "expert_count", u32(m.experts));
    metadata.emplace_back(a + "expert_used_count", u32(m.experts_per_row));
    metadata.emplace_back(a + "expert_feed_forward_length", u32(m.ffn_size));
  }
  add_byte_vocabulary(metadata, m.vocab_size);
  return metadata;
}

}  // namespace

void add_byte_vocabulary(GgufMetadata& metadata, int size) {
  // Metadata points into its texts: a deque's stay where they are while it grows.
  static std::deque<std::string> all{"<unk>", "<s>", "</s>"};
  if (all.size() == 3)
    for (int b = 0; b < 256; ++b) all.push_back(fmt::format("<0x{:02X}>", b));
  while (static_cast<int>(all.size()) < size) all.push_back(fmt::format("w{}", all.size()));
  const std::vector<std::string_view> tokens(all.begin(), all.begin() + std::max(size, 259));
  const auto u32 = [](int v) { return GgufValue::of(static_cast<std::uint32_t>(v)); };
  std::vector<std::string_view> texts(tokens.begin(), tokens.end());
  std::vector<float> scores(tokens.size(), 0.0F);
  std::vector<std::int32_t> types(tokens.size(), 1);
  for (std::size_t i = 0; i < 259; ++i) types[i] = i == 0 ? 2 : i < 3 ? 3 : 6;
  metadata.emplace_back("tokenizer.ggml.model", GgufValue::of(std::string_view("llama")));
  metadata.emplace_back("tokenizer.ggml.tokens", GgufValue::of(texts));
  metadata.emplace_back("tokenizer.ggml.scores", GgufValue::of(scores));
  metadata.emplace_back("tokenizer.ggml.token_type", GgufValue::of(types));
  metadata.emplace_back("tokenizer.ggml.bos_token_id", u32(1));
  metadata.emplace_back("tokenizer.ggml.eos_token_id", u32(2));
  metadata.emplace_back("tokenizer.ggml.unknown_token_id", u32(0));
}

void write_random_model(const std::string& path, const RandomModel& m) {
  Writer writer(m);
  const int q = m.num_heads * m.head_dim, kv = m.num_kv_heads * m.head_dim;
  writer.matrix("token_embd.weight", m.vocab_size, m.hidden_size);
  for (int i = 0; i < m.layers; ++i) {
    const std::string b = fmt::format("blk.{}.", i);
    writer.vector(b + "attn_norm.weight", m.hidden_size, 1.0F);
    writer.matrix(b + "attn_q.weight", q, m.hidden_size);
    writer.matrix(b + "attn_k.weight", kv, m.hidden_size);
    writer.matrix(b + "attn_v.weight", kv, m.hidden_size);
    if (m.architecture == "qwen2") {
      writer.vector(b + "attn_q.bias", q, 0.0F);
      writer.vector(b + "attn_k.bias", kv, 0.0F);
      writer.vector(b + "attn_v.bias", kv, 0.0F);
    }
    if (m.architecture.starts_with("qwen3")) {
      writer.vector(b + "attn_q_norm.weight", m.head_dim, 1.0F);
      writer.vector(b + "attn_k_norm.weight", m.head_dim, 1.0F);
    }
    writer.matrix(b + "attn_output.weight", m.hidden_size, q);
    writer.vector(b + "ffn_norm.weight", m.hidden_size, 1.0F);
    if (m.experts > 0) {
      writer.matrix(b + "ffn_gate_inp.weight", m.experts, m.hidden_size);
      writer.stack(b + "ffn_gate_exps.weight", m.experts, m.ffn_size, m.hidden_size);
      writer.stack(b + "ffn_up_exps.weight", m.experts, m.ffn_size, m.hidden_size);
      writer.stack(b + "ffn_down_exps.weight", m.experts, m.hidden_size, m.ffn_size);
      continue;
    }
    writer.matrix(b + "ffn_gate.weight", m.ffn_size, m.hidden_size);
    writer.matrix(b + "ffn_up.weight", m.ffn_size, m.hidden_size);
    writer.matrix(b + "ffn_down.weight", m.hidden_size, m.ffn_size);
  }
  writer.vector("output_norm.weight", m.hidden_size, 1.0F);
  if (!m.tied) writer.matrix("output.weight", m.vocab_size, m.hidden_size);
  writer.write(path, metadata_of(m));
}

std::string temporary_path(const std::string& name) {
  return fmt::format("{}ridgeline-{}-{}", testing::TempDir(), getpid(), name);
}

}  // namespace ridgeline::test
