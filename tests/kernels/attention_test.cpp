#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "tests/kernels/paged_cache.h"
#include "tests/kernels/vector_isa.h"

namespace ridgeline::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr DType kKvTypes[] = {DType::kF16, DType::kBF16, DType::kF32, DType::kQ8_0};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class Attention : public VectorKernels {
 protected:
  /// Does it multiply a Q8_0 cache in bytes?
  bool byte_dots() const { return table->name == "avx512vnni"; }
  /// Those for which the ISA has attention of its own.
  std::span<const DType> kv_types() const {
    return byte_dots() ? std::span(kKvTypes).last(1) : std::span(kKvTypes);
  }

  /// A cache whose positions [0, length) hold random K and V.
  PagedCache filled_cache(DType dtype, int head_dim, std::int64_t length, unsigned seed = 1,
                          unsigned placement = 7, int value_dim = 0, bool latent = false) const {
    PagedCache cache(*find_kv_kernel(*table, dtype), head_dim, length, placement, value_dim,
                     latent);
    const auto n = static_cast<std::size_t>(length);
    const auto k = random_floats(n * static_cast<std::size_t>(head_dim), seed);
    const auto v = random_floats(n * static_cast<std::size_t>(cache.value_dim()), seed + 1);
    for (std::int64_t t = 0; t < length; ++t)
      cache.store(t, k.data() + t * head_dim, v.data() + t * cache.value_dim());
    return cache;
  }

  void expect_reference(const PagedCache& cache, const Queries& q, std::int64_t begin,
                        std::int64_t end, const Rules& rules = {}) const {
    const std::vector<float> out = attend(*table, cache, q, begin, end, false, rules, end);
    const float* actual = out.data();
    for (std::int64_t position = begin; position < end; ++position) {
      for (int head = 0; head < q.group; ++head, actual += cache.value_dim()) {
        const Reference expected = reference_attention(
            cache, q.row(position, head), rules.first_seen(position),
            rules.causal ? position + 1 : end, fused_multiply_add(), rules.softcap,
            rules.sinks.empty() ? nullptr : &rules.sinks[static_cast<std::size_t>(head)],
            cache.kernel().dtype == DType::kQ8_0 && byte_dots());
        for (int d = 0; d < cache.value_dim(); ++d) {
          const auto i = static_cast<std::size_t>(d);
          ASSERT_NEAR(static_cast<double>(actual[d]), expected.out[i], expected.bound[i])
              << name(cache.kernel().dtype) << " head_dim " << q.head_dim << " group " << q.group
              << " position " << position << " head " << head << " d " << d << " window "
              << rules.window << " softcap " << rules.softcap << " sinks " << rules.sinks.size()
              << " causal " << rules.causal << " latent " << cache.latent();
        }
      }
    }
  }

