#include "ridgeline/cli/speculation_arguments.h"

#include <algorithm>

#include "ridgeline/cli/model_argument.h"

namespace ridgeline::cli {

void SpeculationArguments::add_to(CLI::App& command) {
  command
      .add_option(
          "--speculate", drafters,
          "who guesses tokens that one pass then checks; the text stays what it is. lookup: "
          "what was said before; recent: what other outputs said lately; off")
      ->delimiter(',')
      ->check(CLI::IsMember({"lookup", "recent", "off"}))
      ->capture_default_str();
  command.add_option("--draft-model", draft_model,
                     "-md: a small model of the same vocabulary that guesses, too (" +
                         std::string(kModelHelp) + ")");
  max_option_ = command.add_option("--draft-max", max_draft, "tokens guessed at once for one text")
                    ->check(CLI::Range(1, kMaxDraft))
                    ->capture_default_str();
  command
      .add_option("--draft-rule", rule,
                  "exact: a guess is taken where the model's own draw is the same; rejection: more "
                  "are taken, texts differ, their distribution does not")
      ->check(CLI::IsMember({"exact", "rejection"}))
      ->capture_default_str();
}

Result<SpeculationOptions> SpeculationArguments::options() const {
  const auto has = [&](const char* name) {
    return std::ranges::find(drafters, name) != drafters.end();
  };
  if (has("off") && (drafters.size() > 1 || !draft_model.empty()))
    return fail("--speculate off: expected no other drafter beside it, and no --draft-model");
  if (has("off") && max_option_ != nullptr && max_option_->count() > 0)
    return fail("--draft-max: expected a drafter, but --speculate is off");
  if (rule == "rejection" && draft_model.empty())
    return fail(
        "--draft-rule rejection: expected --draft-model FILE; drafts without probabilities are "
        "taken by the exact rule");
  SpeculationOptions o;
  o.lookup = has("lookup");
  o.recent = has("recent");
  o.max_draft = max_draft;
  o.rule = rule == "rejection" ? AcceptanceRule::kRejection : AcceptanceRule::kExact;
  if (!draft_model.empty()) {
    RIDGELINE_TRY(o.draft_model, resolve_model(draft_model));
  }
  return o;
}

}  // namespace ridgeline::cli
