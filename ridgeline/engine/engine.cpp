// Requests: what may come in, what ends one.

#include "ridgeline/engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ridgeline/base/check.h"
#include "ridgeline/engine/sequence_output.h"
#include "ridgeline/tensor/kv_block.h"

namespace ridgeline {
namespace {

Status check_count(const char* field, std::optional<int> count) {
  if (!count || (*count >= 0 && *count <= kMaxLogprobs)) return {};
  return fail(fmt::format("{} is {}, expected 0 to {}", field, *count, kMaxLogprobs));
}

Status check_deadline(const char* field, double seconds) {
  if (seconds >= 0) return {};
  return fail(fmt::format("{} is {}, expected a number of seconds from 0 on", field, seconds));
}

}  // namespace

Engine::~Engine() = default;

Status Engine::check_ids(std::span<const TokenId> ids, const char* what) const {
  for (TokenId id : ids)
    if (id < 0 || id >= config().vocab_size)
      return fail(
          fmt::format("{} holds token id {}, expected 0 to {}", what, id, config().vocab_size - 1));
  return {};
}

Status Engine::check(const Request& request) const {
  const auto length = static_cast<std::int64_t>(request.prompt.size());
  if (config().is_encoder && !request.embed)
    return fail(
        fmt::format("a '{}' model writes no text: expected embed()", config().architecture));
  if (request.embed && (length == 0 || length > context_))
    return fail(
        fmt::format("a text of {} tokens cannot be embedded: expected 1 to {} (the context)",
                    length, context_));
  if (length == 0) return fail("the prompt is empty: expected at least one token");
  if (!request.embed && length >= context_)
    return fail(
        fmt::format("the prompt has {} tokens, but the context holds {} and the answer needs "
                    "at least one",
                    length, context_));
  RIDGELINE_TRY_STATUS(check_ids(request.prompt, request.embed ? "the text" : "the prompt"));
  RIDGELINE_TRY_STATUS(check_ids(request.prediction, "the prediction"));
  RIDGELINE_TRY_STATUS(check_ids(request.script, "the script"));
  RIDGELINE_TRY_STATUS(validate(request.params, config().vocab_size));
  RIDGELINE_TRY_STATUS(check_count("logprobs", request.logprobs));
  RIDGELINE_TRY_STATUS(check_count("prompt_logprobs", request.prompt_logprobs));
  RIDGELINE_TRY_STATUS(check_deadline("queue_seconds", request.deadlines.queue_seconds));
  RIDGELINE_TRY_STATUS(
      check_deadline("first_token_seconds", request.deadlines.first_token_seconds));
  RIDGELINE_TRY_STATUS(check_deadline("total_seconds", request.deadlines.total_seconds));
  const int most = std::min(kMaxChoices, max_sequences_);
  if (request.choices < 1 || request.choices > most)
    return fail(
        fmt::format("{} choices were asked for, expected 1 to {} (the sequences that may "
                    "run at once)",
                    request.choices, most));
  return {};
}

Result<RequestId> Engine::submit(std::vector<TokenId> prompt, SamplingParams params) {
  Request request;
  request.prompt = std::move(prompt);
  request.params = std::move(params);
  return submit(std::move(request));
}

Result<RequestId> Engine::submit(Request request) {
  RIDGELINE_TRY_STATUS(check(request));
  const RequestId id = next_id_++;
  const auto length = static_cast<std::int64_t>(request.prompt.size());
  // The last token that is sampled needs no place in the cache, but counts as context.
  std::int64_t limit = context_;
  if (request.embed)
    limit = length;
  else if (request.params.max_tokens >= 0)
    limit = std::min(context_, length + request.params.max_tokens);

  Active& active = active_[id];
  active.request = std::make_shared<const Request>(std::move(request));
  const Request& r = *active.request;
  active.open_choices = r.choices;
  active.summary.arrived = Clock::now();
  active.summary.prompt_tokens = length;
  const Deadlines& d = r.deadlines;
  if (d.queue_seconds > 0 || d.first_token_seconds > 0 || d.total_seconds > 0) ++with_deadlines_;

  auto sequence = std::make_unique<Sequence>(id, r.prompt, limit, *pools_, r.cache_salt);
  sequence->choices_to_come = r.choices - 1;
  sequence->priority = r.priority;
  sequence->arrival = id;
  sequence->tenant = r.tenant;
  // Logits and hidden states of a prompt are there only where it is computed.
  sequence->reads_prefix_cache = !r.embed && !r.prompt_logprobs;
  sequence->whole = config().is_encoder;
  sequence->output = std::make_unique<SequenceOutput>(active.request, *tokenizer_);
  if (r.grammar) {
    if (!grammar_vocabulary_)
      grammar_vocabulary_ = std::make_shared<const GrammarVocabulary>(*tokenizer_);
    sequence->output->matcher.emplace(r.grammar, grammar_vocabulary_);
    sequence->output->mask.resize(grammar_vocabulary_->mask_words());
  }
  if (r.embed)
    sequence->output->embedding.assign(static_cast<std::size_t>(config().hidden_size), 0.0);
  scheduler_->add(std::move(sequence));
  return id;
}

std::optional<RequestSummary> Engine::cancel(RequestId id) {
  const auto found = active_.find(id);
  if (found == active_.end()) return std::nullopt;
  scheduler_->for_each(id, [](Sequence& s) { s.finished = FinishReason::kCancelled; });
  remove_finished({});
  RequestSummary summary = found->second.summary;
  summary.finished = Clock::now();
  const Deadlines& d = found->second.request->deadlines;
  if (d.queue_seconds > 0 || d.first_token_seconds > 0 || d.total_seconds > 0) --with_deadlines_;
  active_.erase(found);
  return summary;
}

void Engine::expire(Clock::time_point now, std::vector<TokenEvent>& events) {
  if (with_deadlines_ == 0) return;
  std::vector<std::pair<RequestId, Deadline>> late;
  for (const auto& [id, active] : active_) {
    const RequestSummary& s = active.summary;
    const Deadlines& d = active.request->deadlines;
    const double age = std::chrono::duration<double>(now - s.arrived).count();
    const auto past = [&](double limit) { return limit > 0 && age > limit; };
    if (past(d.total_seconds))
      late.emplace_back(id, Deadline::kTotal);
    else if (past(d.first_token_seconds) && s.first_token == Clock::time_point{})
      late.emplace_back(id, Deadline::kFirstToken);
    else if (past(d.queue_seconds) && s.scheduled == Clock::time_point{})
      late.emplace_back(id, Deadline::kQueue);
  }
  std::ranges::sort(late);
  for (const auto& [id, deadline] : late) {
    const std::size_t first = events.size();
    scheduler_->for_each(id, [&](Sequence& s) {
      // Choices that were to come end with the one they would have come from.
      for (int i = 0; i <= s.choices_to_come; ++i) {
        TokenEvent event;
        event.request = id;
        event.choice = s.choice + i;
        event.deadline = deadline;
        event.finished = s.finished = FinishReason::kDeadline;
        if (i == 0 && !s.output->request->embed) {
          event.text = s.output->stop_strings.push(s.output->detokenizer.finish()).emit;
          event.text += s.output->stop_strings.finish();
        }
        emit(s, std::move(event), events);
      }
    });
    std::stable_sort(events.begin() + static_cast<std::ptrdiff_t>(first), events.end(),
                     [](const TokenEvent& a, const TokenEvent& b) {
                       return a.summary.has_value() < b.summary.has_value();
                     });
  }
  remove_finished(events);
}

void Engine::remove_finished(std::span<TokenEvent> events) {
  scheduler_->remove_finished([&](Sequence& s) {
    if (!s.output->drafts) return;
    speculation_->finish(s);
    // Its last step was counted after its last event had been made.
    const auto active = active_.find(s.request);
    if (active != active_.end()) {
      active->second.summary.speculation += s.output->drafts->counts;
      return;
    }
    for (TokenEvent& event : events)
      if (event.request == s.request && event.summary)
        event.summary->speculation += s.output->drafts->counts;
  });
}

void Engine::set_speculation(bool allowed) {
  if (speculation_) speculation_->set_allowed(allowed);
}

void Engine::emit(Sequence& s, TokenEvent event, std::vector<TokenEvent>& events) {
  Active& active = active_.at(s.request);
  event.request = s.request;
  event.reused_tokens = s.num_reused_tokens;
  if (event.token) {
    ++active.summary.output_tokens;
    if (active.summary.first_token == Clock::time_point{})
      active.summary.first_token = Clock::now();
  }
  if (event.finished && --active.open_choices == 0) {
    active.summary.finished = Clock::now();
    event.summary = active.summary;
    const Deadlines& d = active.request->deadlines;
    if (d.queue_seconds > 0 || d.first_token_seconds > 0 || d.total_seconds > 0) --with_deadlines_;
    events.push_back(std::move(event));
    active_.erase(s.request);
    return;
  }
  events.push_back(std::move(event));
}

Status Engine::generate(std::vector<TokenId> prompt, SamplingParams params,
                        const std::function<void(const TokenEvent&)>& on_event) {
  RIDGELINE_CHECK(idle());
  RIDGELINE_TRY_STATUS(submit(std::move(prompt), std::move(params)));
  while (!idle()) {
    for (const TokenEvent& event : step()) {
      on_event(event);
      if (event.finished == FinishReason::kError) return fail(event.error);
    }
  }
  return {};
}

MemoryUse Engine::memory_use() const {
  return {model_->weight_bytes(), kv_cache_->bytes(), model_->workspace_bytes() + logits_.size(),
          speculation_ ? speculation_->bytes() : 0};
}

EngineStats Engine::stats() const {
  EngineStats s = counters_;
  s.running = static_cast<int>(scheduler_->num_running());
  s.waiting = static_cast<int>(scheduler_->waiting().size());
  s.max_running = max_sequences_;
  s.waiting_tokens = scheduler_->waiting().tokens();
  for (const auto& [id, active] : active_) {
    if (active.summary.scheduled != Clock::time_point{}) continue;
    const std::chrono::duration<double> age = Clock::now() - active.summary.arrived;
    s.oldest_waiting_seconds = std::max(s.oldest_waiting_seconds, age.count());
    if (active.request->priority <= 0) {
      s.oldest_normal_waiting_seconds = std::max(s.oldest_normal_waiting_seconds, age.count());
    }
  }
  for (int i = 0; i < pools_->groups(); ++i) {
    const BlockPool& pool = std::as_const(*pools_).pool(i);
    s.kv_blocks += pool.capacity();
    s.kv_blocks_in_use += pool.capacity() - pool.available();
    s.kv_blocks_cached += pool.cached();
  }
  s.kv_waste = scheduler_->waste();
  const MemoryUse memory = memory_use();
  s.kv_bytes = memory.kv_bytes;
  s.weight_bytes = memory.weight_bytes;
  s.workspace_bytes = memory.workspace_bytes;
  s.draft_bytes = memory.draft_bytes;
  s.prefill_share = prefill_share_;
  const Scheduler::Counters& c = scheduler_->counters();
  s.prefix_query_tokens = c.prefix_query_tokens;
  s.prefix_hit_tokens = c.prefix_hit_tokens;
  s.preemptions = c.preemptions;
  s.recomputed_tokens = c.recomputed_tokens;
  if (speculation_) s.speculation = speculation_->stats();
  return s;
}

}  // namespace ridgeline
