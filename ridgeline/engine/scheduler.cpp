#include "ridgeline/engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "ridgeline/base/check.h"
#include "ridgeline/engine/sequence_output.h"

namespace ridgeline {

Sequence::Sequence(RequestId of, std::vector<TokenId> prompt, std::int64_t limit, KvPools& pools,
                   std::string_view cache_salt)
    : request(of),
      tokens(std::move(prompt)),
      prompt_tokens(static_cast<std::int64_t>(tokens.size())),
      max_total_tokens(limit),
      keys(cache_salt),
      blocks(pools) {}

Sequence::Sequence(const Sequence& first, int choice_index)
    : request(first.request),
      choice(choice_index),
      tokens(first.tokens),
      prompt_tokens(first.prompt_tokens),
      num_computed_tokens(first.num_computed_tokens),
      num_reused_tokens(first.num_reused_tokens),
      max_total_tokens(first.max_total_tokens),
      priority(first.priority),
      arrival(first.arrival),
      tenant(first.tenant),
      reads_prefix_cache(first.reads_prefix_cache),
      keys(first.keys),
      blocks(first.blocks.fork()) {}

Sequence::~Sequence() = default;

bool Sequence::before(const Sequence& other) const {
  if (priority != other.priority) return priority < other.priority;
  if (arrival != other.arrival) return arrival < other.arrival;
  return choice < other.choice;
}

Scheduler::Scheduler(KvPools& pools, const Options& options) : pools_(pools), options_(options) {
  // Every running sequence gets its one token in every step.
  RIDGELINE_CHECK(options.max_sequences >= 1 && options.batch_tokens >= options.max_sequences);
}

void Scheduler::add(std::unique_ptr<Sequence> sequence) {
  RIDGELINE_CHECK(pools_.could_hold(sequence->max_total_tokens, options_.batch_tokens));
  RIDGELINE_CHECK(sequence->choices_to_come < options_.max_sequences);
  waiting_.add(std::move(sequence));
}

void Scheduler::add_choice(std::unique_ptr<Sequence> sequence) {
  const auto at = std::ranges::upper_bound(
      running_, *sequence, [](const Sequence& a, const Sequence& b) { return a.before(b); },
      [](const auto& s) -> const Sequence& { return *s; });
  running_.insert(at, std::move(sequence));
}

std::size_t Scheduler::places_taken() const {
  std::size_t places = 0;
  for (const auto& s : running_) places += 1 + static_cast<std::size_t>(s->choices_to_come);
  return places;
}

/// Blocks for all of its tokens so far, and one more for each of those that run: who has just
/// come should not be preempted at once. Drafts give theirs if that is enough.
bool Scheduler::has_room(Sequence& next, ScheduledStep& step) {
  const auto fits = [&] {
    return next.blocks.could_grow(next.total_tokens(), options_.batch_tokens,
                                  static_cast<int>(running_.size()));
  };
  if (fits()) return true;
  if (!drop_drafts(step)) return false;
  if (fits()) return true;
  schedule_drafts(step);
  return false;
}

/// Lets the next one in that waits, if there is a place and room for it.
bool Scheduler::admit(ScheduledStep& step) {
  Sequence* next = waiting_.next();
  if (next == nullptr) return false;
  const std::size_t places = 1 + static_cast<std::size_t>(next->choices_to_come);
  if (places_taken() + places > static_cast<std::size_t>(options_.max_sequences)) return false;

  std::int64_t found = 0;
  if (options_.prefix_cache && next->reads_prefix_cache) {
    // The last token is always computed: its logits are wanted.
    const auto known = static_cast<std::size_t>(next->total_tokens() - 1);
    next->keys.extend(std::span(next->tokens).first(known));
    found = next->blocks.adopt(next->keys.keys().first(known / kKvBlockTokens));
  }
  if (!has_room(*next, step)) {
    next->blocks.clear();
    return false;
  }
  std::unique_ptr<Sequence> sequence = waiting_.take();
  sequence->num_computed_tokens = found;
  if (sequence->preemptions == 0) {
    sequence->num_reused_tokens = found;
    if (options_.prefix_cache && sequence->reads_prefix_cache) {
      counters_.prefix_query_tokens += static_cast<std::uint64_t>(sequence->total_tokens());
      counters_.prefix_hit_tokens += static_cast<std::uint64_t>(found);
    }
  } else {
    counters_.recomputed_tokens +=
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, sequence->lost_tokens - found));
  }
  add_choice(std::move(sequence));
  return true;
}

