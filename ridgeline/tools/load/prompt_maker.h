#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/load/seeded_random.h"
#include "ridgeline/tools/load/token_counter.h"

namespace ridgeline::load {

/// A text and its length, as measured.
struct MadePrompt {
  std::string text;
  std::int64_t tokens = 0;
};

/// English of a given number of tokens.
class PromptMaker {
 public:
  /// Common words in random order, or, where `text` has words, that text from a random place
  /// on and over again. `counter` outlives the maker.
  PromptMaker(TokenCounter& counter, std::string_view text);

  /// As near to `tokens` as whole words come; the same for equal `random`.
  Result<MadePrompt> make(std::int64_t tokens, SeededRandom random);
  bool estimates() const { return counter_.is_estimate(); }

 private:
  std::string words(std::size_t count, SeededRandom random) const;

  TokenCounter& counter_;
  std::vector<std::string> text_;  ///< word by word
  double tokens_per_word_ = 1.2;   ///< of the last prompt; of English at first
};

}  // namespace ridgeline::load
