// The suffix automaton against brute force on texts of few different tokens, and the drafter that
// looks into recent outputs with it.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>

#include "ridgeline/engine/speculation/recent_outputs.h"

namespace ridgeline {
namespace {

using Tokens = std::vector<TokenId>;

Tokens random_text(std::mt19937& random, int size, int alphabet) {
  Tokens text(static_cast<std::size_t>(size));
  for (TokenId& token : text)
    token = static_cast<TokenId>(random() % static_cast<unsigned>(alphabet));
  return text;
}

Tokens range(TokenId first, TokenId end) {
  Tokens tokens(static_cast<std::size_t>(end - first));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

/// Occurrences of the last `length` tokens of `query`, and what followed them.
struct Occurrences {
  std::uint32_t count = 0;
  std::map<TokenId, std::uint32_t> next;
};
Occurrences occurrences(const std::vector<Tokens>& texts, std::span<const TokenId> query,
                        std::size_t length) {
  Occurrences found;
  const auto end = query.last(length);
  for (const Tokens& text : texts) {
    for (std::size_t i = 0; i + length <= text.size(); ++i) {
      if (!std::equal(end.begin(), end.end(), text.begin() + static_cast<std::ptrdiff_t>(i)))
        continue;
      ++found.count;
      if (i + length < text.size()) ++found.next[text[i + length]];
    }
  }
  return found;
}

std::size_t longest(const std::vector<Tokens>& texts, std::span<const TokenId> query) {
  std::size_t length = 0;
  while (length < query.size() && occurrences(texts, query, length + 1).count > 0) ++length;
  return length;
}

void expect_equal(const SuffixAutomaton& automaton, const std::vector<Tokens>& texts,
                  std::span<const TokenId> query, SuffixAutomaton::Match match) {
  const std::size_t length = static_cast<std::size_t>(match.length);
  ASSERT_LE(length, query.size());
  if (length == 0) return;
  const Occurrences expected = occurrences(texts, query, length);
  const auto next = automaton.likeliest(match.state);
  ASSERT_EQ(next.has_value(), !expected.next.empty());
  if (!next) return;
  std::uint32_t most = 0;
  for (const auto& [token, count] : expected.next) most = std::max(most, count);
  EXPECT_EQ(next->of, expected.count);
  EXPECT_EQ(next->count, most);
  EXPECT_EQ(expected.next.at(next->token), most);
}

void append(SuffixAutomaton& automaton, const Tokens& text) {
  automaton.begin_text();
  for (const TokenId token : text) ASSERT_TRUE(automaton.append(token));
}

void expect_all_equal(const SuffixAutomaton& automaton, const std::vector<Tokens>& texts,
                      const Tokens& query) {
  SuffixAutomaton::Match match;
  for (std::size_t size = 1; size <= query.size(); ++size) {
    automaton.advance(match, query[size - 1]);
    const auto known = std::span(query).first(size);
    ASSERT_EQ(static_cast<std::size_t>(match.length), longest(texts, known));
    expect_equal(automaton, texts, known, match);
  }
}

TEST(SuffixAutomaton, KnowsAllSubstringsAndWhatFollowsThem) {
  std::mt19937 random(1);
  SuffixAutomaton automaton(1 << 16);
  // More often than there are epochs, after which the table is wiped.
  for (int round = 0; round < 600; ++round) {
    automaton.clear();
    std::vector<Tokens> texts;
    const int alphabet = 2 + static_cast<int>(random() % 4);
    const int size = round % 10 == 0 ? 24 : 6;
    for (unsigned i = 0; i < 1 + random() % 5; ++i) {
      texts.push_back(random_text(random, 1 + static_cast<int>(random() % 24), alphabet));
      append(automaton, texts.back());
      expect_all_equal(automaton, texts, random_text(random, size, alphabet));
      if (HasFatalFailure()) return;
    }
    EXPECT_LE(automaton.states(), static_cast<std::size_t>(2 * automaton.tokens() + 1));
  }
}

TEST(SuffixAutomaton, MatchesStayRightWhileTextsAreAppended) {
  std::mt19937 random(2);
  for (int round = 0; round < 100; ++round) {
    SuffixAutomaton automaton(1 << 16);
    std::vector<Tokens> texts;
    SuffixAutomaton::Match match;
    Tokens query;
    for (int i = 0; i < 12; ++i) {
      texts.push_back(random_text(random, 8, 3));
      append(automaton, texts.back());
      automaton.settle(match);
      expect_equal(automaton, texts, query, match);
      for (const TokenId token : random_text(random, 3, 3)) {
        query.push_back(token);
        automaton.advance(match, token);
        expect_equal(automaton, texts, query, match);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(SuffixAutomaton, LeavesEverythingAsItWasWhereThereIsNoRoom) {
  std::mt19937 random(3);
  for (const std::size_t bytes : {0u, 2000u, 4000u}) {
    SuffixAutomaton automaton(bytes);
    const std::size_t before = automaton.bytes();
    std::vector<Tokens> texts;
    bool room = true;
    while (room) {
      automaton.begin_text();
      texts.emplace_back();
      for (const TokenId token : random_text(random, 10, 6)) {
        room = automaton.append(token);
        if (!room) {
          EXPECT_FALSE(automaton.append(token));
          break;
        }
        texts.back().push_back(token);
      }
    }
    EXPECT_GT(automaton.tokens(), 4);
    for (int i = 0; i < 10; ++i) expect_all_equal(automaton, texts, random_text(random, 12, 6));
    EXPECT_LE(automaton.bytes(), before + 1024);
    EXPECT_LE(before, std::max<std::size_t>(bytes, 1024));
    automaton.clear();
    EXPECT_TRUE(automaton.append(7));
  }
}

TEST(SuffixAutomaton, OneTokenOverAndOver) {
  SuffixAutomaton automaton(1 << 22);
  append(automaton, Tokens(20000, 5));
  SuffixAutomaton::Match match;
  for (int i = 0; i < 30000; ++i) automaton.advance(match, 5);
  EXPECT_EQ(match.length, 20000);
  EXPECT_FALSE(automaton.likeliest(match.state));
  automaton.shorten(match);
  EXPECT_EQ(automaton.likeliest(match.state)->token, 5);
}

/// Calls a drafter for one sequence.
struct Caller {
  RecentOutputs& drafter;
  std::uint64_t sequence = 1;
  std::size_t prompt = 0;
  bool shared = true;
  int most = 4;
  Draft draft = {};

  DraftRequest of(std::span<const TokenId> tokens) {
    DraftRequest request;
    request.sequence = sequence;
    request.tokens = tokens;
    request.prompt_tokens = static_cast<std::int64_t>(prompt);
    request.shared = shared;
    request.most = most;
    request.draft = &draft;
    return request;
  }
  Tokens operator()(std::span<const TokenId> tokens) {
    draft.clear();
    const DraftRequest request = of(tokens);
    drafter.draft({&request, 1});
    Tokens drafted;
    for (const DraftToken& t : draft.tokens) {
      EXPECT_LT(t.confidence, kConfidenceClasses);
      drafted.push_back(t.token);
    }
    return drafted;
  }
  void finish(std::span<const TokenId> tokens) { drafter.finish(of(tokens)); }
};

constexpr std::size_t kBytes = 1 << 18;

TEST(RecentOutputs, DraftsWhatOthersSaid) {
  RecentOutputs recent(kBytes);
  Caller first{recent, 1, 3}, second{recent, 2};
  EXPECT_TRUE(second(Tokens{100, 101}).empty());
  first.finish(range(97, 110));  // of which 97 to 99 are the prompt
  EXPECT_EQ(second(Tokens{100, 101}), range(102, 106));
  EXPECT_EQ(second(Tokens{100, 101, 102, 103, 104, 105, 106}), range(107, 110));  // its end
  EXPECT_TRUE(Caller(recent, 3)(Tokens{97, 98, 99}).empty());
  // A sequence that was cancelled has said something too.
  second.finish(Tokens{300, 301, 302, 303});
  EXPECT_EQ(Caller(recent, 4)(Tokens{300, 301}), range(302, 304));
  EXPECT_EQ(recent.tokens(), 10 + 4);
}

TEST(RecentOutputs, NoDraftRunsFromOneOutputIntoTheNext) {
  RecentOutputs recent(kBytes);
  Caller(recent, 1).finish(range(0, 10));
  Caller(recent, 2).finish(range(20, 30));
  EXPECT_EQ(Caller(recent, 3)(range(5, 9)), range(9, 10));
  EXPECT_TRUE(Caller(recent, 4)(range(5, 10)).empty());
}

TEST(RecentOutputs, NothingPassesFromOrToOnesThatAreNotShared) {
  RecentOutputs recent(kBytes);
  Caller secret{recent, 1, 0, false};
  secret(range(0, 5));
  secret.finish(range(0, 10));
  EXPECT_EQ(recent.tokens(), 0);
  Caller open{recent, 2};
  EXPECT_TRUE(open(range(0, 5)).empty());
  open.finish(range(0, 10));
  EXPECT_TRUE(secret(range(0, 5)).empty());
  EXPECT_EQ(Caller(recent, 3)(range(0, 5)), range(5, 9));
}

TEST(RecentOutputs, PrefersWhatFollowedMoreOften) {
  RecentOutputs recent(kBytes);
  for (const TokenId next : {7, 8, 7, 9}) Caller(recent, 1).finish(Tokens{1, 2, 3, next, next});
  EXPECT_EQ(Caller(recent, 2)(Tokens{1, 2, 3}).at(0), 7);
  Caller(recent, 1).finish(Tokens{1, 2, 3, 9, 9});  // as often, and later
  EXPECT_EQ(Caller(recent, 2)(Tokens{6, 1, 2, 3}).at(0), 9);
}

TEST(RecentOutputs, ConfidenceGrowsWithShareAndLength) {
  EXPECT_LT(RecentOutputs::confidence(4, 1, 4), RecentOutputs::confidence(4, 2, 4));
  EXPECT_LT(RecentOutputs::confidence(4, 2, 4), RecentOutputs::confidence(4, 3, 4));
  EXPECT_LT(RecentOutputs::confidence(4, 3, 4), RecentOutputs::confidence(4, 4, 4));
  for (std::int64_t length = 1; length < 100; ++length) {
    EXPECT_LE(RecentOutputs::confidence(length, 1, 1), RecentOutputs::confidence(length, 9, 9));
    for (const std::uint32_t of : {1u, 9u})
      EXPECT_LE(RecentOutputs::confidence(length, of, of),
                RecentOutputs::confidence(length + 1, of, of));
  }
  EXPECT_EQ(RecentOutputs::confidence(1, 1, 1), 0);
  EXPECT_EQ(RecentOutputs::confidence(1000, 1, 1), kConfidenceClasses - 1);
}

/// Each output says tokens of its own; the newest ones are known, the memory is not exceeded.
TEST(RecentOutputs, ForgetsTheOldest) {
  RecentOutputs recent(kBytes);
  constexpr int kOutputs = 300;
  constexpr TokenId kSize = 50;
  for (int i = 0; i < kOutputs; ++i) {
    Caller(recent, 1).finish(range(i * kSize, (i + 1) * kSize));
    EXPECT_LE(recent.bytes(), kBytes + 8192);
  }
  std::uint64_t id = 10;
  std::int64_t known = 0;
  bool forgotten = false;
  for (int i = kOutputs - 1; i >= 0; --i) {
    const Tokens draft = Caller(recent, ++id)(range(i * kSize, i * kSize + 6));
    if (draft == range(i * kSize + 6, i * kSize + 10)) {
      EXPECT_FALSE(forgotten) << "output " << i;
      known += kSize;
    } else {
      EXPECT_TRUE(draft.empty() || known + kSize > recent.tokens()) << "output " << i;
      forgotten = true;
    }
  }
  EXPECT_TRUE(forgotten);
  EXPECT_LE(std::abs(known - recent.tokens()), kSize);
  EXPECT_GT(known, static_cast<std::int64_t>(kBytes / 2 / 100));
}

/// What live sequences draft is what a new sequence with the same tokens would.
TEST(RecentOutputs, LiveSequencesFollowWhatIsLearntAndForgotten) {
  std::mt19937 random(4);
  RecentOutputs recent(4096);  // a generation is some dozen tokens
  std::vector<Tokens> live(4);
  std::int64_t before = 0;
  int dropped = 0;
  for (int step = 0; step < 3000; ++step) {
    if (random() % 8 == 0) Caller(recent, 1).finish(random_text(random, 12, 4));
    if (recent.tokens() < before) ++dropped;
    before = recent.tokens();
    for (std::size_t s = 0; s < live.size(); ++s) {
      for (unsigned n = 0; n < 1 + random() % 3; ++n)
        live[s].push_back(static_cast<TokenId>(random() % 4));
      const Tokens drafted = Caller(recent, 10 + s)(live[s]);
      ASSERT_EQ(drafted, Caller(recent, 100)(live[s]));
      recent.finish(Caller(recent, 100, live[s].size()).of(live[s]));  // with no output
      if (random() % 64 == 0) {
        recent.finish(Caller(recent, 10 + s, live[s].size()).of(live[s]));
        live[s].clear();
      }
    }
  }
  EXPECT_GT(dropped, 10);
}

TEST(RecentOutputs, LearnsLongOutputsInPortions) {
  RecentOutputs recent(1 << 20);
  const auto size = static_cast<TokenId>(3 * RecentOutputs::kLearntPerCall);
  const std::size_t empty = recent.bytes();
  Caller(recent, 1).finish(range(0, size));
  EXPECT_EQ(recent.tokens(), RecentOutputs::kLearntPerCall);
  EXPECT_GT(recent.bytes(), empty + 2 * RecentOutputs::kLearntPerCall * sizeof(TokenId));
  Caller(recent, 2).finish(range(-20, -10));
  EXPECT_EQ(recent.tokens(), 2 * RecentOutputs::kLearntPerCall);
  EXPECT_EQ(Caller(recent, 3)(range(500, 510)), range(510, 514));
  EXPECT_EQ(Caller(recent, 4)(range(size - 9, size - 3)), range(size - 3, size));
  EXPECT_EQ(Caller(recent, 5)(range(-20, -13)), range(-13, -10));
}

TEST(RecentOutputs, WhatWaitsIsBounded) {
  RecentOutputs recent(kBytes);
  const std::size_t empty = recent.bytes();
  for (int i = 0; i < 200; ++i) Caller(recent, 1).finish(Tokens(5000, i));
  EXPECT_LE(recent.bytes(),
            empty + RecentOutputs::kMostWaiting * sizeof(TokenId) + 100 * sizeof(Tokens) + 8192);
  // The last one is still learnt.
  Caller other{recent, 2};
  Tokens text(4, 199), draft;
  for (int i = 0; i < 1000 && draft.empty(); ++i) draft = other(text);
  EXPECT_EQ(draft, Tokens(4, 199));
}

}  // namespace
}  // namespace ridgeline
