#include "ridgeline/text/grammar/masks.h"

#include <algorithm>
#include <bit>
#include <map>

namespace ridgeline::grammar {
namespace {

// What stays inside a string of `dfa`, and where it may be closed: the same wherever the
// string stands.
class StringWalk {
 public:
  StringWalk(const TokenTrie& trie, const Dfa& dfa) : trie_(trie), dfa_(dfa) {
    mask_.words.assign((static_cast<std::size_t>(trie.size()) + 31) / 32, 0);
  }
  Mask run(const Lexer& lexer) {
    visit(lexer, 0, static_cast<std::uint32_t>(trie_.nodes().size()));
    return std::move(mask_);
  }

 private:
  void visit(const Lexer& lexer, std::uint32_t begin, std::uint32_t end) {
    for (std::uint32_t i = begin; i < end; i = trie_.nodes()[i].end) {
      const TokenTrie::Node& node = trie_.nodes()[i];
      Lexer next = lexer;
      const bool is_plain = lexer.phase == 0 && node.byte >= 0x20 && node.byte < 0x80 &&
                            node.byte != '"' && node.byte != '\\';
      if (is_plain) {
        next.state = dfa_.step(lexer.state, node.byte);
        if (next.state == kDead) continue;
      } else {
        const Lexer::Step step = next.in_string(dfa_, node.byte);
        if (step == Lexer::Step::kQuote && dfa_.labels[lexer.state] != 0) {
          mask_.closings.push_back(i);
          mask_.closed_state = lexer.state;
        }
        if (step != Lexer::Step::kOn) continue;
      }
      for (TokenId t = node.token; t != kNoToken; t = trie_.next_same(t)) {
        mask_.words[static_cast<std::size_t>(t) / 32] |= 1U << (t % 32);
      }
      if (i + 1 < node.end) visit(next, i + 1, node.end);
    }
  }

  const TokenTrie& trie_;
  const Dfa& dfa_;
  Mask mask_;
};

class Walk {
 public:
  Walk(const TokenTrie& trie, const ThreadSet& state, MaskCache& cache)
      : trie_(trie),
        cache_(cache),
        machine_(state.text, state.text_begin, state.text_begin + state.text.size()),
        words_((static_cast<std::size_t>(trie.size()) + 31) / 32, 0) {}

