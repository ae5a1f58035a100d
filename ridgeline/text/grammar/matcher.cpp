#include <algorithm>

#include "ridgeline/text/grammar/grammar.h"
#include "ridgeline/text/grammar/machine.h"
#include "ridgeline/text/grammar/masks.h"
#include "ridgeline/text/grammar/token_trie.h"

namespace ridgeline {

using grammar::Machine;
using grammar::Mask;
using grammar::Thread;
using grammar::ThreadSet;

namespace {

// Of the text only what a thread still looks back on is kept.
void forget_text(ThreadSet& state) {
  const std::uint64_t end = state.text_begin + state.text.size();
  std::uint64_t from = end;
  for (Thread& thread : state.threads) {
    thread.closed_text = false;
    if (Machine::has_mark(thread)) from = std::min(from, thread.mark);
  }
  state.text.erase(0, static_cast<std::size_t>(from - state.text_begin));
  state.text_begin = from;
}

}  // namespace

GrammarMatcher::GrammarMatcher(Grammar::Ptr grammar,
                               std::shared_ptr<const GrammarVocabulary> vocabulary)
    : grammar_(std::move(grammar)),
      vocabulary_(std::move(vocabulary)),
      threads_(std::make_unique<ThreadSet>()) {
  threads_->threads = Machine::start(*grammar_);
}

GrammarMatcher::~GrammarMatcher() = default;
GrammarMatcher::GrammarMatcher(GrammarMatcher&&) noexcept = default;
GrammarMatcher& GrammarMatcher::operator=(GrammarMatcher&&) noexcept = default;

GrammarMatcher::GrammarMatcher(const GrammarMatcher& other)
    : grammar_(other.grammar_),
      vocabulary_(other.vocabulary_),
      threads_(std::make_unique<ThreadSet>(*other.threads_)),
      ended_(other.ended_) {}

GrammarMatcher& GrammarMatcher::operator=(const GrammarMatcher& other) {
  if (this != &other) *this = GrammarMatcher(other);
  return *this;
}

void GrammarMatcher::allowed(std::span<std::uint32_t> mask) {
  std::fill(mask.begin(), mask.end(), 0U);
  if (ended_) return;
  const grammar::TokenTrie& trie = vocabulary_->trie();
  const Machine machine(threads_->text, threads_->text_begin, 0);
  for (const Thread& thread : threads_->threads) {
    if (!Machine::may_go_on(thread)) continue;
    const std::uint64_t key =
        grammar::mix(machine.mask_hash(thread, trie.token_length_max()), trie.id());
    std::shared_ptr<const Mask> known = grammar_->masks().find(key);
    if (!known) {
      known = std::make_shared<const Mask>(
          grammar::compute_mask(thread, trie, *threads_, grammar_->masks()));
      grammar_->masks().insert(key, known);
    }
    known->add_to(mask);
  }
  if (!may_end()) return;
  for (const TokenId t : trie.end_of_generation()) {
    mask[static_cast<std::size_t>(t) / 32] |= 1U << (t % 32);
  }
}

bool GrammarMatcher::accept(TokenId token) {
  const grammar::TokenTrie& trie = vocabulary_->trie();
  if (ended_ || token < 0 || token >= trie.size()) return false;
  const auto& end = trie.end_of_generation();
  if (std::find(end.begin(), end.end(), token) != end.end()) {
    ended_ = may_end();
    return ended_;
  }
  const std::string_view piece = trie.piece(token);
  const std::uint64_t begin = threads_->text_begin + threads_->text.size();
  if (!piece.empty()) return step_bytes(piece, begin);
  const auto& control = trie.control();
  const auto at =
      std::find_if(control.begin(), control.end(), [&](const auto& c) { return c.id == token; });
  if (at == control.end()) return false;
  Machine machine(threads_->text, threads_->text_begin, begin);
  std::vector<Thread> next;
  for (const Thread& thread : threads_->threads) machine.step_control(thread, at->text, next);
  if (next.empty()) return false;
  Machine::remove_duplicates(next);
  threads_->threads = std::move(next);
  threads_->text += at->text;
  forget_text(*threads_);
  return true;
}

bool GrammarMatcher::accept_text(std::string_view bytes) { return !ended_ && step_bytes(bytes, 0); }

bool GrammarMatcher::step_bytes(std::string_view bytes, std::uint64_t token_begin) {
  Machine machine(threads_->text, threads_->text_begin, token_begin);
  std::vector<Thread> threads = threads_->threads, next;
  for (const char c : bytes) {
    next.clear();
    for (const Thread& thread : threads) machine.step(thread, static_cast<unsigned char>(c), next);
    if (next.empty()) return false;
    Machine::remove_duplicates(next);
    machine.push(static_cast<unsigned char>(c));
    threads.swap(next);
  }
  threads_->threads = std::move(threads);
  threads_->text = std::move(machine.text());
  forget_text(*threads_);
  return true;
}

bool GrammarMatcher::may_end() const {
  if (ended_) return true;
  Machine machine(threads_->text, threads_->text_begin, 0);
  return std::any_of(threads_->threads.begin(), threads_->threads.end(),
                     [&](const Thread& thread) { return machine.may_end(thread); });
}

bool GrammarMatcher::must_end() const {
  return ended_ || std::none_of(threads_->threads.begin(), threads_->threads.end(),
                                [](const Thread& thread) { return Machine::may_go_on(thread); });
}

}  // namespace ridgeline
