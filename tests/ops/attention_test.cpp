// Attention as models call it: groups of layers with block tables of their own, blocks that
// are freed and reused, threads. The kernels' own results are tests/kernels/attention_test.cpp's.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "ridgeline/kv/sequence_blocks.h"
#include "ridgeline/ops/cpu/cpu_backend.h"

namespace ridgeline {
namespace {

constexpr int kKvHeads = 2, kHeads = 6, kHeadDim = 24;
constexpr std::int64_t kMaxRows = 64, kMaxPositions = 1200;

std::vector<float> random_floats(std::int64_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& v : values) v = normal(random);
  return values;
}

Matrix matrix(std::vector<float>& values, std::int64_t cols) {
  return {values.data(), static_cast<std::int64_t>(values.size()) / cols, cols, cols};
}

std::unique_ptr<CpuBackend> make_backend(int threads, const Backend::Limits& limits) {
  auto backend = CpuBackend::create({.threads = threads, .isa = {}, .pin = false});
  EXPECT_TRUE(backend) << backend.error().message;
  EXPECT_TRUE((*backend)->reserve(limits));
  return std::move(*backend);
}
const Backend::Limits kLimits{.max_rows = kMaxRows,
                              .max_cols = kHeads * kHeadDim,
                              .max_positions = kMaxPositions,
                              .query_heads = kHeads,
                              .kv_heads = kKvHeads,
                              .head_dim = kHeadDim};

/// Q, K and V of one sequence in every layer.
struct Inputs {
  Inputs(std::int64_t tokens, int layers, unsigned seed) : length(tokens) {
    for (int i = 0; i < layers; ++i) {
      const unsigned s = seed + 3 * static_cast<unsigned>(i);
      q.push_back(random_floats(length * kHeads * kHeadDim, s));
      k.push_back(random_floats(length * kKvHeads * kHeadDim, s + 1));
      v.push_back(random_floats(length * kKvHeads * kHeadDim, s + 2));
    }
  }
  std::int64_t length;
  std::vector<std::vector<float>> q, k, v;  ///< by layer: [position][...]
};

/// Every position alone, in a cache that keeps everything: [position][heads * head_dim].
std::vector<float> one_by_one(CpuBackend& backend, Inputs& in, int layer, DType dtype,
                              const AttentionParams& params) {
  const KvCacheShape shape{dtype, 1, kKvHeads, kHeadDim, blocks_for(in.length)};
  auto cache = std::move(*backend.make_kv_cache(shape));
  BlockPool pool(shape.blocks);
  BlockTable table(pool);
  EXPECT_TRUE(table.reserve(in.length));
  const auto i = static_cast<std::size_t>(layer);
  std::vector<float> out(in.q[i].size());
  for (std::int64_t p = 0; p < in.length; ++p) {
    const SequenceSlice slice{0, 1, p, table.blocks()};
    backend.append_kv(*cache, 0, matrix(in.k[i], kKvHeads * kHeadDim).slice_rows(p, 1),
                      matrix(in.v[i], kKvHeads * kHeadDim).slice_rows(p, 1), {&slice, 1});
    backend.attention(*cache, 0, matrix(in.q[i], kHeads * kHeadDim).slice_rows(p, 1), {&slice, 1},
                      params, matrix(out, kHeads * kHeadDim).slice_rows(p, 1));
  }
  return out;
}

/// All blocks of a group that no table holds become NaN.
void poison_free_blocks(CpuKvCache& cache, int layer, const std::vector<KvBlockTables>& tables) {
  const int group = cache.group(layer);
  std::vector<bool> held(static_cast<std::size_t>(cache.shape().blocks_of(group)), false);
  for (const KvBlockTables& t : tables)
    for (const BlockId id : t[group])
      if (id != kNoBlock) held[static_cast<std::size_t>(id)] = true;
  for (std::size_t b = 0; b < held.size(); ++b)
    if (!held[b])
      std::memset(cache.k(layer, 0) + b * cache.block_stride(), 0xff, cache.block_stride());
}

class Threads : public testing::TestWithParam<int> {};

TEST_P(Threads, FreedBlocksAreReusedAndLeaveNoTrace) {
  const std::vector<std::int64_t> windows{40, 0, 40, 130};  // three groups
  const std::vector<float> sinks = random_floats(kHeads, 5);
  auto backend = make_backend(GetParam(), kLimits);
  auto single = make_backend(1, kLimits);
  const auto rules = [&](std::size_t layer) {
    AttentionParams params{.scale = 0.3F, .window = windows[layer]};
    if (layer == 2) params.sinks = sinks.data();
    if (layer == 3) params.softcap = 2.0F;
    return params;
  };
  std::mt19937 random(31);
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32, DType::kQ8_0}) {
    std::vector<Inputs> inputs;
    for (const std::int64_t length : {700, 90, 333, 17, 250, 1})
      inputs.emplace_back(length, 4, 100 * static_cast<unsigned>(inputs.size()));
    // Room for two or three at a time.
    KvCacheShape shape{dtype, 4, kKvHeads, kHeadDim, 0};
    shape.layer_windows = windows;
    shape.group_blocks = {12, 70, 25};
    auto cache = std::move(*backend->make_kv_cache(shape));
    KvPools pools(shape.windows(), shape.group_blocks);
    constexpr std::int64_t kMostStep = 30;

    struct Running {
      std::size_t input;
      SequenceBlocks blocks;
      std::int64_t done = 0;
      std::vector<std::vector<float>> out = std::vector<std::vector<float>>(4);
    };
    std::vector<Running> running;
    std::size_t next = 0;
    while (next < inputs.size() || !running.empty()) {
      SequenceBlocks blocks(pools);
      if (next < inputs.size() && blocks.could_grow(inputs[next].length, kMostStep, 0))
        running.push_back({next++, std::move(blocks)});
      ASSERT_FALSE(running.empty());
      // A step: a random number of tokens of each, mostly one.
      std::vector<SequenceSlice> slices;
      std::vector<KvBlockTables> tables;
      std::int32_t rows = 0;
      for (Running& r : running) {
        const std::int64_t most =
            random() % 2 == 0 ? 1 : 1 + static_cast<std::int64_t>(random() % kMostStep);
        std::int64_t n = std::min({most, inputs[r.input].length - r.done, kMaxRows - rows});
        if (n > 0 && !r.blocks.advance(r.done, r.done + n)) n = 0;
        tables.push_back(r.blocks.tables());
        if (n == 0) continue;
        slices.push_back({rows, static_cast<std::int32_t>(n), r.done, r.blocks.tables()});
        rows += static_cast<std::int32_t>(n);
      }
      if (rows == 0) {  // all wait for blocks: the last one begins anew, later
        next = running.back().input;
        running.pop_back();
        continue;
      }
      for (std::size_t layer = 0; layer < 4; ++layer) {
        poison_free_blocks(static_cast<CpuKvCache&>(*cache), static_cast<int>(layer), tables);
        std::vector<float> q, k, v;
        const auto gather = [&](std::vector<float>& to, const std::vector<float>& from,
                                std::int64_t cols, std::int64_t begin, std::int64_t n) {
          to.insert(to.end(), from.begin() + begin * cols, from.begin() + (begin + n) * cols);
        };
        auto slice = slices.begin();
        for (const Running& r : running) {
          if (slice == slices.end() || slice->first_position != r.done ||
              slice->block_tables[0].data() != r.blocks.tables()[0].data())
            continue;
          const Inputs& in = inputs[r.input];
          gather(q, in.q[layer], kHeads * kHeadDim, r.done, slice->rows);
          gather(k, in.k[layer], kKvHeads * kHeadDim, r.done, slice->rows);
          gather(v, in.v[layer], kKvHeads * kHeadDim, r.done, slice->rows);
          ++slice;
        }
        std::vector<float> out(q.size());
        backend->append_kv(*cache, static_cast<int>(layer), matrix(k, kKvHeads * kHeadDim),
                           matrix(v, kKvHeads * kHeadDim), slices);
        backend->attention(*cache, static_cast<int>(layer), matrix(q, kHeads * kHeadDim), slices,
                           rules(layer), matrix(out, kHeads * kHeadDim));
        slice = slices.begin();
        for (Running& r : running) {
          if (slice == slices.end() || slice->first_position != r.done ||
              slice->block_tables[0].data() != r.blocks.tables()[0].data())
            continue;
          gather(r.out[layer], out, kHeads * kHeadDim, slice->first_row, slice->rows);
          ++slice;
        }
      }
      auto slice = slices.begin();
      for (Running& r : running)
        if (slice != slices.end() && slice->block_tables[0].data() == r.blocks.tables()[0].data())
          r.done += (slice++)->rows;
      for (auto r = running.begin(); r != running.end();) {
        if (r->done < inputs[r->input].length) {
          ++r;
          continue;
        }
        for (std::size_t layer = 0; layer < 4; ++layer) {
          const auto expected =
              one_by_one(*single, inputs[r->input], static_cast<int>(layer), dtype, rules(layer));
          ASSERT_EQ(expected.size(), r->out[layer].size());
          EXPECT_EQ(0, std::memcmp(expected.data(), r->out[layer].data(),
                                   expected.size() * sizeof(float)))
              << name(dtype) << " sequence " << r->input << " layer " << layer;
        }
        r = running.erase(r);
      }
    }
    EXPECT_TRUE(pools.unused());
  }
}

