// Contract 1: the logits of a position depend on the tokens before it in its own
// sequence and on nothing else, bit for bit. Every weight type, KV type, treatment of
// activations and ISA; chunks, company, threads.

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/kv/sequence_blocks.h"
#include "ridgeline/model/model.h"
#include "tests/support/random_model.h"
#include "tests/support/recipe_model.h"

namespace ridgeline {
namespace {

constexpr std::int64_t kMaxRows = 256;
constexpr std::int64_t kPositions = 640;  // beyond one attention span
constexpr int kBlocks = 120;

/// A model on one backend, and the means to run sequences through it. Windowed layers give
/// blocks back behind the window, which others get.
class Runner {
 public:
  Runner(const std::string& path, const BackendOptions& options, DType kv_type) {
    // Models of F32 have nothing that int8 treats.
    auto file = is_int8(options.activations) ? ModelFile::open(path, {.quantize = DType::kF16})
                                             : ModelFile::open(path);
    EXPECT_TRUE(file) << file.error().message;
    auto backend = create_backend(options);
    EXPECT_TRUE(backend) << backend.error().message;
    backend_ = std::move(*backend);
    Model::LoadOptions load;
    load.max_batch_rows = kMaxRows;
    load.max_logit_rows = 1;
    load.max_positions = kPositions;
    auto model = Model::load(*file, *backend_, load);
    EXPECT_TRUE(model) << model.error().message;
    model_ = std::move(*model);
    const KvCacheShape shape = model_->config().kv_shape(kv_type, kBlocks);
    const std::vector<std::int64_t> windows = shape.windows();
    pools_ = std::make_unique<KvPools>(windows, std::vector<int>(windows.size(), kBlocks));
    auto cache = backend_->make_kv_cache(shape);
    EXPECT_TRUE(cache) << cache.error().message;
    cache_ = std::move(*cache);
  }

  struct Sequence {
    explicit Sequence(Runner& runner, std::vector<std::int32_t> ids)
        : tokens(std::move(ids)), blocks(*runner.pools_) {}
    std::vector<std::int32_t> tokens;
    SequenceBlocks blocks;
    std::int64_t done = 0;
  };

  /// Computes up to `count` more tokens of each sequence in one batch; returns the
  /// logits after the last of each.
  std::vector<std::vector<float>> advance(std::vector<Sequence*> sequences, std::int64_t count) {
    Batch batch;
    for (Sequence* s : sequences) {
      const std::int64_t n = std::min(count, static_cast<std::int64_t>(s->tokens.size()) - s->done);
      EXPECT_TRUE(s->blocks.advance(s->done, s->done + n));
      batch.slices.push_back({static_cast<std::int32_t>(batch.rows()), static_cast<std::int32_t>(n),
                              s->done, s->blocks.tables()});
      batch.tokens.insert(batch.tokens.end(), s->tokens.begin() + s->done,
                          s->tokens.begin() + s->done + n);
      batch.logit_rows.push_back(static_cast<std::int32_t>(batch.rows() - 1));
      s->done += n;
    }
    model_->forward(batch, *cache_);
    std::vector<std::vector<float>> logits(sequences.size());
    for (std::size_t i = 0; i < logits.size(); ++i) {
      logits[i].resize(static_cast<std::size_t>(model_->config().vocab_size));
      model_->head(static_cast<std::int64_t>(i), 1, logits[i]);
    }
    return logits;
  }

  /// The logits after the whole of `ids`, computed `chunk` tokens at a time.
  std::vector<float> last_logits(const std::vector<std::int32_t>& ids, std::int64_t chunk) {
    Sequence sequence(*this, ids);
    std::vector<float> logits;
    while (sequence.done < static_cast<std::int64_t>(ids.size()))
      logits = advance({&sequence}, chunk)[0];
    return logits;
  }

 private:
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<KvCache> cache_;
  std::unique_ptr<KvPools> pools_;
};

std::vector<std::int32_t> random_tokens(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::int32_t> ids(count);
  for (auto& id : ids) id = static_cast<std::int32_t>(random() % 259);  // what every model knows
  return ids;
}

::testing::AssertionResult same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0)
    return ::testing::AssertionSuccess();
  for (std::size_t i = 0; i < a.size(); ++i)
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0)
      return ::testing::AssertionFailure() << "logit " << i << ": " << a[i] << " and " << b[i];
  return ::testing::AssertionFailure() << "sizes differ";
}

void expect_invariant(const std::string& path, const BackendOptions& options, DType kv_type,
                      std::size_t length) {
  const std::vector<std::int32_t> prompt = random_tokens(length, 3);
  BackendOptions two = options;
  two.threads = 2;
  Runner runner(path, two, kv_type);
  const std::vector<float> expected = runner.last_logits(prompt, kMaxRows);
  for (float l : expected) ASSERT_TRUE(std::isfinite(l));
  for (std::int64_t chunk : {1, 7, 16, 64}) {
    if (chunk == 1 && length > 200) continue;  // the long case has its own decode below
    EXPECT_TRUE(same_bits(expected, runner.last_logits(prompt, chunk))) << "chunks of " << chunk;
  }

  // Beside others of other lengths, prefill and decode in one batch.
  Runner::Sequence subject(runner, prompt), company_a(runner, random_tokens(97, 5)),
      company_b(runner, random_tokens(40, 6));
  runner.advance({&company_b}, 39);  // decodes its last token in the first step
  std::vector<float> beside;
  for (bool first = true; subject.done < static_cast<std::int64_t>(prompt.size()); first = false) {
    std::vector<Runner::Sequence*> batch;
    if (first) batch.push_back(&company_b);
    batch.push_back(&subject);
    if (company_a.done < 97) batch.push_back(&company_a);
    beside = runner.advance(batch, 50)[first ? 1 : 0];
  }
  EXPECT_TRUE(same_bits(expected, beside)) << "beside others";

  // The last token as a decode step of its own.
  Runner::Sequence decoded(runner, prompt);
  while (decoded.done + 1 < static_cast<std::int64_t>(prompt.size()))
    runner.advance(
        {&decoded},
        std::min<std::int64_t>(100, static_cast<std::int64_t>(prompt.size()) - 1 - decoded.done));
  EXPECT_TRUE(same_bits(expected, runner.advance({&decoded}, 1)[0])) << "as a decode step";

  BackendOptions one = options;
  one.threads = 1;
  Runner alone(path, one, kv_type);
  EXPECT_TRUE(same_bits(expected, alone.last_logits(prompt, kMaxRows))) << "on one thread";
}

