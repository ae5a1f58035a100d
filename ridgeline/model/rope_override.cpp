#include "ridgeline/model/rope_override.h"

#include <fmt/format.h>

#include <array>

namespace ridgeline {

Result<Checkpoint> override_rope(Checkpoint checkpoint, const RopeOverride& wanted) {
  if (wanted.empty()) return checkpoint;
  constexpr std::array<std::string_view, 3> kKinds{"none", "linear", "yarn"};
  RIDGELINE_TRY(const auto architecture, checkpoint.string("general.architecture"));
  const std::string prefix = std::string(architecture.value_or("")) + ".";
  if (checkpoint.tensor("position_embd.weight") != nullptr)
    return fail(
        fmt::format("{}: --rope-scaling and the like do nothing here: the positions of a '{}' "
                    "model are learned",
                    checkpoint.path(), architecture.value_or("")));
  RIDGELINE_TRY(const auto old_kind, checkpoint.string(prefix + "rope.scaling.type"));
  RIDGELINE_TRY(const auto old_factor, checkpoint.number(prefix + "rope.scaling.factor"));
  RIDGELINE_TRY(const auto context, checkpoint.integer(prefix + "context_length"));
  RIDGELINE_TRY(const auto old_context,
                checkpoint.integer(prefix + "rope.scaling.original_context_length"));

  // The texts of kKinds outlive every checkpoint.
  std::string_view kind = old_kind == "yarn" ? kKinds[2] : kKinds[1];
  if (!wanted.scaling.empty()) {
    kind = "";
    for (std::string_view known : kKinds)
      if (known == wanted.scaling) kind = known;
    if (kind.empty())
      return fail(fmt::format("--rope-scaling {}: expected none, linear or yarn", wanted.scaling));
  }
  const double factor = wanted.factor > 0 ? wanted.factor : old_factor.value_or(0);
  if (kind == "yarn" && !(factor > 1))
    return fail(fmt::format("{}: --rope-scaling yarn needs a factor above 1 (--rope-scale)",
                            checkpoint.path()));

  Checkpoint::Contents contents = std::move(checkpoint).take();
  auto& metadata = contents.metadata;
  if (wanted.base > 0) metadata[prefix + "rope.freq_base"] = GgufValue::of(wanted.base);
  if (!wanted.scaling.empty() || wanted.factor > 0)
    metadata[prefix + "rope.scaling.type"] = GgufValue::of(kind);
  if (wanted.factor > 0) metadata[prefix + "rope.scaling.factor"] = GgufValue::of(wanted.factor);
  if (kind == "yarn") {
    const std::int64_t original = wanted.original_context > 0
                                      ? wanted.original_context
                                      : old_context.value_or(context.value_or(1));
    metadata[prefix + "rope.scaling.original_context_length"] = GgufValue::of(original);
    metadata[prefix + "context_length"] =
        GgufValue::of(static_cast<std::int64_t>(static_cast<double>(original) * factor));
  }
  return Checkpoint(std::move(contents));
}

}  // namespace ridgeline