// Decoding shares an item's spans out to threads; with a window only those that are seen.
TEST_P(Threads, SplitSpansGiveTheSameBits) {
  auto backend = make_backend(GetParam(), kLimits);
  auto single = make_backend(1, kLimits);
  Inputs in(1200, 1, 900);
  for (const std::int64_t window : {0, 300, 700}) {
    const AttentionParams params{.scale = 0.2F, .window = window};
    const auto expected = one_by_one(*single, in, 0, DType::kF16, params);
    const auto actual = one_by_one(*backend, in, 0, DType::kF16, params);
    EXPECT_EQ(0, std::memcmp(expected.data(), actual.data(), expected.size() * sizeof(float)))
        << "window " << window;
  }
}

// 128 query heads share one latent head: each gets what it gets alone.
TEST_P(Threads, HeadsOfALatentCacheDoNotMeet) {
  constexpr int kLatentHeads = 128, kKeyDim = 72, kValueDim = 64;
  constexpr std::int64_t kTokens = 70;
  const Backend::Limits limits{.max_rows = kTokens,
                               .max_cols = kLatentHeads * kKeyDim,
                               .max_positions = kTokens,
                               .query_heads = kLatentHeads,
                               .kv_heads = 1,
                               .head_dim = kKeyDim,
                               .value_dim = kValueDim,
                               .latent = true};
  auto backend = make_backend(GetParam(), limits);
  KvCacheShape shape{DType::kBF16, 1, 1, kKeyDim, blocks_for(kTokens), kValueDim, true};
  EXPECT_EQ(*backend->kv_block_bytes(shape, 0), 16u * 80 * 2);  // padded to 80, no V
  auto cache = std::move(*backend->make_kv_cache(shape));
  BlockPool pool(shape.blocks);
  BlockTable table(pool);
  ASSERT_TRUE(table.reserve(kTokens));
  auto k = random_floats(kTokens * kKeyDim, 1);
  auto q = random_floats(kTokens * kLatentHeads * kKeyDim, 2);
  const auto sinks = random_floats(kLatentHeads, 3);
  std::vector<float> together(static_cast<std::size_t>(kTokens * kLatentHeads * kValueDim));
  const SequenceSlice whole{0, static_cast<std::int32_t>(kTokens), 0, table.blocks()};
  backend->append_kv(*cache, 0, matrix(k, kKeyDim), Matrix{}, {&whole, 1});
  AttentionParams params{.scale = 0.1F, .sinks = sinks.data()};
  backend->attention(*cache, 0, matrix(q, kLatentHeads * kKeyDim), {&whole, 1}, params,
                     matrix(together, kLatentHeads * kValueDim));
  for (const int head : {0, 1, 47, 48, 100, 127}) {
    std::vector<float> alone(kValueDim);
    params.sinks = sinks.data() + head;
    const std::int64_t p = 60 + head % 10;
    const SequenceSlice row{0, 1, p, table.blocks()};
    backend->attention(*cache, 0,
                       {q.data() + (p * kLatentHeads + head) * kKeyDim, 1, kKeyDim, kKeyDim},
                       {&row, 1}, params, matrix(alone, kValueDim));
    EXPECT_EQ(
        0, std::memcmp(alone.data(),
                       &together[static_cast<std::size_t>((p * kLatentHeads + head) * kValueDim)],
                       kValueDim * sizeof(float)))
        << "head " << head;
  }
}

