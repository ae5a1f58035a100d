#pragma once

#include <algorithm>
#include <map>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

#include "ridgeline/engine/speculation/drafter.h"

namespace ridgeline::test {

/// Knows what sequences will say, and drafts it with errors planted at random.
class PlantedDrafter : public Drafter {
 public:
  /// `agreement`: the probability that a token is right, given that those before it are.
  explicit PlantedDrafter(double agreement, unsigned seed = 1)
      : agreement_(agreement), random_(seed) {}

  /// What follows the prompt, as seed and choice have it.
  void teach(std::vector<TokenId> prompt, std::uint64_t seed, int choice,
             std::vector<TokenId> text) {
    texts_[{std::move(prompt), {seed, choice}}] = std::move(text);
  }

  std::string_view name() const override { return "planted"; }
  void draft(std::span<const DraftRequest> requests) override {
    for (const DraftRequest& r : requests) {
      const auto prompt = static_cast<std::ptrdiff_t>(r.prompt_tokens);
      const auto found = texts_.find({{r.tokens.begin(), r.tokens.begin() + prompt},
                                      {r.params->seed, static_cast<int>(r.choice)}});
      if (found == texts_.end()) continue;
      const std::vector<TokenId>& text = found->second;
      std::bernoulli_distribution right(agreement_);
      for (std::size_t at = r.tokens.size() - static_cast<std::size_t>(prompt);
           at < text.size() && r.draft->tokens.size() < static_cast<std::size_t>(r.most); ++at)
        r.draft->tokens.push_back(
            {right(random_) ? text[at] : static_cast<TokenId>(random_() % kTokens),
             static_cast<std::uint8_t>(random_() % kConfidenceClasses)});
    }
  }
  void finish(const DraftRequest&) override { ++finished; }
  std::size_t bytes() const override { return 0; }

  int finished = 0;

 private:
  /// The smallest vocabulary of a test's models.
  static constexpr TokenId kTokens = 64;

  double agreement_;
  std::mt19937 random_;
  std::map<std::pair<std::vector<TokenId>, std::pair<std::uint64_t, int>>, std::vector<TokenId>>
      texts_;
};

}  // namespace ridgeline::test
