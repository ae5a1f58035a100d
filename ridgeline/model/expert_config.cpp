#include "ridgeline/model/expert_config.h"

#include <fmt/format.h>

namespace ridgeline {
namespace {

constexpr int kExpertsMax = 4096;

/// GGUF's numbers of <architecture>.expert_gating_func.
enum class GatingFunction { kNone = 0, kSoftmax = 1, kSigmoid = 2, kSoftmaxOfChosen = 3 };

Status read_scores(const MetadataReader& reader, RoutingRule& rule) {
  using Scores = RoutingRule::Scores;
  const bool gpt_oss = reader.architecture() == "gpt-oss";
  RIDGELINE_TRY(const int function, reader.integer("expert_gating_func", 0, 1 << 16, 0));
  switch (static_cast<GatingFunction>(function)) {
    case GatingFunction::kNone:
      rule.scores = gpt_oss ? Scores::kSoftmaxOfChosen : Scores::kSoftmax;
      break;
    case GatingFunction::kSoftmax:
      rule.scores = Scores::kSoftmax;
      break;
    case GatingFunction::kSigmoid:
      rule.scores = Scores::kSigmoid;
      break;
    case GatingFunction::kSoftmaxOfChosen:
      rule.scores = Scores::kSoftmaxOfChosen;
      break;
    default:
      return fail(
          fmt::format("{}: metadata '{}' is {}, expected 1 (softmax), 2 (sigmoid) or 3 "
                      "(softmax of the chosen experts)",
                      reader.file().path(), reader.key("expert_gating_func"), function));
  }
  // Mixtral's and Qwen3's weights sum to one, and their files do not say so.
  const bool sums_to_one = reader.architecture() == "llama" || reader.architecture() == "qwen3moe";
  RIDGELINE_TRY(rule.normalise, reader.boolean("expert_weights_norm", sums_to_one));
  const auto scale_key = reader.key("expert_weights_scale");
  RIDGELINE_TRY(const auto scale, reader.file().number(scale_key));
  if (scale && *scale != 0.0) {  // 0: not scaled
    RIDGELINE_TRY(rule.scale, reader.positive("expert_weights_scale", 1.0F));
  }
  return {};
}

Status read_groups(const MetadataReader& reader, int experts, RoutingRule& rule) {
  RIDGELINE_TRY(const int groups, reader.integer("expert_group_count", 0, experts, 0));
  if (groups <= 1) return {};
  RIDGELINE_TRY(rule.groups_chosen, reader.integer("expert_group_used_count", 1, groups));
  rule.groups = groups;
  // DeepSeek-V2 ranks groups by their best expert, V3 by their best two.
  rule.group_scores = rule.scores == RoutingRule::Scores::kSigmoid ? 2 : 1;
  const int size = experts / groups;
  if (experts % groups != 0 || size < rule.group_scores || size * rule.groups_chosen < rule.chosen)
    return fail(
        fmt::format("{}: {} experts in {} groups, of which {} are chosen, cannot give {} "
                    "experts to each token",
                    reader.file().path(), experts, groups, rule.groups_chosen, rule.chosen));
  return {};
}

}  // namespace

Result<ExpertConfig> read_expert_config(const MetadataReader& reader, int ffn_size) {
  constexpr std::int64_t kMaxWidth = 1 << 20;
  ExpertConfig experts;
  RIDGELINE_TRY(experts.count, reader.integer("expert_count", 0, kExpertsMax, 0));
  if (experts.count == 0) return experts;
  RIDGELINE_TRY(experts.routing.chosen, reader.integer("expert_used_count", 1, experts.count));
  RIDGELINE_TRY(experts.ffn_size,
                reader.integer("expert_feed_forward_length", 1, kMaxWidth, ffn_size));
  RIDGELINE_TRY(experts.dense_layers, reader.integer("leading_dense_block_count", 0, 4096, 0));
  RIDGELINE_TRY(const int shared, reader.integer("expert_shared_count", 0, kExpertsMax, 0));
  RIDGELINE_TRY(experts.shared_ffn_size,
                reader.integer("expert_shared_feed_forward_length", 0, kMaxWidth,
                               std::int64_t{shared} * experts.ffn_size));
  RIDGELINE_TRY_STATUS(read_scores(reader, experts.routing));
  RIDGELINE_TRY_STATUS(read_groups(reader, experts.count, experts.routing));
  return experts;
}

}  // namespace ridgeline
