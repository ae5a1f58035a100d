#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/chat_template.h"
#include "ridgeline/text/tokenizer.h"
#include "ridgeline/tools/bench_speculate.h"
#include "ridgeline/tools/speculation_texts.h"

namespace ridgeline {

/// Ways to compare, and the drafters that they need. Several plans share one list of drafters.
class SpeculationPlan {
 public:
  /// A way for each name: "lookup", "recent", "model", and "all" of those, with the model only if
  /// there is one.
  std::vector<SpeculationVariant> add_drafters(const std::vector<std::string>& names,
                                               bool has_model);
  /// For each agreement all lengths, and at last the control's own choice.
  std::vector<SpeculationVariant> add_planted(const std::vector<double>& agreements,
                                              const std::vector<int>& lengths);
  /// A draft model under the exact rule and under the rejection rule.
  std::vector<SpeculationVariant> add_rules();

  const std::vector<DrafterSpec>& drafters() const { return drafters_; }

 private:
  std::size_t add(DrafterSpec::Kind kind, double agreement = 0);

  std::vector<DrafterSpec> drafters_;
};

struct PromptChoice {
  std::string category;  ///< "": all
  int limit = 0;         ///< of each category; 0: all
  int max_tokens = 128;
  std::int64_t context = 0;
};

/// Prompts that the model answers; as a user's message where there is a chat template. Those that
/// the context does not hold with max_tokens behind them are left out, and counted in `left_out`.
/// Errors: no prompt is left; the template's.
Result<std::vector<SpeculationText>> prompt_texts(const std::vector<PromptLine>& lines,
                                                  const Tokenizer& tokenizer,
                                                  const ChatTemplate* chat_template,
                                                  const PromptChoice& choice, int& left_out);
/// Answers that quote `text`, which is in their prompts: an edit that changes every `every`th
/// line, and a summary. Forced; they end after max_tokens at the latest.
std::vector<SpeculationText> quoting_texts(const Tokenizer& tokenizer, std::string_view text,
                                           int every, int max_tokens);
/// Texts whose n-grams recur and go on otherwise, all the time or most of it. Forced. Errors:
/// a vocabulary with too few ordinary tokens.
Result<std::vector<SpeculationText>> adversarial_texts(const Tokenizer& tokenizer, int max_tokens);
/// A text to plant agreement in. Forced.
SpeculationText planted_text(const Tokenizer& tokenizer, int max_tokens);

}  // namespace ridgeline
