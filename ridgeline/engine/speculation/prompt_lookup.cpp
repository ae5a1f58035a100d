#include "ridgeline/engine/speculation/prompt_lookup.h"

#include <algorithm>

namespace ridgeline {
namespace {

/// Tokens of a prediction, behind the last certain place, where an output that has left it is
/// looked for first: about two lines of source text.
constexpr std::int64_t kWindow = 32;

/// Whether the text says at the match what came; if not, the match is where it last did.
bool goes_on(TextMatch& match, std::span<const TokenId> text, std::span<const TokenId> came) {
  for (const TokenId token : came) {
    if (match.end >= std::ssize(text) || text[static_cast<std::size_t>(match.end)] != token)
      return false;
    ++match.end;
    ++match.length;
  }
  return true;
}

/// What follows the match; behind the text's end, the draft itself.
void copy(const TextMatch& match, std::span<const TokenId> text, bool overlap, int most,
          Draft& draft) {
  for (int i = 0; i < most; ++i) {
    const std::int64_t from = match.end + i;
    TokenId token;
    if (from < std::ssize(text)) {
      token = text[static_cast<std::size_t>(from)];
    } else if (overlap) {
      token = draft.tokens[static_cast<std::size_t>(from - std::ssize(text))].token;
    } else {
      break;
    }
    draft.tokens.push_back({token, PromptLookup::confidence(match.length + i)});
  }
}

}  // namespace

std::uint8_t PromptLookup::confidence(std::int64_t length) {
  constexpr std::array<std::int64_t, kConfidenceClasses - 1> kBelow = {2, 3, 4, 6, 9, 15, 33};
  return static_cast<std::uint8_t>(std::upper_bound(kBelow.begin(), kBelow.end(), length) -
                                   kBelow.begin());
}

void PromptLookup::follow_text(const DraftRequest& request, Sequence& sequence) {
  const std::span<const TokenId> text = request.tokens;
  // The end of the text itself is not indexed: it would be found.
  if (!text.empty()) sequence.index.extend(text.first(text.size() - 1));
  // A longer match than the last one and what has come would have been a longer one then.
  const auto came = text.subspan(static_cast<std::size_t>(sequence.seen));
  if (sequence.match.length > 0 && goes_on(sequence.match, text, came)) return;
  sequence.match = sequence.index.find(text, text);
}

void PromptLookup::follow_prediction(const DraftRequest& request, Sequence& sequence) {
  const std::span<const TokenId> prediction = request.prediction;
  sequence.prediction.extend(prediction);
  const auto output = output_of(request);
  const std::int64_t seen = std::max<std::int64_t>(sequence.seen - request.prompt_tokens, 0);
  Pointer& pointer = sequence.pointer;
  TextMatch& match = pointer.match;
  const std::int64_t expected = match.end + std::ssize(output) - seen;
  const bool followed = goes_on(match, prediction, output.subspan(static_cast<std::size_t>(seen)));
  if (match.length >= kCertain) pointer.anchor = match.end;
  if (!followed) {
    // The output mostly goes on soon behind what it changed: the nearest of the longest matches
    // there, where one token is enough. A longer match elsewhere outdoes it. Else the change
    // may have been as long as what it replaced.
    match = {expected, 0};
    const std::int64_t end = std::min(pointer.anchor + kWindow, std::ssize(prediction));
    for (std::int64_t place = pointer.anchor + 1; place <= end; ++place) {
      const std::int64_t length = common_suffix(prediction.first(static_cast<std::size_t>(place)),
                                                output, NgramIndex::kLongest);
      if (length > match.length) match = {place, length};
    }
    const TextMatch elsewhere = sequence.prediction.find(prediction, output);
    if (elsewhere.length > std::max<std::int64_t>(match.length, 1)) match = elsewhere;
    if (match.length >= kCertain) pointer.anchor = match.end;
  }
}

void PromptLookup::draft(std::span<const DraftRequest> requests) {
  for (const DraftRequest& request : requests) {
    Sequence& sequence = sequences_[request.sequence];
    if (std::ssize(request.tokens) < sequence.seen) sequence = Sequence{};  // another one
    follow_text(request, sequence);
    if (!request.prediction.empty()) follow_prediction(request, sequence);
    sequence.seen = std::ssize(request.tokens);

    const TextMatch& predicted = sequence.pointer.match;
    if (!request.prediction.empty() && predicted.length >= sequence.match.length &&
        predicted.end < std::ssize(request.prediction)) {
      copy(predicted, request.prediction, false, request.most, *request.draft);
    } else if (sequence.match.length > 0) {
      copy(sequence.match, request.tokens, true, request.most, *request.draft);
    }
  }
}

std::size_t PromptLookup::bytes() const {
  std::size_t sum = sequences_.bucket_count() * sizeof(void*);
  for (const auto& [id, sequence] : sequences_)
    sum += sizeof(id) + sizeof(sequence) + 2 * sizeof(void*) + sequence.index.bytes() +
           sequence.prediction.bytes();
  return sum;
}

}  // namespace ridgeline
