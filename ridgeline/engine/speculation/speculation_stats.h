#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "ridgeline/engine/speculation/speculation_options.h"

namespace ridgeline {

/// What drafts brought to a request, or to all of them. A check is one forward pass of one
/// sequence that generates, with drafted tokens behind its last one or without.
struct SpeculationCounts {
  std::uint64_t checks = 0;
  std::uint64_t tokens = 0;    ///< that those gave: at least one each
  std::uint64_t drafted = 0;   ///< tokens that were checked
  std::uint64_t accepted = 0;  ///< of those
  /// Of the steps they were part of: what they took, and what one token at a time would have.
  double seconds = 0, plain_seconds = 0;

  double tokens_per_check() const {
    return checks == 0 ? 1.0 : static_cast<double>(tokens) / static_cast<double>(checks);
  }
  double acceptance() const {
    return drafted == 0 ? 0.0 : static_cast<double>(accepted) / static_cast<double>(drafted);
  }
  double speedup() const { return seconds > 0 ? plain_seconds / seconds : 1.0; }

  SpeculationCounts& operator+=(const SpeculationCounts& other) {
    checks += other.checks;
    tokens += other.tokens;
    drafted += other.drafted;
    accepted += other.accepted;
    seconds += other.seconds;
    plain_seconds += other.plain_seconds;
    return *this;
  }
  /// What came since `earlier`.
  SpeculationCounts since(const SpeculationCounts& earlier) const {
    return {checks - earlier.checks,   tokens - earlier.tokens,
            drafted - earlier.drafted, accepted - earlier.accepted,
            seconds - earlier.seconds, plain_seconds - earlier.plain_seconds};
  }
};

struct DrafterStats {
  std::string name;
  std::uint64_t drafted = 0, accepted = 0;
  double seconds = 0;  ///< spent on drafting
  std::uint64_t bytes = 0;
};

struct SpeculationStats {
  bool enabled = false;  ///< there are drafters
  bool allowed = true;   ///< and nobody has stood them down
  int max_draft = 0;     ///< SpeculationOptions::max_draft
  SpeculationCounts all;
  std::vector<DrafterStats> drafters;
  /// By place in the draft, from 0 on: checked there, and accepted.
  std::array<std::uint64_t, kMaxDraft> drafted_at{}, accepted_at{};

  std::uint64_t drafts() const { return drafted_at[0]; }  ///< checks of at least one token
};

}  // namespace ridgeline