// As encoders read: every row sees all of its slice, whichever slices run beside it.
TEST_P(Threads, BothDirectionsSeeTheWholeSlice) {
  auto backend = make_backend(GetParam(), kLimits);
  Inputs a(40, 1, 1), b(19, 1, 2);
  const AttentionParams params{.scale = 0.2F, .causal = false};
  const auto run = [&](std::vector<Inputs*> all) {
    auto cache = std::move(*backend->make_kv_cache({DType::kF32, 1, kKvHeads, kHeadDim, 8}));
    BlockPool pool(8);
    std::vector<BlockTable> tables;
    std::vector<SequenceSlice> slices;
    std::vector<float> q, k, v;
    std::int32_t rows = 0;
    tables.reserve(all.size());
    for (Inputs* in : all) {
      tables.emplace_back(pool);
      EXPECT_TRUE(tables.back().reserve(in->length));
      slices.push_back({rows, static_cast<std::int32_t>(in->length), 0, tables.back().blocks()});
      rows += static_cast<std::int32_t>(in->length);
      q.insert(q.end(), in->q[0].begin(), in->q[0].end());
      k.insert(k.end(), in->k[0].begin(), in->k[0].end());
      v.insert(v.end(), in->v[0].begin(), in->v[0].end());
    }
    std::vector<float> out(q.size());
    backend->append_kv(*cache, 0, matrix(k, kKvHeads * kHeadDim), matrix(v, kKvHeads * kHeadDim),
                       slices);
    backend->attention(*cache, 0, matrix(q, kHeads * kHeadDim), slices, params,
                       matrix(out, kHeads * kHeadDim));
    return out;
  };
  const auto beside = run({&b, &a}), alone = run({&a});
  ASSERT_EQ(beside.size() - static_cast<std::size_t>(19 * kHeads * kHeadDim), alone.size());
  EXPECT_EQ(0, std::memcmp(beside.data() + 19 * kHeads * kHeadDim, alone.data(),
                           alone.size() * sizeof(float)));
  // The first row sees the last token: another V there changes it.
  a.v[0].back() += 1.0F;
  EXPECT_NE(run({&a})[kHeads * kHeadDim - 1], alone[kHeads * kHeadDim - 1]);
}

