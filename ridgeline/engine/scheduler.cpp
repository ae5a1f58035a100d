#include "ridgeline/engine/scheduler.h"

#include <algorithm>

#include "ridgeline/base/check.h"

namespace ridgeline {

Scheduler::Scheduler(KvPools& pools, std::int64_t batch_tokens, int max_sequences)
    : pools_(pools),
      batch_tokens_(batch_tokens),
      max_sequences_(static_cast<std::size_t>(max_sequences)) {
  // Every running sequence gets its one token in every step.
  RIDGELINE_CHECK(max_sequences >= 1 && batch_tokens >= max_sequences);
}

void Scheduler::add(std::unique_ptr<Sequence> sequence) {
  RIDGELINE_CHECK(pools_.could_hold(sequence->max_total_tokens, batch_tokens_));
  waiting_.push_back(std::move(sequence));
}

void Scheduler::admit() {
  while (!waiting_.empty() && running_.size() < max_sequences_) {
    Sequence& next = *waiting_.front();
    take_over(next);
    // Later ones wait their turn; this one may hold blocks meanwhile, but all that run have
    // theirs and will end.
    if (!make_room(next)) return;
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

void Scheduler::take_over(Sequence& sequence) {
  const auto from = std::ranges::find(kept_, sequence.cache_use.continue_from, &Kept::id);
  if (from == kept_.end()) return;
  // The last token of the prompt is always computed: its logits are wanted.
  const auto [end, unused] = std::mismatch(from->tokens.begin(), from->tokens.end(),
                                           sequence.tokens.begin(), sequence.tokens.end() - 1);
  const std::int64_t common = end - from->tokens.begin();
  from->blocks.truncate(common);
  if (from->blocks.holds(common)) {
    sequence.blocks = std::move(from->blocks);
    sequence.num_computed_tokens = sequence.num_reused_tokens = common;
  }
  kept_.erase(from);
}

bool Scheduler::make_room(Sequence& sequence) {
  while (!sequence.blocks.reserve(sequence.max_total_tokens, batch_tokens_)) {
    if (kept_.empty()) return false;
    kept_.pop_front();
  }
  return true;
}

ScheduledStep Scheduler::schedule() {
  admit();
  ScheduledStep step;
  std::int64_t budget = batch_tokens_;
  const auto take = [&](Sequence& sequence) {
    const std::int64_t count = std::min(budget, sequence.uncomputed_tokens());
    if (count == 0) return;
    sequence.blocks.advance(sequence.num_computed_tokens, sequence.num_computed_tokens + count);
    step.push_back({&sequence, count, count == sequence.uncomputed_tokens()});
    budget -= count;
  };
  for (const auto& s : running_)
    if (s->uncomputed_tokens() == 1) take(*s);
  for (const auto& s : running_)
    if (s->uncomputed_tokens() > 1) take(*s);
  return step;
}

void Scheduler::remove_finished() {
  const auto finished = [](const std::unique_ptr<Sequence>& s) { return s->finished.has_value(); };
  const auto remove = [&](auto& sequences) {
    for (const auto& s : sequences)
      if (finished(s) && s->cache_use.keep && s->finished != FinishReason::kError) keep(*s);
    std::erase_if(sequences, finished);
  };
  remove(running_);
  remove(waiting_);
}

void Scheduler::keep(Sequence& sequence) {
  const std::int64_t computed = sequence.num_computed_tokens;
  if (computed == 0) return;
  sequence.tokens.resize(static_cast<std::size_t>(computed));
  sequence.blocks.truncate(computed);
  kept_.push_back({sequence.id, std::move(sequence.tokens), std::move(sequence.blocks)});
}

void Scheduler::release(SequenceId id) {
  std::erase_if(kept_, [&](const Kept& k) { return k.id == id; });
}

Sequence* Scheduler::find(SequenceId id) {
  for (const auto& s : running_)
    if (s->id == id) return s.get();
  for (const auto& s : waiting_)
    if (s->id == id) return s.get();
  return nullptr;
}

}  // namespace ridgeline