/// Drafts give way to everything else. False: there were none.
bool Scheduler::drop_drafts(ScheduledStep& step) {
  if (step.draft_rows == 0) return false;
  for (ScheduledTokens& run : step.runs) {
    if (run.drafted == 0) continue;
    const std::int64_t end = run.sequence->num_computed_tokens + run.count;
    run.sequence->blocks.truncate(end);
    step.load = step.load - load_of(end, std::exchange(run.drafted, 0));
  }
  step.draft_rows = 0;
  return true;
}

void Scheduler::preempt_last(ScheduledStep& step) {
  std::unique_ptr<Sequence> last = std::move(running_.back());
  running_.pop_back();
  std::erase_if(step.runs, [&](const ScheduledTokens& run) {
    if (run.sequence != last.get()) return false;
    step.load = step.load - load_of(last->num_computed_tokens, run.count);
    if (last->uncomputed_tokens() == 1) --step.decode_rows;
    return true;
  });
  ++counters_.preemptions;
  ++last->preemptions;
  last->lost_tokens = last->num_computed_tokens;
  last->num_computed_tokens = 0;
  last->draft.clear();
  last->blocks.clear();
  waiting_.add(std::move(last));
}

/// False: the sequence itself had to give way.
bool Scheduler::take(Sequence& sequence, std::int64_t count, ScheduledStep& step) {
  const std::int64_t begin = sequence.num_computed_tokens, end = begin + count;
  while (!sequence.blocks.can_advance(begin, end)) {
    if (drop_drafts(step)) continue;
    const bool itself = running_.back().get() == &sequence;
    preempt_last(step);
    if (itself) return false;
  }
  sequence.blocks.advance(begin, end, step.copies);
  step.runs.push_back({&sequence, count, 0, count == sequence.uncomputed_tokens()});
  step.load = step.load + load_of(begin, count);
  return true;
}

void Scheduler::schedule_decodes(ScheduledStep& step) {
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& s = *running_[i];
    if (s.uncomputed_tokens() == 1 && take(s, 1, step)) ++step.decode_rows;
  }
}

/// Behind all decodes, so that no draft takes a block that a decode needs.
void Scheduler::schedule_drafts(ScheduledStep& step) {
  for (ScheduledTokens& run : step.runs) {
    Sequence& s = *run.sequence;
    if (s.choices_to_come > 0) continue;  // they will share the blocks
    const std::int64_t begin = s.num_computed_tokens, end = begin + run.count;
    // The last token that is sampled needs no row.
    const std::int64_t drafted =
        std::min({static_cast<std::int64_t>(s.draft.size()), options_.batch_tokens - step.load.rows,
                  s.max_total_tokens - s.total_tokens() - 1});
    if (drafted <= 0 || !s.blocks.can_advance(begin, end + drafted)) continue;
    s.blocks.advance(begin, end + drafted, step.copies);
    step.load = step.load + load_of(end, drafted);
    run.drafted = drafted;
    step.draft_rows += drafted;
  }
}

void Scheduler::schedule_prompts(ScheduledStep& step, const StepBudget& budget) {
  std::int64_t rows = -1;  // what is left, once there is a prompt to ask for
  const auto unfinished =
      std::ranges::count_if(running_, [](const auto& s) { return s->uncomputed_tokens() > 1; });
  const std::int64_t queued = unfinished + static_cast<std::int64_t>(waiting_.size()) - 1;
  const auto chunk_of = [&](Sequence& s, std::int64_t most) {
    const std::int64_t wanted = s.uncomputed_tokens();
    return s.whole && wanted > most ? 0 : std::min(wanted, most);
  };
  const auto open_budget = [&](const Sequence& s) {
    if (rows < 0) rows = budget.prefill_rows(step.load, s.num_computed_tokens, queued);
  };
  const auto give = [&](Sequence& s, std::int64_t most) {
    const std::int64_t count =
        chunk_of(s, std::min({rows, most, options_.batch_tokens - step.load.rows}));
    if (count == 0 || !take(s, count, step)) return;
    rows -= count;
  };

  // A short prompt does not wait for all of a long one: behind one that will not be done in this
  // step, shorter ones have half of it.
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& s = *running_[i];
    if (s.uncomputed_tokens() <= 1) continue;
    open_budget(s);
    if (rows <= 0) return;
    const auto shorter = [&](const Sequence& other) {
      return other.uncomputed_tokens() < s.uncomputed_tokens() / 2;
    };
    const Sequence* waiting = waiting_.next();
    const bool share =
        s.uncomputed_tokens() > rows && !s.whole &&
        ((waiting != nullptr && waiting->priority <= s.priority && shorter(*waiting)) ||
         std::any_of(
             running_.begin() + static_cast<std::ptrdiff_t>(i) + 1, running_.end(),
             [&](const auto& other) { return other->uncomputed_tokens() > 1 && shorter(*other); }));
    give(s, share ? (rows + 1) / 2 : rows);
  }
  while (rows != 0 && admit(step)) {
    // The new one is where its priority and arrival put it.
    for (std::size_t i = 0; i < running_.size(); ++i) {
      Sequence& s = *running_[i];
      const bool decodes_already =
          std::ranges::any_of(step.runs, [&](const auto& run) { return run.sequence == &s; });
      if (decodes_already) continue;
      open_budget(s);
      if (rows <= 0) return;
      give(s, rows);
    }
  }
  rows = std::min(rows, options_.batch_tokens - step.load.rows);
  if (rows > 0) extend_prompts(step, rows);
}

