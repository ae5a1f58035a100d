#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ridgeline/engine/speculation/drafter.h"

namespace ridgeline {

/// A place among an engine's drafters. It is silent until it is switched on, and its drafter can
/// be exchanged between requests: one engine, with its weights in one place, compares them all.
class DrafterSlot final : public Drafter {
 public:
  explicit DrafterSlot(std::string name) : name_(std::move(name)) {}

  void set_drafter(std::shared_ptr<Drafter> drafter) { drafter_ = std::move(drafter); }
  void switch_on(bool on) { on_ = on; }
  /// What the drafter computed for one sequence is of no use to others: a prompt that comes again
  /// is as new to it as it was.
  void keep_apart(bool apart) { apart_ = apart; }

  std::string_view name() const override { return name_; }
  void draft(std::span<const DraftRequest> requests) override;
  void finish(const DraftRequest& request) override;
  double seconds(std::span<const DraftRequest> requests) const override {
    return on_ && drafter_ ? drafter_->seconds(requests) : 0;
  }
  double seconds_per_token(std::size_t sequences) const override {
    return on_ && drafter_ ? drafter_->seconds_per_token(sequences) : 0;
  }
  std::size_t bytes() const override { return drafter_ ? drafter_->bytes() : 0; }

 private:
  std::string name_;
  std::shared_ptr<Drafter> drafter_;
  bool on_ = false, apart_ = false;
};

/// Knows what the one sequence that runs will say, and drafts it with errors planted at random.
/// With a model it takes the time that this model takes to draft as many tokens: the model runs,
/// and its tokens are replaced. So its cache goes on from other tokens than those that turn out
/// right, and behind k right ones it computes k + 1 rows, where a real draft model would compute
/// one or two.
class PlantedAgreement final : public Drafter {
 public:
  /// `agreement`: the probability that a token is right, given that those before it are.
  PlantedAgreement(double agreement, std::shared_ptr<Drafter> model)
      : agreement_(agreement), model_(std::move(model)) {}

  /// What the next sequence says; errors are planted at the same places each time.
  void set_text(std::vector<TokenId> text);

  std::string_view name() const override { return "planted"; }
  void draft(std::span<const DraftRequest> requests) override;
  void finish(const DraftRequest& request) override {
    if (model_) model_->finish(request);
  }
  double seconds(std::span<const DraftRequest> requests) const override {
    return model_ ? model_->seconds(requests) : 0;
  }
  double seconds_per_token(std::size_t sequences) const override {
    return model_ ? model_->seconds_per_token(sequences) : 0;
  }
  std::size_t bytes() const override { return text_.size() * sizeof(TokenId); }

 private:
  static constexpr unsigned kSeed = 1;

  double agreement_;
  std::shared_ptr<Drafter> model_;
  std::vector<TokenId> text_;
  std::mt19937 random_{kSeed};
};

}  // namespace ridgeline
