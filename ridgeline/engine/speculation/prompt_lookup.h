#pragma once

#include <unordered_map>

#include "ridgeline/engine/speculation/drafter.h"
#include "ridgeline/engine/speculation/ngram_index.h"

namespace ridgeline {

/// Guesses that a sequence goes on as it did where it last said the same, or as the caller's
/// prediction does (Saxena 2023, "Prompt Lookup Decoding"; OpenAI's predicted outputs). The
/// longest match decides, of equally long ones the last; a token's confidence is the length of
/// the match that it would continue, those drafted before it included: if they are right, that
/// is how long it is then.
class PromptLookup final : public Drafter {
 public:
  std::string_view name() const override { return "lookup"; }
  void draft(std::span<const DraftRequest> requests) override;
  void finish(const DraftRequest& request) override { sequences_.erase(request.sequence); }
  std::size_t bytes() const override;

  /// The class of a match of `length` tokens: 1, 2, 3, 4, 6, 9, 15, 33 or more.
  static std::uint8_t confidence(std::int64_t length);

 private:
  /// Tokens that make a place in a prediction certain.
  static constexpr std::int64_t kCertain = 3;
  /// Where in the prediction the output is believed to be: first at its beginning.
  struct Pointer {
    TextMatch match = {0, kCertain};
    std::int64_t anchor = 0;  ///< the last place that was certain
  };
  struct Sequence {
    NgramIndex index;
    TextMatch match;
    NgramIndex prediction;
    Pointer pointer;
    std::int64_t seen = 0;  ///< tokens, at the last draft
  };

  /// Bring the match, or the pointer, up to what was said since the last draft.
  static void follow_text(const DraftRequest& request, Sequence& sequence);
  static void follow_prediction(const DraftRequest& request, Sequence& sequence);

  std::unordered_map<std::uint64_t, Sequence> sequences_;
};

}  // namespace ridgeline