/// Rows that nobody else wants go to prompts that shared.
void Scheduler::extend_prompts(ScheduledStep& step, std::int64_t rows) {
  for (ScheduledTokens& run : step.runs) {
    Sequence& s = *run.sequence;
    const std::int64_t begin = s.num_computed_tokens, end = begin + run.count;
    const std::int64_t more = std::min(rows, s.uncomputed_tokens() - run.count);
    if (more == 0 || !s.blocks.can_advance(begin, end + more)) continue;
    s.blocks.advance(begin, end + more, step.copies);
    step.load = step.load + load_of(end, more);
    run.count += more;
    run.reaches_end = run.count == s.uncomputed_tokens();
    rows -= more;
  }
}

ScheduledStep Scheduler::schedule(const StepBudget& budget) {
  ScheduledStep step;
  schedule_decodes(step);
  schedule_drafts(step);
  schedule_prompts(step, budget);
  for (const ScheduledTokens& run : step.runs) waiting_.charge(run.sequence->tenant, run.count);
  return step;
}

void Scheduler::commit(const ScheduledStep& step) {
  for (const ScheduledTokens& run : step.runs) {
    Sequence& s = *run.sequence;
    const std::int64_t begin = s.num_computed_tokens;
    s.num_computed_tokens = begin + run.count;
    publish(s, begin, s.num_computed_tokens);
  }
}

void Scheduler::settle(const ScheduledStep& step) {
  for (const ScheduledTokens& run : step.runs) {
    Sequence& s = *run.sequence;
    s.draft.clear();
    if (run.drafted == 0) continue;
    const std::int64_t begin = s.num_computed_tokens;
    s.num_computed_tokens = std::clamp(s.total_tokens() - 1, begin, begin + run.drafted);
    s.blocks.truncate(s.num_computed_tokens);
    publish(s, begin, s.num_computed_tokens);
    waiting_.charge(s.tenant, s.num_computed_tokens - begin);
  }
}

/// Makes the blocks known that positions [begin, end) filled.
void Scheduler::publish(Sequence& s, std::int64_t begin, std::int64_t end) {
  if (!options_.prefix_cache || begin / kKvBlockTokens == end / kKvBlockTokens) return;
  s.keys.extend(std::span(s.tokens).first(static_cast<std::size_t>(end)));
  s.blocks.publish(s.keys.keys(), begin, end);
}

void Scheduler::remove_finished(const std::function<void(Sequence&)>& visit) {
  if (visit) {
    const auto see = [&](Sequence& s) {
      if (s.finished) visit(s);
    };
    for (const auto& s : running_) see(*s);
    waiting_.for_each(see);
  }
  std::erase_if(running_, [](const auto& s) { return s->finished.has_value(); });
  waiting_.remove_if([](const Sequence& s) { return s.finished.has_value(); });
}

bool Scheduler::prompts_pending() const {
  return !waiting_.empty() ||
         std::ranges::any_of(running_, [](const auto& s) { return s->uncomputed_tokens() > 1; });
}

void Scheduler::for_each(RequestId id, const std::function<void(Sequence&)>& visit) {
  for (const auto& s : running_)
    if (s->request == id) visit(*s);
  waiting_.for_each([&](Sequence& s) {
    if (s.request == id) visit(s);
  });
}

double Scheduler::waste() const {
  std::int64_t empty = 0, slots = 0;
  for (const auto& s : running_) empty += s->blocks.empty_slots(s->num_computed_tokens);
  for (int i = 0; i < pools_.groups(); ++i)
    slots += pools_.pool(i).capacity() - pools_.pool(i).available();
  return slots == 0 ? 0.0
                    : static_cast<double>(empty) / static_cast<double>(slots * kKvBlockTokens);
}

}  // namespace ridgeline