  std::vector<std::uint32_t> run(Thread thread) {
    if (Machine::has_room(thread, TokenTrie::kLongBytes)) {
      words_ = trie_.inside_string();
      leave_out_long(thread);
      close_string(thread, trie_.closings());
    } else if (thread.mode == Thread::Mode::kString && !Machine::has_mark(thread)) {
      in_string(thread);
    } else {
      const bool in_string = Machine::is_in_string(thread) && thread.lexer.phase == 0;
      visit(thread, 0, static_cast<std::uint32_t>(trie_.nodes().size()), in_string);
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

  // A string of which something is asked.
  void in_string(Thread thread) {
    const Lexer& lexer = thread.lexer;
    std::uint64_t key = mix(pointer_hash(thread.dfa), trie_.id());
    key = mix(mix(key, (std::uint64_t{lexer.state} << 32) | lexer.partial), lexer.phase);
    std::shared_ptr<const Mask> inside = cache_.find(key);
    if (!inside) {
      inside = std::make_shared<const Mask>(StringWalk(trie_, *thread.dfa).run(lexer));
      cache_.insert(key, inside);
    }
    words_ = inside->words;
    if (inside->closings.empty()) return;
    std::vector<Thread> behind;
    thread.lexer = Lexer();
    thread.lexer.state = inside->closed_state;
    machine_.step(thread, '"', behind);
    machine_.push('"');
    for (const std::uint32_t index : inside->closings) {
      const TokenTrie::Node& node = trie_.nodes()[index];
      if (!behind.empty()) set_all(node);
      for (Thread& next : behind) visit(next, index + 1, node.end, false);
    }
    machine_.pop();
  }

  // Where a string has room for most tokens, the others are tried one by one.
  void leave_out_long(const Thread& thread) {
    for (const TokenId token : trie_.long_inside_string()) {
      const std::string_view bytes = trie_.piece(token);
      if (Machine::has_room(thread, static_cast<std::uint32_t>(bytes.size()))) return;
      if (!stays_inside(thread, bytes)) {
        words_[static_cast<std::size_t>(token) / 32] &= ~(1U << (token % 32));
      }
    }
  }
  static bool stays_inside(const Thread& thread, std::string_view bytes) {
    Lexer lexer = thread.lexer;
    return std::all_of(bytes.begin(), bytes.end(), [&](char c) {
      return lexer.in_string(*thread.dfa, static_cast<unsigned char>(c)) == Lexer::Step::kOn;
    });
  }

  // Tokens that leave the string. What follows the quote depends on what was before it only in
  // names, and there on its class.
  void close_string(const Thread& thread, std::span<const TokenTrie::Closing> closings) {
    const bool is_key = thread.mode == Thread::Mode::kKey;
    const std::size_t length = machine_.text().size();
    std::map<std::uint32_t, std::vector<Thread>> behind;  // by label
    for (const auto& [index, whole] : closings) {
      const std::string_view prefix = std::string_view(whole).substr(depth_);
      const std::uint32_t label = label_behind(thread, prefix);
      if (label == 0) continue;
      machine_.text() += prefix;
      if (!is_key || machine_.is_new(thread)) {
        const auto [at, is_first] = behind.try_emplace(is_key ? label : 1);
        if (is_first) close_once(thread, prefix, at->second);
        if (!at->second.empty()) {
          const TokenTrie::Node& node = trie_.nodes()[index];
          set_all(node);
          machine_.push('"');
          for (Thread& next : at->second) visit(next, index + 1, node.end, false);
        }
      }
      machine_.text().resize(length);
    }
  }
  void close_once(Thread thread, std::string_view prefix, std::vector<Thread>& behind) {
    for (const char c : prefix) {
      thread.lexer.in_string(*thread.dfa, static_cast<unsigned char>(c));
    }
    if (thread.mode == Thread::Mode::kKey) {
      machine_.end_new_key(thread, behind);
    } else {
      machine_.step(thread, '"', behind);
    }
  }
  static std::uint32_t label_behind(const Thread& thread, std::string_view prefix) {
    const Dfa& dfa = *thread.dfa;
    if (Machine::is_free(thread, static_cast<std::uint32_t>(prefix.size()))) {
      return dfa.labels[thread.lexer.state];
    }
    Lexer lexer = thread.lexer;
    for (const char c : prefix) {
      if (lexer.in_string(dfa, static_cast<unsigned char>(c)) != Lexer::Step::kOn) return 0;
    }
    return dfa.labels[lexer.state];
  }

  // Tries the nodes from begin to end, which are the children of one node and all below.
  // `in_string`: the trie's root was within the string in which the thread is.
  void visit(Thread& thread, std::uint32_t begin, std::uint32_t end, bool in_string) {
    if (thread.mode == Thread::Mode::kDone) return;
    for (std::uint32_t i = begin; i < end; i = trie_.nodes()[i].end) {
      const TokenTrie::Node& node = trie_.nodes()[i];
      const Lexer before = thread.lexer;
      bool is_dead = false;
      machine_.push(node.byte);
      ++depth_;
      if (machine_.step_within(thread, node.byte, is_dead)) {
        if (!is_dead) {
          if (in_string && Machine::has_room(thread, node.height)) {
            for (const TokenId t : trie_.inside_string(i)) set(t);
            close_string(thread, trie_.closings(i));
          } else {
            set_all(node);
            if (i + 1 < node.end) visit(thread, i + 1, node.end, in_string);
          }
        }
        thread.lexer = before;
        machine_.pop();
        --depth_;
        continue;
      }
      machine_.pop();
      std::vector<Thread> out;
      machine_.step(thread, node.byte, out);
      if (!out.empty()) set_all(node);
      if (!out.empty() && i + 1 < node.end) {
        Machine::remove_duplicates(out);
        machine_.push(node.byte);
        for (Thread& next : out) visit(next, i + 1, node.end, false);
        machine_.pop();
      }
      --depth_;
    }
  }

  const TokenTrie& trie_;
  MaskCache& cache_;
  Machine machine_;
  std::vector<std::uint32_t> words_;
  std::size_t depth_ = 0;  // bytes of the path in the trie
};

}  // namespace

void Mask::add_to(std::span<std::uint32_t> mask) const {
  for (std::size_t i = 0; i < words.size(); ++i) mask[i] |= words[i];
  for (const TokenId t : tokens) mask[static_cast<std::size_t>(t) / 32] |= 1U << (t % 32);
}

Mask compute_mask(const Thread& thread, const TokenTrie& trie, const ThreadSet& state,
                  MaskCache& cache) {
  Mask mask;
  mask.words = Walk(trie, state, cache).run(thread);
  std::size_t count = 0;
  for (const std::uint32_t word : mask.words)
    count += static_cast<std::size_t>(std::popcount(word));
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