INSTANTIATE_TEST_SUITE_P(Pools, Threads, testing::Values(1, 2));

TEST(KvCacheShape, GroupsLayersByWindow) {
  KvCacheShape shape{DType::kF16, 5, 2, 64, 10};
  EXPECT_EQ(shape.windows(), std::vector<std::int64_t>{0});
  EXPECT_EQ(shape.layers_of(0), 5);
  shape.layer_windows = {512, 0, 512, 0, 512};
  EXPECT_EQ(shape.windows(), (std::vector<std::int64_t>{512, 0}));
  EXPECT_EQ(shape.group(3), 1);
  EXPECT_EQ(shape.layers_of(0), 3);
  EXPECT_EQ(shape.blocks_of(1), 10);
  auto backend = CpuBackend::create({.threads = 1, .isa = {}, .pin = false});
  ASSERT_TRUE(backend);
  EXPECT_EQ(*(*backend)->kv_block_bytes(shape, 0), 3u * 2 * 2 * 64 * 16 * 2);
  shape.group_blocks = {4, 10};
  EXPECT_EQ((*(*backend)->make_kv_cache(shape))->bytes(), (3u * 4 + 2 * 10) * 2 * 2 * 64 * 16 * 2);
  shape.layer_windows = {1, 2, 3, 4, 5};
  shape.group_blocks.clear();
  const auto refused = (*backend)->make_kv_cache(shape);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "the model's layers have 5 different attention windows, expected 4 at most");
}

}  // namespace
}  // namespace ridgeline
