#include "ridgeline/engine/scheduler.h"

#include <algorithm>

#include "ridgeline/base/check.h"

namespace ridgeline {

Scheduler::Scheduler(BlockPool& pool, std::int64_t batch_tokens, int max_sequences)
    : pool_(pool),
      batch_tokens_(batch_tokens),
      max_sequences_(static_cast<std::size_t>(max_sequences)) {
  // Every running sequence gets its one token in every step.
  RIDGELINE_CHECK(max_sequences >= 1 && batch_tokens >= max_sequences);
}

void Scheduler::add(std::unique_ptr<Sequence> sequence) {
  RIDGELINE_CHECK(blocks_for(sequence->max_total_tokens) <= pool_.capacity());
  waiting_.push_back(std::move(sequence));
}

void Scheduler::admit() {
  while (!waiting_.empty() && running_.size() < max_sequences_) {
    Sequence& next = *waiting_.front();
    if (!next.block_table.reserve(next.max_total_tokens)) return;  // later ones wait their turn
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

ScheduledStep Scheduler::schedule() {
  admit();
  ScheduledStep step;
  std::int64_t budget = batch_tokens_;
  const auto take = [&](Sequence& sequence) {
    const std::int64_t count = std::min(budget, sequence.uncomputed_tokens());
    if (count == 0) return;
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
  std::erase_if(running_, finished);
  std::erase_if(waiting_, finished);
}

Sequence* Scheduler::find(SequenceId id) {
  for (const auto& s : running_)
    if (s->id == id) return s.get();
  for (const auto& s : waiting_)
    if (s->id == id) return s.get();
  return nullptr;
}

}  // namespace ridgeline
