#include "ridgeline/tools/bench_drafters.h"

#include <algorithm>

namespace ridgeline {
namespace {

/// Of all planted tokens: it says nothing of which of them are right.
constexpr std::uint8_t kPlantedConfidence = kConfidenceClasses / 2;

}  // namespace

void DrafterSlot::draft(std::span<const DraftRequest> requests) {
  if (!on_ || !drafter_) return;
  if (!apart_) return drafter_->draft(requests);
  std::vector<DraftRequest> own(requests.begin(), requests.end());
  for (DraftRequest& request : own) request.shared = false;
  drafter_->draft(own);
}

void DrafterSlot::finish(const DraftRequest& request) {
  if (on_ && drafter_) drafter_->finish(request);
}

void PlantedAgreement::set_text(std::vector<TokenId> text) {
  text_ = std::move(text);
  random_.seed(kSeed);
}

void PlantedAgreement::draft(std::span<const DraftRequest> requests) {
  if (model_) model_->draft(requests);
  std::bernoulli_distribution right(agreement_);
  for (const DraftRequest& request : requests) {
    const std::size_t said = output_of(request).size();
    // A model that has yet to read the prompt drafts nothing; where it ends a text, planted ones
    // go on.
    const bool drafts = !model_ || !request.draft->tokens.empty();
    const std::size_t most = drafts ? static_cast<std::size_t>(request.most) : 0;
    std::span<const TokenId> next(text_);
    next = next.subspan(std::min(said, text_.size()));
    next = next.first(std::min(most, next.size()));
    request.draft->clear();
    for (const TokenId token : next)
      request.draft->tokens.push_back({right(random_) ? token
                                       : token == 0   ? 1
                                                      : token - 1,
                                       kPlantedConfidence});
  }
}

}  // namespace ridgeline
