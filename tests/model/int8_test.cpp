// LLM.int8() (Dettmers et al. 2022) on trained weights: what rounding by rows loses to a few
// large features, and how much of it treating those apart wins back.

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <deque>
#include <iostream>

#include "ridgeline/format/gguf.h"
#include "ridgeline/kv/block_table.h"
#include "ridgeline/model/model.h"
#include "ridgeline/model/pack_plan.h"
#include "ridgeline/quant/block_format.h"

namespace ridgeline {
namespace {

constexpr const char* kModel = RIDGELINE_SOURCE_DIR "/models/fireside-q8_0.gguf";
constexpr std::string_view kText =
    "Once upon a time, there was a little fox who lived at the edge of a quiet wood. Every morning "
    "she went down to the river to look at the fish. One day she saw a big red boat. \"What is "
    "that?\" she asked her friend, the old duck. \"It is a boat,\" said the duck. \"People sit in "
    "it and go far away.\" The fox wanted to go far away too. She jumped into the boat and the "
    "boat began to move. At first she was happy and laughed, but soon the wood was small behind "
    "her and she was afraid. \"Help!\" she cried. The duck swam after her and took the rope in his "
    "mouth. He pulled and pulled until the boat was back. \"Thank you,\" said the fox. She hugged "
    "her friend and they went home together. From that day on, she looked at the fish and let the "
    "boat be.";
/// Features of the residual stream that are large in every layer, as in models of some billion
/// parameters (section 4 of the paper).
constexpr std::array kOutliers{5, 77, 130};

bool reads_norm(const std::string& name) {
  for (const char* end :
       {"attn_q.weight", "attn_k.weight", "attn_v.weight", "ffn_gate.weight", "ffn_up.weight"})
    if (name.ends_with(end)) return true;
  return false;
}
bool is_norm(const std::string& name) {
  return name.ends_with("attn_norm.weight") || name.ends_with("ffn_norm.weight");
}

/// The bundled model in F16, its outlier features `factor` times as large behind the norms,
/// and the weights that read them as much smaller: the same function.
Checkpoint planted(float factor) {
  Checkpoint::Contents contents = std::move(open_gguf(kModel).value()).take();
  const auto storage = std::make_shared<std::deque<std::vector<std::byte>>>();
  for (TensorView& t : contents.tensors) {
    std::vector<float> values(static_cast<std::size_t>(t.elements()));
    decode(t.dtype, t.data, t.elements(), values.data());
    const float by = is_norm(t.name) ? factor : reads_norm(t.name) ? 1.0F / factor : 1.0F;
    for (std::size_t row = 0; row < values.size(); row += static_cast<std::size_t>(t.cols()))
      for (const int feature : kOutliers) values[row + static_cast<std::size_t>(feature)] *= by;
    t.dtype = matrices_in(t) > 0 ? DType::kF16 : DType::kF32;
    t.bytes = row_bytes(t.dtype, t.elements());
    storage->emplace_back(t.bytes);
    encode(t.dtype, values.data(), t.elements(), storage->back().data());
    t.data = storage->back().data();
  }
  const std::shared_ptr<const void> text = contents.owner;
  contents.owner =
      std::make_shared<std::pair<std::shared_ptr<const void>, std::shared_ptr<const void>>>(
          text, storage);
  return Checkpoint(std::move(contents));
}

/// The logits of all positions, [tokens][vocabulary].
std::vector<float> logits_of(const Checkpoint& file, ActivationPrecision activations,
                             const std::vector<TokenId>& tokens) {
  const auto n = static_cast<std::int64_t>(tokens.size());
  auto backend = create_backend({.threads = 2, .isa = {}, .activations = activations}).value();
  Model::LoadOptions load;
  load.max_batch_rows = load.max_logit_rows = load.max_positions = n;
  auto model = Model::load(file, read_model_config(file).value(), *backend, load).value();
  BlockPool pool(blocks_for(n));
  auto cache =
      backend->make_kv_cache(model->config().kv_shape(DType::kF32, pool.capacity())).value();
  BlockTable blocks(pool);
  EXPECT_TRUE(blocks.reserve(n));
  Batch batch;
  batch.tokens = tokens;
  batch.slices = {{0, static_cast<std::int32_t>(n), 0, blocks.blocks()}};
  for (std::int32_t i = 0; i < n; ++i) batch.logit_rows.push_back(i);
  model->forward(batch, *cache);
  std::vector<float> logits(static_cast<std::size_t>(n * model->config().vocab_size));
  model->head(0, n, logits);
  return logits;
}

std::vector<double> log_softmax(std::span<const float> logits) {
  double max = -INFINITY, sum = 0;
  for (const float l : logits) max = std::max(max, double{l});
  for (const float l : logits) sum += std::exp(double{l} - max);
  std::vector<double> out;
  for (const float l : logits) out.push_back(double{l} - max - std::log(sum));
  return out;
}

struct Loss {
  double kl = 0, nll = 0;  ///< means, in nats
};
Loss loss(const std::vector<float>& base, const std::vector<float>& logits,
          const std::vector<TokenId>& tokens) {
  const std::size_t vocabulary = logits.size() / tokens.size(), scored = tokens.size() - 1;
  Loss sum;
  for (std::size_t i = 0; i < scored; ++i) {
    const auto at = [&](const std::vector<float>& all) {
      return log_softmax(std::span(all).subspan(i * vocabulary, vocabulary));
    };
    const std::vector<double> p = at(base), q = at(logits);
    for (std::size_t v = 0; v < vocabulary; ++v) sum.kl += std::exp(p[v]) * (p[v] - q[v]);
    sum.nll -= q[static_cast<std::size_t>(tokens[i + 1])];
  }
  return {sum.kl / static_cast<double>(scored), sum.nll / static_cast<double>(scored)};
}

TEST(LlmInt8, WinsBackNineTenthsOfWhatInt8LosesToOutliers) {
  const std::vector<TokenId> tokens = ModelFile::open(kModel)->tokenizer().value()->encode(kText);
  ASSERT_GT(tokens.size(), 150u);
  const std::vector<float> base = logits_of(planted(1), ActivationPrecision::kExact, tokens);
  double loss_before = 0;
  for (const float factor : {1.0F, 60.0F, 240.0F}) {
    SCOPED_TRACE(factor);
    const Checkpoint file = planted(factor);
    const auto of = [&](ActivationPrecision activations) {
      const Loss l = loss(base, logits_of(file, activations, tokens), tokens);
      std::cout << "outliers x " << factor << ", " << name(activations) << ": KL " << l.kl
                << ", NLL " << l.nll << '\n';
      return l;
    };
    const Loss exact = of(ActivationPrecision::kExact);
    const Loss plain = of(ActivationPrecision::kInt8);
    const Loss apart = of(ActivationPrecision::kLlmInt8);
    EXPECT_LT(exact.kl, 1e-5);  // the same function, but for F16's roundings
    EXPECT_LT(apart.kl, 0.001);
    EXPECT_GT(plain.kl, 5 * loss_before);
    loss_before = plain.kl;
    if (factor == 1.0F) continue;  // there is little to win back yet
    const double kl = (plain.kl - apart.kl) / (plain.kl - exact.kl);
    const double nll = (plain.nll - apart.nll) / (plain.nll - exact.nll);
    std::cout << "recovered: " << 100 * kl << " % of KL, " << 100 * nll << " % of NLL\n";
    EXPECT_GE(kl, 0.9);
    if (plain.kl < 0.1) continue;  // of this few tokens, the NLL is too uncertain
    EXPECT_GE(nll, 0.9);
    EXPECT_GT(plain.nll, exact.nll + 0.1);
  }
  EXPECT_GT(loss_before, 0.1);
}

}  // namespace
}  // namespace ridgeline