  /// All of [begin, end) as calls of at most `step` positions.
  std::vector<float> attend_in_steps(const PagedCache& cache, const Queries& q, std::int64_t begin,
                                     std::int64_t end, std::int64_t step,
                                     const Rules& rules = {}) const {
    std::vector<float> all;
    for (std::int64_t at = begin; at < end; at += step) {
      const auto part = attend(*table, cache, q, at, std::min(end, at + step), true, rules, end);
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }
};

TEST_P(Attention, MatchesDoublePrecision) {
  const int groups[] = {1, 2, 3, 4, 7, 8};
  std::size_t turn = 0;
  for (std::int64_t length : {1, 15, 16, 17, 63, 64, 65, 511, 512, 513, 514, 1025}) {
    for (int head_dim : {8, 10, 24, 40, 64, 80, 128}) {
      for (DType dtype : kv_types()) {
        const int group = groups[turn++ % std::size(groups)];
        const PagedCache cache = filled_cache(dtype, head_dim, length);
        const std::int64_t begin = std::max<std::int64_t>(0, length - 3);
        const Queries q = random_queries(head_dim, group, begin, length - begin, 11, 2.0F);
        expect_reference(cache, q, begin, length);
      }
    }
    ++turn;
  }
}

TEST_P(Attention, MatchesDoublePrecisionForWideHeadsAndGroups) {
  for (int head_dim : {2, 96, 192, 256}) {
    for (int group : {5, 6, 16, 32, 71}) {
      const PagedCache cache = filled_cache(DType::kF16, head_dim, 150);
      expect_reference(cache, random_queries(head_dim, group, 148, 2, 12), 148, 150);
    }
  }
}

TEST_P(Attention, WholePromptMatchesDoublePrecision) {
  for (const DType dtype : {DType::kF16, DType::kQ8_0})
    expect_reference(filled_cache(dtype, 64, 130), random_queries(64, 4, 0, 130, 13), 0, 130);
}

// Where levels become floats, they become what an F32 cache of the same numbers holds.
TEST_P(Attention, QuantizedCacheIsItsDecodedNumbers) {
  if (byte_dots()) GTEST_SKIP() << "rounds q and p too";
  for (const int head_dim : {8, 40, 64}) {
    const PagedCache quantized = filled_cache(DType::kQ8_0, head_dim, 150);
    PagedCache decoded(*find_kv_kernel(*table, DType::kF32), head_dim, 150, 3);
    std::vector<float> k(static_cast<std::size_t>(head_dim)), v(k.size());
    for (std::int64_t t = 0; t < 150; ++t) {
      for (int d = 0; d < head_dim; ++d) {
        k[static_cast<std::size_t>(d)] = static_cast<float>(quantized.k_at(t, d));
        v[static_cast<std::size_t>(d)] = static_cast<float>(quantized.v_at(t, d));
      }
      decoded.store(t, k.data(), v.data());
    }
    const Queries q = random_queries(head_dim, 4, 140, 10, 15);
    EXPECT_TRUE(
        same_bits(attend(*table, decoded, q, 140, 150), attend(*table, quantized, q, 140, 150)))
        << head_dim;
  }
}

// A token whose V is far smaller than the others' keeps its precision under a weight near 1.
TEST_P(Attention, QuantizedValuesOfUnequalSize) {
  PagedCache cache(*find_kv_kernel(*table, DType::kQ8_0), 64, 100, 3);
  for (std::int64_t t = 0; t < 100; ++t) {
    auto k = random_floats(64, static_cast<unsigned>(t)),
         v = random_floats(64, 500U + static_cast<unsigned>(t));
    if (t == 5 || t == 70)
      for (std::size_t d = 0; d < 64; ++d) k[d] *= 4.0F, v[d] *= 1e-3F;
    cache.store(t, k.data(), v.data());
  }
  expect_reference(cache, random_queries(64, 4, 90, 10, 21, 2.0F), 90, 100);
}

// Contract 1: a row's bits do not depend on which rows share its call.
TEST_P(Attention, AnySplitOfThePositionsGivesTheSameBits) {
  struct Shape {
    int head_dim, group;
    std::int64_t length;
  };
  const Shape shapes[] = {{8, 2, 90},   {10, 1, 150}, {64, 1, 600}, {64, 3, 130}, {64, 4, 590},
                          {64, 7, 100}, {80, 4, 100}, {128, 8, 80}, {128, 2, 560}};
  for (const Shape& s : shapes) {
    for (DType dtype : kv_types()) {
      const PagedCache cache = filled_cache(dtype, s.head_dim, s.length);
      const Queries q = random_queries(s.head_dim, s.group, 0, s.length, 17);
      const auto at_once = attend(*table, cache, q, 0, s.length);
      for (std::int64_t step : {1, 7, 16, table->attention_tile_positions(s.group)})
        ASSERT_TRUE(same_bits(at_once, attend_in_steps(cache, q, 0, s.length, step)))
            << name(dtype) << " head_dim " << s.head_dim << " group " << s.group << " step "
            << step;
    }
  }
}

TEST_P(Attention, PlacementOfBlocksDoesNotMatter) {
  for (DType dtype : kv_types()) {
    const Queries q = random_queries(64, 4, 700, 9, 19);
    const auto expected = attend(*table, filled_cache(dtype, 64, 709, 1, 7), q, 700, 709);
    EXPECT_TRUE(
        same_bits(expected, attend(*table, filled_cache(dtype, 64, 709, 1, 8), q, 700, 709)));
  }
}

// Slots that a row may not see: free ones of the last block (NaN from the start, see
// PagedCache), and those of later positions.
TEST_P(Attention, LaterPositionsLeaveNoTrace) {
  for (DType dtype : kv_types()) {
    for (int group : {1, 4, 7}) {
      const int head_dim = 64;
      const std::int64_t length = 150;
      const Queries q = random_queries(head_dim, group, 0, length, 23);
      const PagedCache clean = filled_cache(dtype, head_dim, length);
      const auto expected = attend(*table, clean, q, 0, length);
      for (const std::int64_t poisoned : {1, 15, 16, 63, 64, 70, 127, 128, 149}) {
        PagedCache cache = filled_cache(dtype, head_dim, length);
        for (std::int64_t t = poisoned; t < length; ++t) {
          const std::vector<float> nan(static_cast<std::size_t>(head_dim), t % 2 ? kNan : kInf);
          cache.store(t, nan.data(), nan.data());
        }
        // Seen by later rows of the same call, which become NaN; unseen by the others.
        auto actual = attend(*table, cache, q, 0, length);
        const auto seen = static_cast<std::size_t>(poisoned * group * head_dim);
        EXPECT_EQ(0, std::memcmp(actual.data(), expected.data(), seen * sizeof(float)))
            << name(dtype) << " group " << group << " from " << poisoned;
        for (std::size_t i = seen; i < actual.size(); ++i) ASSERT_TRUE(std::isnan(actual[i])) << i;
      }
    }
  }
}

TEST_P(Attention, SequenceThatEndsInsideABlockIgnoresTheRest) {
  const Queries q = random_queries(64, 4, 0, 70, 29);
  PagedCache cache(*find_kv_kernel(*table, DType::kF16), 64, 160, 3);
  const auto k = random_floats(70 * 64, 31), v = random_floats(70 * 64, 32);
  for (std::int64_t t = 0; t < 70; ++t) {
    cache.store(t, k.data() + t * 64, v.data() + t * 64);
    // The rest of the cache is NaN; reading ahead of it is allowed and has no effect.
    const auto out = attend(*table, cache, q, t, t + 1, t % 2 == 0);
    for (float x : out) ASSERT_TRUE(std::isfinite(x)) << "position " << t;
  }
}

TEST_P(Attention, NanStaysInItsOwnRow) {
  const PagedCache cache = filled_cache(DType::kF16, 64, 100);
  Queries q = random_queries(64, 4, 40, 60, 37);
  const auto expected = attend(*table, cache, q, 40, 100);
  const std::size_t bad_row = 17 * 4 + 2;  // position 57, head 2
  q.values[static_cast<std::size_t>(17 * q.stride + 2 * 64 + 5)] = kNan;
  const auto actual = attend(*table, cache, q, 40, 100);
  for (std::size_t row = 0; row < 240; ++row) {
    if (row == bad_row) {
      for (std::size_t d = 0; d < 64; ++d) EXPECT_TRUE(std::isnan(actual[row * 64 + d]));
    } else {
      EXPECT_EQ(0, std::memcmp(&actual[row * 64], &expected[row * 64], 64 * sizeof(float))) << row;
    }
  }
}

TEST_P(Attention, LargeScoresPickTheBestPosition) {
  PagedCache cache(*find_kv_kernel(*table, DType::kF32), 16, 200, 3);
  for (std::int64_t t = 0; t < 200; ++t) {
    std::vector<float> k(16, 0.0F), v(16, static_cast<float>(t));
    k[0] = t == 77 ? 3e18F : -1e18F * static_cast<float>(t % 3);
    cache.store(t, k.data(), v.data());
  }
  Queries q = random_queries(16, 1, 199, 1, 41);
  q.values.assign(q.values.size(), 1e18F);
  for (float x : attend(*table, cache, q, 199, 200)) EXPECT_EQ(x, 77.0F);
}

TEST_P(Attention, InfiniteScoresDoNotCrash) {
  for (float k0 : {kInf, -kInf}) {
    PagedCache cache = filled_cache(DType::kF32, 16, 100);
    std::vector<float> k(16, 0.0F), v(16, 1.0F);
    k[0] = k0;
    cache.store(3, k.data(), v.data());
    Queries q = random_queries(16, 1, 99, 1, 43);
    q.values.assign(q.values.size(), 1.0F);
    const auto out = attend(*table, cache, q, 99, 100);
    // A position with a score of -inf has no weight; +inf has no defined softmax.
    for (float x : out) EXPECT_EQ(std::isnan(x), k0 > 0);
  }
}

TEST_P(Attention, WeightsAreExponentialsToThreeUnits) {
  // Two positions with V = 0 and 1: the result is e^-x / (1 + e^-x).
  PagedCache cache(*find_kv_kernel(*table, DType::kF32), 16, 2, 3);
  Queries q = random_queries(16, 1, 1, 1, 47);
  q.values.assign(q.values.size(), 0.0F);
  q.values[0] = 1.0F;
  const std::vector<float> zero(16, 0.0F), one(16, 1.0F);
  cache.store(0, zero.data(), zero.data());
  for (int i = 0; i <= 4000; ++i) {
    std::vector<float> k(16, 0.0F);
    k[0] = -4.0F * 80.0F * static_cast<float>(i) / 4000.0F;  // scale is 1/4
    cache.store(1, k.data(), one.data());
    const double p = std::exp(static_cast<double>(k[0]) / 4);
    // Beside the exponential's own error, that of its argument, relative to 1.
    const double bound = std::ldexp(p, -24) * (3 + 4 * std::abs(static_cast<double>(k[0]) / 4));
    ASSERT_NEAR(static_cast<double>(attend(*table, cache, q, 1, 2)[0]), p / (1 + p), bound) << k[0];
  }
}

TEST_P(Attention, MergingASpanThatARowDoesNotSeeChangesNothing) {
  // Positions 510..513 in one call: the first two rows see nothing of the second span.
  const PagedCache cache = filled_cache(DType::kF16, 64, 514);
  const Queries q = random_queries(64, 4, 510, 4, 53);
  const auto together = attend(*table, cache, q, 510, 514);
  EXPECT_TRUE(same_bits(together, attend_in_steps(cache, q, 510, 514, 1)));
}

// Even a negative zero, which adding an empty span would turn into a positive one.
TEST_P(Attention, UnseenSpanKeepsTheSignOfZero) {
  PagedCache cache(*find_kv_kernel(*table, DType::kF32), 16, 514, 3);
  std::vector<float> k(16, 0.0F), v(16, 0.0F);
  for (std::int64_t t = 0; t < 510; ++t) cache.store(t, k.data(), v.data());
  // The last position that row 510 sees has a low weight, so that its product underflows.
  k.assign(16, -1.0F);
  v.assign(16, -std::numeric_limits<float>::denorm_min());
  for (std::int64_t t = 510; t < 514; ++t) cache.store(t, k.data(), v.data());
  Queries q = random_queries(16, 1, 510, 4, 61);
  q.values.assign(q.values.size(), 1.0F);
  const auto alone = attend(*table, cache, q, 510, 511);
  if (fused_multiply_add()) {
    EXPECT_TRUE(std::signbit(alone[0]));
  }
  EXPECT_EQ(0, std::memcmp(attend(*table, cache, q, 510, 514).data(), alone.data(), 64));
}

TEST_P(Attention, WritesOnlyItsOwnHeads) {
  const PagedCache cache = filled_cache(DType::kF16, 10, 20);
  const Queries q = random_queries(10, 2, 18, 2, 59);
  std::vector<float> state(4 * table->attention_state_floats(10));
  std::vector<float> scratch(table->attention_scratch_floats(10, 10, false));
  AttentionSpan span{};
  span.kv_dtype = DType::kF16;
  span.head_dim = span.value_dim = 10;
  span.group = 2;
  span.positions = 2;
  span.first_position = 18;
  span.span_end = 20;
  span.scale = 1.0F;
  span.q = q.row(18, 0);
  span.q_position_stride = q.stride;
  span.block_table = cache.table();
  span.k_cache = cache.k();
  span.v_cache = cache.v();
  span.block_stride = cache.stride();
  span.state = state.data();
  span.scratch = scratch.data();
  table->attention_span(span);
  std::vector<float> out(2 * 33, 5.0F);
  table->attention_finish(state.data(), 10, 2, 2, nullptr, out.data() + 3, 33);
  for (std::size_t i = 0; i < out.size(); ++i)
    EXPECT_EQ(out[i] == 5.0F, i % 33 < 3 || i % 33 >= 23) << i;
}

TEST_P(Attention, TilesAreWholeAndBounded) {
  for (int group = 1; group <= 300; ++group) {
    const int positions = table->attention_tile_positions(group);
    EXPECT_GE(positions, 1);
    EXPECT_LE(positions * group, std::max(group, 192));
  }
}

// --- windows, soft-caps, sinks, both directions, latent caches ------------------

struct CacheShape {
  int head_dim, value_dim;
  bool latent;
  std::vector<int> groups;
};
const CacheShape kCacheShapes[] = {
    {64, 64, false, {1, 7, 8}}, {10, 10, false, {16, 2}}, {256, 256, false, {1, 4}},
    {48, 20, false, {3, 1}},    {40, 24, true, {1, 7}},   {576, 512, true, {16, 1, 128}},
};

std::vector<Rules> all_rules(int group, std::int64_t window) {
  std::vector<Rules> rules;
  for (const float softcap : {0.0F, 1.5F})
    for (const bool sinks : {false, true})
      for (const bool causal : {true, false}) {
        if (!causal && window > 0) continue;
        rules.push_back({window, softcap, {}, causal});
        if (sinks) rules.back().sinks = random_floats(static_cast<std::size_t>(group), 71, 4.0F);
      }
  return rules;
}

TEST_P(Attention, EveryRuleMatchesDoublePrecision) {
  std::size_t turn = 0;
  for (const CacheShape& s : kCacheShapes) {
    for (const DType dtype : kv_types()) {
      for (const std::int64_t window : {0, 1, 17, 64, 100, 600}) {
        const int group = s.groups[turn % s.groups.size()];
        // Long enough that the window leaves spans behind; a wide reference takes its time.
        const bool wide = s.head_dim * group > 2000;
        const std::int64_t length = wide ? 131 : window > 0 && turn % 2 == 0 ? 1100 : 150;
        const std::int64_t rows = wide ? 1 : 3;
        const PagedCache cache =
            filled_cache(dtype, s.head_dim, length, 73, 7, s.value_dim, s.latent);
        const Queries q = random_queries(s.head_dim, group, length - rows, rows, 79, 2.0F);
        for (const Rules& rules : all_rules(group, window)) {
          // Without causality the queries are a slice of a whole sequence.
          if (wide && turn++ % 3 != 0) continue;
          expect_reference(cache, q, length - rows, length, rules);
          if (HasFatalFailure()) return;
        }
        ++turn;
      }
    }
  }
}

TEST_P(Attention, AnySplitGivesTheSameBitsUnderEveryRule) {
  std::size_t turn = 0;
  for (const CacheShape& s : kCacheShapes) {
    for (const DType dtype : kv_types()) {
      const int group = s.groups[turn++ % s.groups.size()];
      const bool wide = s.head_dim * group > 2000;
      const std::int64_t begin = wide ? 495 : 440, length = begin + (wide ? 20 : 90);
      const PagedCache cache =
          filled_cache(dtype, s.head_dim, length, 83, 7, s.value_dim, s.latent);
      const Queries q = random_queries(s.head_dim, group, begin, length - begin, 89, 2.0F);
      for (const std::int64_t window : {0, 1, 40, 130}) {
        Rules rules{window, turn % 2 == 0 ? 2.0F : 0.0F, {}, window > 0 || turn % 3 == 0};
        if (turn++ % 4 < 2) rules.sinks = random_floats(static_cast<std::size_t>(group), 97);
        const auto at_once = attend(*table, cache, q, begin, length, false, rules, length);
        for (const std::int64_t step : {1, 17})
          ASSERT_TRUE(same_bits(at_once, attend_in_steps(cache, q, begin, length, step, rules)))
              << name(dtype) << " head_dim " << s.head_dim << " group " << group << " window "
              << window << " causal " << rules.causal << " step " << step;
      }
    }
  }
}

// What lies before a window may hold anything, and whole blocks of it need not be there.
TEST_P(Attention, WhatIsBehindTheWindowLeavesNoTrace) {
  std::size_t turn = 0;
  for (const CacheShape& s : kCacheShapes) {
    const int group = s.groups[turn++ % s.groups.size()];
    for (const std::int64_t window : {1, 5, 16, 63, 64, 65, 200, 513}) {
      const DType dtype = kv_types()[turn++ % kv_types().size()];
      const std::int64_t length = 700, begin = 640 + static_cast<std::int64_t>(turn % 7);
      const Rules rules{window, 0, {}, true};
      PagedCache cache = filled_cache(dtype, s.head_dim, length, 101, 7, s.value_dim, s.latent);
      const Queries q = random_queries(s.head_dim, group, begin, 9, 103);
      const auto expected = attend(*table, cache, q, begin, begin + 9, false, rules);
      const std::int64_t first = rules.first_seen(begin);
      const std::vector<float> nan(static_cast<std::size_t>(s.head_dim), kNan);
      for (std::int64_t t = 0; t < first; ++t) cache.store(t, nan.data(), nan.data());
      for (std::int64_t b = 0; b < first / kKvBlockTokens; ++b) cache.free_block(b);
      EXPECT_TRUE(same_bits(expected, attend(*table, cache, q, begin, begin + 9, true, rules)))
          << name(dtype) << " head_dim " << s.head_dim << " group " << group << " window "
          << window;
    }
  }
}

TEST_P(Attention, SoftCapsAreTanhToFourUnits) {
  // Two positions with V = 0 and 1, the first with a score of 0: the result is
  // e^c / (1 + e^c) for a capped score of c.
  PagedCache cache(*find_kv_kernel(*table, DType::kF32), 16, 2, 3);
  Queries q = random_queries(16, 1, 1, 1, 107);
  q.values.assign(q.values.size(), 0.0F);
  q.values[0] = 1.0F;
  const std::vector<float> zero(16, 0.0F), one(16, 1.0F);
  cache.store(0, zero.data(), zero.data());
  for (const float cap : {0.5F, 50.0F}) {
    for (int i = -3000; i <= 3000; ++i) {
      const float score = cap * static_cast<float>(i) / 300.0F;
      std::vector<float> k(16, 0.0F);
      k[0] = 4.0F * score;  // scale is 1/4
      cache.store(1, k.data(), one.data());
      const double c = static_cast<double>(cap) * std::tanh(static_cast<double>(score / cap));
      const double p = std::exp(c);
      // The capped score's error, that of the exponential's argument and of itself.
      const double relative = std::ldexp(4 * std::abs(c) + 2 * std::abs(c) + 6, -24);
      ASSERT_NEAR(static_cast<double>(attend(*table, cache, q, 1, 2, false, {.softcap = cap})[0]),
                  p / (1 + p), p / (1 + p) * relative)
          << cap << " " << score;
    }
  }
}

RIDGELINE_INSTANTIATE_VECTOR_TESTS(Attention);

}  // namespace
}  // namespace ridgeline::test