class Invariance : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (find_kernels(GetParam()) == nullptr) GTEST_SKIP() << "this CPU lacks " << GetParam();
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    // Threads meet above the kernels: the best instruction set stands for all, at a
    // tenth of the speed.
    if (GetParam() != available_kernels().front()->name)
      GTEST_SKIP() << "one instruction set is enough under a sanitizer";
#endif
  }
};

TEST_P(Invariance, EveryWeightType) {
  for (const DTypeInfo& type : all_dtypes()) {
    if (!is_gguf_type(type.dtype)) continue;  // packed4_test.cpp
    const std::string path = test::temporary_path("weights.gguf");
    test::write_random_model(path, {.dtype = type.dtype});
    for (ActivationPrecision activations :
         {ActivationPrecision::kFast, ActivationPrecision::kExact}) {
      SCOPED_TRACE(std::string(type.name) +
                   (activations == ActivationPrecision::kExact ? ", exact activations" : ""));
      expect_invariant(path, {.isa = GetParam(), .activations = activations}, DType::kF16, 100);
    }
    std::remove(path.c_str());
  }
}

TEST_P(Invariance, EveryKvTypeAndArchitectureBeyondOneSpan) {
  for (const char* architecture : {"llama", "qwen2", "qwen3"}) {
    const std::string path = test::temporary_path("kv.gguf");
    test::write_random_model(path,
                             {.architecture = architecture, .dtype = DType::kQ8_0, .tied = true});
    for (DType kv_type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
      SCOPED_TRACE(std::string(architecture) + ", KV " + std::string(name(kv_type)));
      expect_invariant(path, {.isa = GetParam()}, kv_type, 600);
    }
    std::remove(path.c_str());
  }
}

TEST_P(Invariance, MixturesOfQuantizedExperts) {
  for (DType type : {DType::kBF16, DType::kQ8_0, DType::kQ4_K, DType::kMXFP4}) {
    SCOPED_TRACE(name(type));
    const std::string path = test::temporary_path("experts.gguf");
    test::write_random_model(
        path, {.architecture = "qwen3moe", .dtype = type, .ffn_size = 256, .experts = 9});
    expect_invariant(path, {.isa = GetParam()}, DType::kF16, 100);
    std::remove(path.c_str());
  }
}

// Outliers are a row's own, whatever is beside it: with and without, in layers and experts.
TEST_P(Invariance, Int8AndItsOutliers) {
  for (const auto activations : {ActivationPrecision::kInt8, ActivationPrecision::kLlmInt8})
    for (test::RandomModel model :
         {test::RandomModel{.dtype = DType::kF16},
          test::RandomModel{.architecture = "qwen3moe", .dtype = DType::kBF16, .experts = 9}}) {
      SCOPED_TRACE(std::string(name(activations)) + " " + model.architecture);
      const std::string path = test::temporary_path("int8.gguf");
      model.outliers = 20;
      test::write_random_model(path, model);
      expect_invariant(path, {.isa = GetParam(), .activations = activations}, DType::kF16, 100);
      std::remove(path.c_str());
    }
}

// Latent attention multiplies by head; widths that are no multiple of 32.
TEST_P(Invariance, Int8OfRecipes) {
  for (const char* name : {"deepseek2-lite-old", "deepseek2", "gpt2"}) {
    SCOPED_TRACE(name);
    const std::string path = test::temporary_path("recipe.gguf");
    test::write_recipe_model(path, test::read_recipe(name));
    expect_invariant(path, {.isa = GetParam(), .activations = ActivationPrecision::kLlmInt8},
                     DType::kF16, 100);
    std::remove(path.c_str());
  }
}

// Odd widths, one KV head, windows, two kinds of rotation, caps, other norms and activations.
TEST_P(Invariance, EveryRecipe) {
  for (const std::string& name : test::recipe_names()) {
    const test::RecipeModel recipe = test::read_recipe(name);
    if (recipe.is_encoder()) continue;  // embedding_test.cpp
    SCOPED_TRACE(name);
    const std::string path = test::temporary_path("recipe.gguf");
    test::write_recipe_model(path, recipe);
    for (DType kv_type : {DType::kF16, DType::kQ8_0})
      expect_invariant(path, {.isa = GetParam()}, kv_type, 100);
    std::remove(path.c_str());
  }
}

std::vector<std::string> isa_names() {
  std::vector<std::string> names;
  for (std::string_view name : built_isas()) names.emplace_back(name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Isa, Invariance, testing::ValuesIn(isa_names()),
                         [](const auto& parameter) { return parameter.param; });

}  // namespace
}  // namespace ridgeline
