#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "ridgeline/tensor/activation.h"

namespace ridgeline {

class PackedWeight;

/// How a row's experts follow from the router's logits.
struct RoutingRule {
  enum class Scores : std::uint8_t {
    kSoftmax,          ///< over all experts
    kSigmoid,          ///< of each on its own (DeepSeek-V3)
    kSoftmaxOfChosen,  ///< the logits themselves choose, then the softmax of the chosen (gpt-oss)
  };
  Scores scores = Scores::kSoftmax;
  int chosen = 0;          ///< experts per row: the best scores, the lower id where they are equal
  bool normalise = false;  ///< the chosen scores are divided by their sum
  float scale = 1.0F;      ///< of the weights, at the end
  /// Experts lie in this many groups of equal size, and only those of the best
  /// `groups_chosen` can be chosen. A group is as good as the sum of its best
  /// `group_scores` experts (1 in DeepSeek-V2, 2 in V3).
  int groups = 1;
  int groups_chosen = 1;
  int group_scores = 1;
};

/// The experts of each row, ascending, and their weights: [rows][per_row], in device memory.
struct ExpertChoice {
  std::int32_t* experts = nullptr;
  float* weights = nullptr;
  int per_row = 0;
};

/// Matrices of one shape and type, by expert.
using ExpertMatrices = std::span<const std::unique_ptr<PackedWeight>>;

/// The experts of one layer: down(f(gate x) * (up x)), with biases or without.
struct ExpertWeights {
  ExpertMatrices gate, up;           ///< [ffn][hidden]
  ExpertMatrices down;               ///< [hidden][ffn]
  const float* gate_bias = nullptr;  ///< [experts][ffn] in device memory, or null
  const float* up_bias = nullptr;    ///< likewise
  const float* down_bias = nullptr;  ///< [experts][hidden], or null
  Activation activation = Activation::kSilu;
};

}  // namespace ridgeline
