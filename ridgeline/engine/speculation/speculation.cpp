#include "ridgeline/engine/speculation/speculation.h"

#include <algorithm>
#include <utility>

#include "ridgeline/engine/sequence_output.h"

namespace ridgeline {
namespace {

bool speculates(const Sequence& s) {
  return s.choices_to_come == 0 && !s.output->request->embed && s.output->request->speculate;
}

DraftRequest request_for(const Sequence& s) {
  const Request& request = *s.output->request;
  DraftRequest wanted;
  wanted.sequence = s.request * kMaxChoices + static_cast<std::uint64_t>(s.choice);
  wanted.tokens = s.tokens;
  wanted.prompt_tokens = s.prompt_tokens;
  wanted.prediction = request.prediction;
  wanted.params = &request.params;
  wanted.choice = static_cast<std::uint32_t>(s.choice);
  wanted.grammar = s.output->matcher ? &*s.output->matcher : nullptr;
  wanted.shared = request.cache_salt.empty();
  return wanted;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Speculation::Speculation(const SpeculationOptions& options, const Tokenizer& tokenizer,
                         std::vector<std::shared_ptr<Drafter>> drafters)
    : options_(options),
      tokenizer_(tokenizer),
      drafters_(std::move(drafters)),
      control_(static_cast<int>(drafters_.size())) {
  stats_.enabled = true;
  stats_.max_draft = options_.max_draft;
  for (const auto& drafter : drafters_) stats_.drafters.push_back({std::string(drafter->name())});
}

Speculation::~Speculation() = default;

void Speculation::plan(std::span<const std::unique_ptr<Sequence>> running, const Step& step) {
  decoding_.clear();
  candidates_.clear();
  beside_ = step.prompts;
  draft_seconds_ = 0;
  if (!allowed_) return;
  for (const auto& s : running) {
    if (s->uncomputed_tokens() != 1) continue;
    std::unique_ptr<SequenceDrafts>& drafts = s->output->drafts;
    if (!drafts && speculates(*s)) {
      drafts = std::make_unique<SequenceDrafts>();
      drafts->history = control_.new_history();
      drafts->proposals.resize(drafters_.size());
      drafts->shadows.resize(drafters_.size());
    }
    // The last token that is sampled needs no row.
    const std::int64_t room = s->max_total_tokens - s->total_tokens() - 1;
    if (drafts) {
      drafts->position = s->total_tokens();
      drafts->drafter = -1;
    }
    if (!drafts || room <= 0) {
      beside_ = beside_ + load_of(s->num_computed_tokens, 1);
      continue;
    }
    decoding_.push_back(s.get());
    candidates_.push_back(
        {.history = &drafts->history,
         .position = s->num_computed_tokens,
         .most = static_cast<int>(std::min<std::int64_t>(room, options_.max_draft)),
         .drafts = {}});
  }
  if (decoding_.empty()) return;
  for (std::size_t i = 0; i < drafters_.size(); ++i) run_drafter(i, step);
  choose(step);
}

/// What the drafter has to compute before it can draft for the sequence.
double Speculation::backlog_seconds(const Drafter& drafter, const Sequence& sequence) const {
  DraftRequest next = request_for(sequence);
  next.most = 1;
  return std::max(0.0, drafter.seconds(std::span(&next, 1)) - drafter.seconds_per_token(1));
}

/// How many tokens each sequence asks of the drafter.
std::vector<int> Speculation::lengths_to_ask(std::size_t drafter, const Step& step) {
  std::vector<int> lengths;
  for (const DraftCandidate& candidate : candidates_) lengths.push_back(candidate.most);
  const Drafter& d = *drafters_[drafter];
  const double seconds_each = d.seconds_per_token(candidates_.size());
  if (options_.fixed_length) {
    for (int& length : lengths) length = std::min(length, *options_.fixed_length);
  } else if (seconds_each > 0) {
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      const Sequence& s = *decoding_[i];
      candidates_[i].generated = s.output_tokens();
      candidates_[i].left = s.max_total_tokens - s.total_tokens();
      candidates_[i].backlog_seconds = backlog_seconds(d, s);
    }
    lengths =
        control_.ask(static_cast<int>(drafter), candidates_, *step.cost, beside_, seconds_each);
  }
  return lengths;
}

void Speculation::run_drafter(std::size_t drafter, const Step& step) {
  const std::vector<int> lengths = lengths_to_ask(drafter, step);
  std::vector<DraftRequest> requests;
  for (std::size_t i = 0; i < decoding_.size(); ++i) {
    Draft& draft = decoding_[i]->output->drafts->proposals[drafter];
    draft.clear();
    if (lengths[i] <= 0) continue;
    DraftRequest request = request_for(*decoding_[i]);
    request.most = lengths[i];
    request.draft = &draft;
    requests.push_back(request);
  }
  const auto start = Clock::now();
  if (!requests.empty()) drafters_[drafter]->draft(requests);
  const double seconds = seconds_since(start);
  stats_.drafters[drafter].seconds += seconds;
  draft_seconds_ += seconds;

  for (std::size_t i = 0; i < decoding_.size(); ++i) {
    SequenceDrafts& drafts = *decoding_[i]->output->drafts;
    Draft& draft = drafts.proposals[drafter];
    // One that was asked, took its time and had nothing to say is no better than one that erred.
    const Drafter& d = *drafters_[drafter];
    if (lengths[i] > 0 && draft.tokens.empty() && d.seconds_per_token(1) > 0 &&
        backlog_seconds(d, *decoding_[i]) == 0)
      control_.learn(drafts.history, static_cast<int>(drafter), 0, false);
    trim(draft, *decoding_[i]);
    candidates_[i].drafts.push_back(&draft);
    SequenceDrafts::Shadow& shadow = drafts.shadows[drafter];
    if (!shadow.open()) shadow = {draft.tokens, drafts.position, 0};
  }
}

/// Behind a token that the grammar forbids, or that ends the text, nothing is worth a check.
void Speculation::trim(Draft& draft, const Sequence& sequence) const {
  std::optional<GrammarMatcher> matcher = sequence.output->matcher;
  std::size_t kept = 0;
  for (const DraftToken& drafted : draft.tokens) {
    if (matcher && !matcher->accept(drafted.token)) {
      // The rejection rule needs the draw: what would be drawn in its place is not the same.
      if (!draft.distributions.empty()) ++kept;
      break;
    }
    ++kept;
    if (tokenizer_.is_end_of_generation(drafted.token) || (matcher && matcher->must_end())) break;
  }
  draft.tokens.resize(kept);
  if (draft.distributions.size() > kept) draft.distributions.resize(kept);
}

/// For measurements: as much as there is, up to a length.
std::vector<DraftChoice> Speculation::fixed_choices(std::int64_t rows) const {
  std::vector<DraftChoice> choices(candidates_.size());
  for (std::size_t i = 0; i < choices.size(); ++i) {
    for (std::size_t d = 0; d < candidates_[i].drafts.size(); ++d) {
      const auto length = std::min({static_cast<int>(candidates_[i].drafts[d]->tokens.size()),
                                    *options_.fixed_length, static_cast<int>(rows)});
      if (length > choices[i].length)
        choices[i] = {.drafter = static_cast<int>(d), .length = length};
    }
    rows -= choices[i].length;
  }
  return choices;
}

/// The rejection rule keeps the distribution only if what is checked does not depend on what was
/// drawn for the draft: all of such a draft is checked. Its length was decided beforehand.
void Speculation::take_whole_draws(std::span<DraftChoice> choices) const {
  for (std::size_t i = 0; i < choices.size(); ++i)
    for (std::size_t d = 0; d < candidates_[i].drafts.size(); ++d) {
      const Draft& draft = *candidates_[i].drafts[d];
      if (draft.distributions.empty()) continue;
      choices[i] = {.drafter = static_cast<int>(d),
                    .length = static_cast<int>(draft.tokens.size())};
      break;
    }
}

void Speculation::choose(const Step& step) {
  std::vector<DraftChoice> choices =
      options_.fixed_length
          ? fixed_choices(step.rows)
          : control_.choose(candidates_, *step.cost, beside_, step.rows, draft_seconds_);
  if (options_.rule == AcceptanceRule::kRejection) take_whole_draws(choices);
  for (std::size_t i = 0; i < decoding_.size(); ++i) {
    Sequence& s = *decoding_[i];
    SequenceDrafts& drafts = *s.output->drafts;
    const DraftChoice& choice = choices[i];
    if (choice.drafter < 0 || choice.length == 0) continue;
    drafts.drafter = choice.drafter;
    const auto which = static_cast<std::size_t>(choice.drafter);
    const std::vector<DraftToken>& tokens = drafts.proposals[which].tokens;
    for (int j = 0; j < choice.length; ++j)
      s.draft.push_back(tokens[static_cast<std::size_t>(j)].token);
    drafts.shadows[which] = {tokens, drafts.position, 0};
  }
}

void Speculation::learn(const ScheduledStep& step, const CostCurve& cost, double forward_seconds,
                        double other_seconds) {
  const double seconds = forward_seconds + other_seconds + draft_seconds_;
  control_.add_step(seconds);
  // One token at a time, the same tokens would have taken as many steps of all that generate as
  // these said tokens in the mean; prompts beside them are computed once.
  StepLoad decodes;
  std::int64_t passes = 0, said = 0;
  for (const ScheduledTokens& run : step.runs) {
    const SequenceDrafts* drafts = run.sequence->output->drafts.get();
    if (drafts == nullptr || drafts->position == 0 || run.count != 1) continue;
    decodes = decodes + load_of(drafts->position - 1, 1);
    ++passes;
    said += run.sequence->total_tokens() - drafts->position;
  }
  if (passes == 0) return;
  double plain_seconds = forward_seconds;
  if (step.draft_rows > 0 && cost.known()) {
    StepLoad beside = step.load - decodes;
    for (const ScheduledTokens& run : step.runs)
      if (run.drafted > 0)
        beside = beside - load_of(run.sequence->output->drafts->position, run.drafted);
    plain_seconds *=
        DraftControl::plain_seconds(cost, beside, decodes, said) / cost.seconds(step.load);
  }
  plain_seconds += other_seconds;  // sampling above all: of the same tokens
  stats_.all.seconds += seconds;
  stats_.all.plain_seconds += plain_seconds;
  for (const ScheduledTokens& run : step.runs) {
    SequenceDrafts* drafts = run.sequence->output->drafts.get();
    if (drafts == nullptr || drafts->position == 0 || run.count != 1) continue;
    drafts->counts.seconds += seconds;
    // What the others said more or less is not this one's.
    drafts->counts.plain_seconds +=
        said > 0
            ? plain_seconds * static_cast<double>(run.sequence->total_tokens() - drafts->position) *
                  static_cast<double>(passes) / static_cast<double>(said)
            : plain_seconds;
    count(run);
    compare(*run.sequence);
    drafts->position = 0;
  }
}

void Speculation::count(const ScheduledTokens& run) {
  const Sequence& s = *run.sequence;
  SequenceDrafts& drafts = *s.output->drafts;
  const auto said = static_cast<std::uint64_t>(s.total_tokens() - drafts.position);
  std::uint64_t accepted = 0;
  if (run.drafted > 0) {
    const std::vector<DraftToken>& tokens =
        drafts.shadows[static_cast<std::size_t>(drafts.drafter)].tokens;
    const auto checked = static_cast<std::uint64_t>(run.drafted);
    while (accepted < std::min(checked, said) &&
           s.tokens[static_cast<std::size_t>(drafts.position) + accepted] ==
               tokens[accepted].token) {
      ++stats_.accepted_at[accepted++];
    }
    for (std::uint64_t j = 0; j < checked; ++j) ++stats_.drafted_at[j];
    DrafterStats& drafter = stats_.drafters[static_cast<std::size_t>(drafts.drafter)];
    drafter.drafted += checked;
    drafter.accepted += accepted;
  }
  for (SpeculationCounts* counts : {&stats_.all, &drafts.counts}) {
    ++counts->checks;
    counts->tokens += said;
    counts->drafted += static_cast<std::uint64_t>(run.drafted);
    counts->accepted += accepted;
  }
}

void Speculation::compare(Sequence& s) {
  SequenceDrafts& drafts = *s.output->drafts;
  for (std::size_t i = 0; i < drafts.shadows.size(); ++i) {
    SequenceDrafts::Shadow& shadow = drafts.shadows[i];
    while (shadow.open()) {
      const auto at = static_cast<std::size_t>(shadow.position) + shadow.next;
      if (at >= s.tokens.size()) break;
      const DraftToken& guess = shadow.tokens[shadow.next++];
      const bool hit = s.tokens[at] == guess.token;
      control_.learn(drafts.history, static_cast<int>(i), guess.confidence, hit);
      if (!hit) shadow.tokens.clear(), shadow.next = 0;
    }
  }
}

void Speculation::finish(Sequence& sequence) {
  if (!sequence.output->drafts) return;
  const DraftRequest request = request_for(sequence);
  for (const auto& drafter : drafters_) drafter->finish(request);
}

SpeculationStats Speculation::stats() const {
  SpeculationStats stats = stats_;
  stats.allowed = allowed_;
  for (std::size_t i = 0; i < drafters_.size(); ++i)
    stats.drafters[i].bytes = drafters_[i]->bytes();
  return stats;
}

std::uint64_t Speculation::bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& drafter : drafters_) bytes += drafter->bytes();
  return bytes;
}

}  // namespace ridgeline
