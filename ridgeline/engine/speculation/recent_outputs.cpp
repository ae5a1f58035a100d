#include "ridgeline/engine/speculation/recent_outputs.h"

#include <algorithm>
#include <utility>

namespace ridgeline {
namespace {

/// The match and its longest suffix that occurs at more places. On wiki and source text the
/// second one puts a quarter more right tokens into classes 4 to 7, at the same hit rates; a
/// third and fourth one add nothing.
constexpr int kSuffixes = 2;

SuffixAutomaton::Match walk(const SuffixAutomaton& automaton, std::span<const TokenId> tokens) {
  SuffixAutomaton::Match match;
  for (const TokenId token : tokens) automaton.advance(match, token);
  return match;
}

/// What the surest of a match and its suffixes says: what always followed a short match is surer
/// than what followed a longer one once.
std::optional<DraftToken> guess(const SuffixAutomaton& automaton, SuffixAutomaton::Match match) {
  std::optional<DraftToken> best;
  for (int i = 0; i < kSuffixes && match.length > 0; ++i) {
    if (const auto next = automaton.likeliest(match.state)) {
      const std::uint8_t confidence =
          RecentOutputs::confidence(match.length, next->count, next->of);
      if (!best || confidence > best->confidence) best = {next->token, confidence};
    }
    automaton.shorten(match);
  }
  return best;
}

}  // namespace

RecentOutputs::RecentOutputs(std::size_t bytes) : young_(bytes / 2), old_(bytes / 2) {}

std::uint8_t RecentOutputs::confidence(std::int64_t length, std::uint32_t count, std::uint32_t of) {
  if (count < of) {
    const std::uint64_t percent = std::uint64_t{count} * 100 / of;
    return percent < 40 ? 0 : percent < 60 ? 1 : percent < 80 ? 2 : 4;
  }
  if (of == 1) {
    return length < 2 ? 0 : length < 3 ? 1 : length < 5 ? 2 : length < 9 ? 3 : length < 17 ? 5 : 7;
  }
  return length < 2 ? 3 : length < 3 ? 4 : length < 5 ? 5 : length < 17 ? 6 : 7;
}

/// Appends what waits to the young automaton, up to kLearntPerCall tokens.
void RecentOutputs::learn() {
  if (waiting_.empty()) return;
  ++learnt_;
  for (std::int64_t left = kLearntPerCall; left > 0 && !waiting_.empty();) {
    const std::vector<TokenId>& output = waiting_.front();
    if (first_waiting_ == output.size()) {
      young_.begin_text();
      waiting_.pop_front();
      first_waiting_ = 0;
    } else if (young_.append(output[first_waiting_])) {
      ++first_waiting_;
      --num_waiting_;
      --left;
    } else {
      std::swap(young_, old_);
      young_.clear();
      ++dropped_;
    }
  }
}

void RecentOutputs::follow(const DraftRequest& request, Sequence& sequence) const {
  const std::span<const TokenId> tokens = request.tokens;
  const auto end = tokens.last(static_cast<std::size_t>(std::min(std::ssize(tokens), kWalked)));
  const std::int64_t came = std::ssize(tokens) - sequence.seen;
  if (sequence.dropped != dropped_ || came < 0 || came > kWalked) {
    sequence.young = walk(young_, end);
    sequence.old = walk(old_, end);
  } else {
    const bool learnt = sequence.learnt != learnt_;
    if (learnt) young_.settle(sequence.young);
    for (const TokenId token : tokens.subspan(static_cast<std::size_t>(sequence.seen))) {
      young_.advance(sequence.young, token);
      old_.advance(sequence.old, token);
    }
    // What was learnt may hold more of it than what was known.
    if (learnt && sequence.young.length < kWalked) sequence.young = walk(young_, end);
  }
  sequence.seen = std::ssize(tokens);
  sequence.learnt = learnt_;
  sequence.dropped = dropped_;
}

void RecentOutputs::draft(std::span<const DraftRequest> requests) {
  learn();
  for (const DraftRequest& request : requests) {
    if (!request.shared) continue;
    Sequence& sequence = sequences_[request.sequence];
    follow(request, sequence);
    const bool old = sequence.old.length > sequence.young.length;
    const SuffixAutomaton& automaton = old ? old_ : young_;
    SuffixAutomaton::Match match = old ? sequence.old : sequence.young;
    for (int i = 0; i < request.most; ++i) {
      const std::optional<DraftToken> next = guess(automaton, match);
      if (!next) break;
      request.draft->tokens.push_back(*next);
      if (next->confidence == 0) break;  // what would follow is not worth a row
      automaton.advance(match, next->token);
    }
  }
}

void RecentOutputs::finish(const DraftRequest& request) {
  sequences_.erase(request.sequence);
  if (!request.shared) return;
  const auto output = output_of(request);
  if (!output.empty()) {
    waiting_.emplace_back(output.begin(), output.end());
    num_waiting_ += std::ssize(output);
  }
  while (num_waiting_ > kMostWaiting && waiting_.size() > 1) {
    num_waiting_ -= std::ssize(waiting_.front()) - static_cast<std::int64_t>(first_waiting_);
    waiting_.pop_front();
    first_waiting_ = 0;
    young_.begin_text();
  }
  learn();
}

std::size_t RecentOutputs::bytes() const {
  std::size_t sum =
      young_.bytes() + old_.bytes() + sequences_.bucket_count() * sizeof(void*) +
      sequences_.size() * (sizeof(std::uint64_t) + sizeof(Sequence) + 2 * sizeof(void*));
  for (const auto& output : waiting_) sum += output.capacity() * sizeof(TokenId) + sizeof(output);
  return sum;
}

}  // namespace ridgeline
