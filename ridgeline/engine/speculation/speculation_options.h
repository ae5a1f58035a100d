#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ridgeline {

class Drafter;

/// When a drafted token becomes part of the text.
enum class AcceptanceRule {
  /// When the model's own draw at its position, which is a function of seed, position and
  /// choice, is that token: the text is bit for bit what it would be without drafts.
  kExact,
  /// With probability min(1, p/q) of the model's and the drafter's probabilities, else a draw
  /// from what p has over q (Leviathan et al. 2022, "Fast Inference from Transformers via
  /// Speculative Decoding", algorithm 1): texts have the same distribution and are other texts.
  kRejection,
};

struct SpeculationOptions {
  bool lookup = false;        ///< what the sequence itself said before (n-gram prompt lookup)
  bool recent = false;        ///< what this engine's other outputs said lately (suffix automaton)
  std::string draft_model{};  ///< a GGUF file or folder; empty: none
  int max_draft = 16;         ///< tokens drafted for one sequence in one step
  AcceptanceRule rule = AcceptanceRule::kExact;
  /// Checks as many tokens as are drafted, up to this, whatever it costs: to measure with.
  std::optional<int> fixed_length{};

  /// Drafters of the caller's own; benchmarks plant agreement with them.
  std::vector<std::shared_ptr<Drafter>> more{};

  bool any() const { return lookup || recent || !draft_model.empty() || !more.empty(); }
};
inline constexpr int kMaxDraft = 64;

}  // namespace ridgeline
