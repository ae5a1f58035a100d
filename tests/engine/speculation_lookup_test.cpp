// N-gram lookup in a text and in a prediction, against brute force on texts of few different
// tokens.

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "ridgeline/engine/speculation/prompt_lookup.h"
#include "ridgeline/engine/speculation/speculation_options.h"

namespace ridgeline {
namespace {

using Tokens = std::vector<TokenId>;

Tokens random_text(std::mt19937& random, int size, int alphabet) {
  Tokens text(static_cast<std::size_t>(size));
  for (TokenId& token : text)
    token = static_cast<TokenId>(random() % static_cast<unsigned>(alphabet));
  return text;
}

/// Longest end of `query` in `text` behind which there is a token, or an end; the last of these.
TextMatch brute_force(std::span<const TokenId> text, std::span<const TokenId> query) {
  TextMatch best;
  for (std::size_t place = text.size(); place > 0; --place) {
    const std::int64_t length = common_suffix(text.first(place), query, NgramIndex::kLongest);
    if (length > best.length) best = {static_cast<std::int64_t>(place), length};
  }
  return best;
}

/// Calls a drafter for one sequence.
struct Caller {
  Drafter& drafter;
  std::uint64_t sequence = 1;
  std::size_t prompt = 0;
  Tokens prediction = {};
  int most = 8;
  Draft draft = {};

