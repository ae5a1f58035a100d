#include "ridgeline/text/grammar/masks.h"

#include <algorithm>
#include <bit>

namespace ridgeline::grammar {
namespace {

class Walk {
 public:
  Walk(const TokenTrie& trie, const ThreadSet& state)
      : trie_(trie),
        machine_(state.text, state.text_begin, state.text_begin + state.text.size()),
        words_((static_cast<std::size_t>(trie.size()) + 31) / 32, 0) {}

  std::vector<std::uint32_t> run(Thread thread) {
    if (Machine::is_free(thread, trie_.token_length_max())) {
      free_string(thread);
    } else {
      visit(thread, 0, static_cast<std::uint32_t>(trie_.nodes().size()));
    }
    for (const auto& control : trie_.control()) {
      std::vector<Thread> out;
      machine_.step_control(thread, control.text, out);
      if (!out.empty()) set(control.id);
    }
    return std::move(words_);
  }

 private:
  void set(TokenId token) { words_[static_cast<std::size_t>(token) / 32] |= 1U << (token % 32); }
  void set_all(const TokenTrie::Node& node) {
    for (TokenId t = node.token; t != kNoToken; t = trie_.next_same(t)) set(t);
  }

  // All tokens that stay inside are known; for the others, what follows the quote counts.
  void free_string(const Thread& thread) {
    words_ = trie_.inside_string();
    const bool looks_back = Machine::has_mark(thread);
    std::vector<Thread> behind;
    if (!looks_back) machine_.step(thread, '"', behind);
    const std::size_t length = machine_.text().size();
    for (const auto& [index, prefix] : trie_.closings()) {
      if (looks_back) {
        machine_.text() += prefix;
        behind.clear();
        machine_.step(thread, '"', behind);
      }
      if (!behind.empty()) {
        const TokenTrie::Node& node = trie_.nodes()[index];
        set_all(node);
        machine_.push('"');
        for (Thread& next : behind) visit(next, index + 1, node.end);
      }
      machine_.text().resize(length);
    }
  }

  // Tries the nodes from begin to end, which are the children of one node and all below.
  void visit(Thread& thread, std::uint32_t begin, std::uint32_t end) {
    if (thread.mode == Thread::Mode::kDone) return;
    for (std::uint32_t i = begin; i < end; i = trie_.nodes()[i].end) {
      const TokenTrie::Node& node = trie_.nodes()[i];
      const Lexer before = thread.lexer;
      bool is_dead = false;
      machine_.push(node.byte);
      if (machine_.step_within(thread, node.byte, is_dead)) {
        if (!is_dead) {
          set_all(node);
          if (i + 1 < node.end) visit(thread, i + 1, node.end);
        }
        thread.lexer = before;
        machine_.pop();
        continue;
      }
      machine_.pop();
      std::vector<Thread> out;
      machine_.step(thread, node.byte, out);
      if (out.empty()) continue;
      set_all(node);
      if (i + 1 == node.end) continue;
      Machine::remove_duplicates(out);
      machine_.push(node.byte);
      for (Thread& next : out) visit(next, i + 1, node.end);
      machine_.pop();
    }
  }

  const TokenTrie& trie_;
  Machine machine_;
  std::vector<std::uint32_t> words_;
};

}  // namespace

void Mask::add_to(std::span<std::uint32_t> mask) const {
  for (std::size_t i = 0; i < words.size(); ++i) mask[i] |= words[i];
  for (const TokenId t : tokens) mask[static_cast<std::size_t>(t) / 32] |= 1U << (t % 32);
}

Mask compute_mask(const Thread& thread, const TokenTrie& trie, const ThreadSet& state) {
  Mask mask;
  mask.words = Walk(trie, state).run(thread);
  std::size_t count = 0;
  for (const std::uint32_t word : mask.words) count += static_cast<std::size_t>(std::popcount(word));
  if (count > mask.words.size() / 2) return mask;
  mask.tokens.reserve(count);
  for (std::size_t i = 0; i < mask.words.size(); ++i) {
    for (std::uint32_t word = mask.words[i]; word != 0; word &= word - 1) {
      mask.tokens.push_back(static_cast<TokenId>(i * 32) + std::countr_zero(word));
    }
  }
  mask.words = {};
  return mask;
}

std::shared_ptr<const Mask> MaskCache::find(std::uint64_t key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (const auto at = young_.find(key); at != young_.end()) return at->second;
  const auto at = old_.find(key);
  if (at == old_.end()) return nullptr;
  std::shared_ptr<const Mask> mask = at->second;
  add(key, mask);
  return mask;
}

void MaskCache::insert(std::uint64_t key, std::shared_ptr<const Mask> mask) {
  const std::lock_guard<std::mutex> lock(mutex_);
  add(key, std::move(mask));
}

void MaskCache::add(std::uint64_t key, std::shared_ptr<const Mask> mask) {
  const std::size_t bytes = mask->bytes();
  if (young_bytes_ + bytes > kBytesMax / 2) {
    old_ = std::move(young_);
    young_.clear();
    young_bytes_ = 0;
  }
  if (young_.emplace(key, std::move(mask)).second) young_bytes_ += bytes;
}

}  // namespace ridgeline::grammar