  Draft& operator()(std::span<const TokenId> tokens) {
    draft.clear();
    const DraftRequest request = of(tokens);
    drafter.draft({&request, 1});
    return draft;
  }
  DraftRequest of(std::span<const TokenId> tokens) {
    DraftRequest request;
    request.sequence = sequence;
    request.tokens = tokens;
    request.prompt_tokens = static_cast<std::int64_t>(prompt);
    request.prediction = prediction;
    request.most = most;
    request.draft = &draft;
    return request;
  }
};

Tokens tokens_of(const Draft& draft) {
  Tokens tokens;
  for (const DraftToken& t : draft.tokens) tokens.push_back(t.token);
  return tokens;
}

Tokens range(TokenId first, TokenId end) {
  Tokens tokens(static_cast<std::size_t>(end - first));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

Tokens operator+(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(NgramIndex, FindsTheLastOfTheLongestMatches) {
  std::mt19937 random(1);
  for (const int alphabet : {2, 3, 7}) {
    for (int round = 0; round < 60; ++round) {
      const Tokens text = random_text(random, 1 + static_cast<int>(random() % 70), alphabet);
      const Tokens query = random_text(random, static_cast<int>(random() % 30), alphabet);
      NgramIndex index;
      for (std::size_t size = 0; size < text.size();) {
        size = std::min(text.size(), size + 1 + random() % 9);
        const auto known = std::span(text).first(size);
        index.extend(known);
        EXPECT_EQ(index.size(), std::ssize(known));
        const TextMatch match = index.find(known, query), expected = brute_force(known, query);
        ASSERT_EQ(match.length, expected.length);
        ASSERT_EQ(match.end, expected.end);
      }
    }
  }
}

TEST(NgramIndex, GrowsWithItsText) {
  std::mt19937 random(2);
  const Tokens text = random_text(random, 3000, 40);
  NgramIndex once, bit_by_bit;
  once.extend(text);
  for (std::size_t size = 1; size <= text.size(); ++size)
    bit_by_bit.extend(std::span(text).first(size));
  for (int i = 0; i < 500; ++i) {
    const Tokens query = random_text(random, 4, 40);
    const TextMatch a = once.find(text, query), b = bit_by_bit.find(text, query);
    ASSERT_EQ(a.end, b.end);
    ASSERT_EQ(a.length, b.length);
  }
  EXPECT_LE(once.bytes(), text.size() * 64 + 4096);
}

TEST(NgramIndex, LooksAtTheLastPlacesOnlyWhereThereAreMany) {
  // 1 2 and another token, over and over; the one place where 0 stood before is too long ago.
  Tokens text = {0, 1, 2, 3};
  for (TokenId t = 0; t < 4 * NgramIndex::kCandidates; ++t) text = text + Tokens{100 + t, 1, 2};
  NgramIndex index;
  index.extend(text);
  const TextMatch match = index.find(text, Tokens{0, 1, 2});
  EXPECT_EQ(match.length, 2);
  EXPECT_EQ(match.end, std::ssize(text));
}

TEST(PromptLookup, DraftsWhatFollowedTheLastOfTheLongestMatches) {
  std::mt19937 random(3);
  for (const int alphabet : {2, 3, 7}) {
    for (int round = 0; round < 60; ++round) {
      PromptLookup lookup;
      Caller call{lookup};
      const Tokens text = random_text(random, 70, alphabet);
      for (std::size_t size = random() % 20; size < text.size(); size += 1 + random() % 4) {
        const auto known = std::span(text).first(size);
        const Draft& draft = call(known);
        const TextMatch match = size == 0 ? TextMatch{} : brute_force(known.first(size - 1), known);
        if (match.length == 0) {
          ASSERT_TRUE(draft.tokens.empty());
          continue;
        }
        Tokens expected(known.begin(), known.end());
        ASSERT_EQ(draft.tokens.size(), 8u);
        for (std::size_t i = 0; i < 8; ++i) {
          expected.push_back(expected[static_cast<std::size_t>(match.end) + i]);
          ASSERT_EQ(draft.tokens[i].token, expected.back());
          ASSERT_EQ(draft.tokens[i].confidence,
                    PromptLookup::confidence(match.length + static_cast<std::int64_t>(i)));
        }
      }
    }
  }
}

TEST(PromptLookup, ConfidenceGrowsWithTheMatch) {
  EXPECT_EQ(PromptLookup::confidence(1), 0);
  EXPECT_EQ(PromptLookup::confidence(1000), kConfidenceClasses - 1);
  for (std::int64_t length = 0; length < 100; ++length)
    EXPECT_LE(PromptLookup::confidence(length), PromptLookup::confidence(length + 1));
}

TEST(PromptLookup, DraftsPeriodsToFullLength) {
  for (const TokenId period : {1, 2, 3, 7}) {
    PromptLookup lookup;
    Caller call{lookup};
    call.most = kMaxDraft;
    Tokens text = {50, 51};
    for (int i = 0; i <= period; ++i) text.push_back(i % period);
    const Draft& draft = call(text);
    ASSERT_EQ(draft.tokens.size(), static_cast<std::size_t>(call.most));
    for (int i = 0; i < call.most; ++i)
      EXPECT_EQ(draft.tokens[static_cast<std::size_t>(i)].token, (period + 1 + i) % period);
  }
}

TEST(PromptLookup, KeepsSequencesApart) {
  PromptLookup lookup;
  Caller a{lookup, 1}, b{lookup, 2};
  const Tokens text = {1, 2, 3, 4, 1, 2}, other = {7, 8, 9, 1, 2};
  EXPECT_EQ(tokens_of(a(text)), (Tokens{3, 4, 1, 2, 3, 4, 1, 2}));
  EXPECT_TRUE(b(other).tokens.empty());
  EXPECT_GT(lookup.bytes(), 0u);
  lookup.finish(a.of(text));
  lookup.finish(Caller{lookup, 77}.of(text));  // unknown
  // Its number is another's now.
  EXPECT_TRUE(a(other).tokens.empty());
  const std::size_t bytes = lookup.bytes();
  for (std::uint64_t id = 10; id < 1000; ++id) {
    Caller c{lookup, id};
    c(text);
    lookup.finish(c.of(text));
  }
  // But for the table of the sequences' names.
  EXPECT_LE(lookup.bytes(), bytes + 1000);
}

TEST(PromptLookup, ShorterTextIsAnotherSequence) {
  PromptLookup lookup;
  Caller call{lookup};
  call(Tokens{1, 2, 3, 4, 1, 2});
  EXPECT_TRUE(call(Tokens{5, 1, 2}).tokens.empty());
}

TEST(PromptLookup, FollowsThePrediction) {
  PromptLookup lookup;
  Caller call{lookup};
  call.prompt = 2;
  call.most = 4;
  call.prediction = range(0, 100);
  const Tokens prompt = {500, 501};
  Tokens text = prompt;
  EXPECT_EQ(tokens_of(call(text)), range(0, 4));
  text = text + range(0, 10);
  EXPECT_EQ(tokens_of(call(text)), range(10, 14));
  text = text + Tokens{600};  // for 10
  EXPECT_EQ(tokens_of(call(text)), range(11, 15));
  EXPECT_EQ(call.draft.tokens[0].confidence, 0);
  text = text + range(11, 20);
  EXPECT_EQ(tokens_of(call(text)), range(20, 24));
  text = text + Tokens{30};  // 20 to 29 are left out
  EXPECT_EQ(tokens_of(call(text)), range(31, 35));
  text = text + range(31, 40) + Tokens{700, 701, 702, 703, 40};  // inserted
  EXPECT_EQ(tokens_of(call(text)), range(41, 45));
  text = text + range(41, 43) + Tokens{90, 91};  // far away
  EXPECT_EQ(tokens_of(call(text)), range(92, 96));
  text = text + range(92, 98);
  EXPECT_EQ(tokens_of(call(text)), range(98, 100));  // its end
  text = text + range(98, 100);
  EXPECT_TRUE(call(text).tokens.empty());
}

TEST(PromptLookup, GoesOnInThePredictionBehindTheChange) {
  PromptLookup lookup;
  Caller call{lookup};
  call.most = 2;
  // 1 2 stands at three places; the output is about to come to the second.
  call.prediction = {10, 1, 2, 11, 20, 21, 22, 1, 2, 12, 30, 31};
  call.prediction = call.prediction + range(200, 250) + Tokens{1, 2, 13};
  Tokens text = {10, 1, 2, 11, 20, 99};
  call(text);
  text = text + Tokens{1, 2};
  EXPECT_EQ(tokens_of(call(text)), (Tokens{12, 30}));
}

TEST(PromptLookup, TakesTheLongerMatchOfTextAndPrediction) {
  PromptLookup lookup;
  Caller call{lookup};
  call.prompt = 5;
  call.most = 2;
  call.prediction = {70, 71, 72, 3, 80, 81};
  const Tokens prompt = {1, 2, 3, 4, 5};
  call(prompt);
  EXPECT_EQ(tokens_of(call(prompt + Tokens{1, 2, 3})), (Tokens{4, 5}));
  Caller other{lookup, 2, 5, call.prediction, 2};
  EXPECT_EQ(tokens_of(other(prompt + Tokens{72, 3})), (Tokens{80, 81}));
}

}  // namespace
}  // namespace ridgeline
