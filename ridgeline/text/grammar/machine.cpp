#include "ridgeline/text/grammar/machine.h"

#include <algorithm>

namespace ridgeline::grammar {

namespace {

using Mode = Thread::Mode;

bool is_blank(unsigned char byte) {
  return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

}  // namespace

const Frame* Machine::unique_array(const Thread& thread) {
  if (!thread.top || thread.top->kind != Frame::Kind::kArray) return nullptr;
  return array_of(*thread.top).is_unique ? thread.top.get() : nullptr;
}

bool Machine::has_mark(const Thread& thread) {
  if (thread.mode == Mode::kKey) return true;
  return (thread.mode == Mode::kString || thread.mode == Mode::kBare) &&
         unique_array(thread) != nullptr;
}

std::vector<Thread> Machine::start(const Grammar& grammar) {
  Machine machine("", 0, 0);
  std::vector<Thread> threads;
  for (const std::uint32_t production : grammar.program().rules[0].productions) {
    machine.advance(grammar.program(), production, 0, nullptr, threads);
  }
  remove_duplicates(threads);
  return threads;
}

void Machine::advance(const Program& program, std::uint32_t production, std::uint32_t position,
                      const FramePtr& top, Threads& out) {
  if (nesting_ == 0) entered_.clear();
  ++nesting_;
  enter(program, production, position, top, out);
  --nesting_;
}

// What waits for a byte at this place, behind all rules that begin here.
void Machine::enter(const Program& program, std::uint32_t production, std::uint32_t position,
                    const FramePtr& top, Threads& out) {
  if (out.size() > kThreadsMax || nesting_ > 2000) return;
  const Program::Production& elements = program.productions[production];
  if (position == elements.size()) return leave(top, out);
  const std::uint64_t place =
      mix(mix(pointer_hash(&program), (std::uint64_t{production} << 32) | position),
          top ? top->hash : 0);
  if (std::find(entered_.begin(), entered_.end(), place) != entered_.end()) return;
  if (entered_.size() > kThreadsMax) return;
  entered_.push_back(place);
  const Program::Element& element = elements[position];
  Thread thread;
  thread.program = &program;
  thread.production = production;
  thread.position = position;
  thread.index = element.index;
  thread.top = top;
  using Kind = Program::Element::Kind;
  if (element.kind == Kind::kDfa) {
    thread.mode = Mode::kDfa;
    thread.dfa = program.dfas[element.index].get();
    if (thread.dfa->empty()) return;
    if (thread.dfa->ends_at(0)) return enter(program, production, position + 1, top, out);
    const bool is_nullable = thread.dfa->labels[0] != 0;
    out.push_back(std::move(thread));
    if (is_nullable) enter(program, production, position + 1, top, out);
    return;
  }
  if (element.kind == Kind::kLiteral) {
    if (program.literals[element.index].empty()) {
      return enter(program, production, position + 1, top, out);
    }
    thread.mode = Mode::kLiteral;
    out.push_back(std::move(thread));
    return;
  }
  // What is called comes back behind the element; at a production's end, where that would.
  FramePtr below = top;
  if (position + 1 < elements.size()) {
    if (top && top->depth >= kDepthMax) return;
    Frame frame;
    frame.program = &program;
    frame.index = production;
    frame.position = position + 1;
    frame.below = top;
    below = finished(std::move(frame));
  }
  if (element.kind == Kind::kJson) {
    thread.mode = Mode::kValue;
    thread.top = std::move(below);
    out.push_back(std::move(thread));
    return;
  }
  const bool is_rule = element.kind == Kind::kRule;
  const Program& called = is_rule ? program : program.parts[element.index]->program();
  ++nesting_;
  for (const std::uint32_t next : called.rules[is_rule ? element.index : 0].productions) {
    enter(called, next, 0, below, out);
  }
  --nesting_;
}

void Machine::leave(const FramePtr& top, Threads& out) {
  if (!top) {
    out.emplace_back();
    return;
  }
  ++nesting_;
  enter(*top->program, top->index, top->position, top->below, out);
  --nesting_;
}

void Machine::remove_duplicates(std::vector<Thread>& threads) {
  if (threads.size() < 2) return;
  std::vector<std::pair<std::uint64_t, std::size_t>> order;
  for (std::size_t i = 0; i < threads.size(); ++i) {
    const Thread& t = threads[i];
    std::uint64_t h = mix(static_cast<std::uint64_t>(t.mode), t.num_blanks);
    h = mix(h, (std::uint64_t{t.lexer.state} << 32) | t.lexer.partial);
    h = mix(h,
            (std::uint64_t{t.lexer.phase} << 33) | (std::uint64_t{t.index} << 1) | t.closed_text);
    h = mix(h, (std::uint64_t{t.production} << 32) | t.position);
    h = mix(mix(h, pointer_hash(t.program)), pointer_hash(t.dfa));
    h = mix(mix(h, has_mark(t) ? t.mark : 0), t.top ? t.top->hash : 0);
    order.emplace_back(h, i);
  }
  std::sort(order.begin(), order.end());
  std::vector<Thread> kept;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && order[i].first == order[i - 1].first) continue;
    kept.push_back(std::move(threads[order[i].second]));
    if (kept.size() == kThreadsMax) break;
  }
  threads = std::move(kept);
}

void Machine::step(const Thread& thread, unsigned char byte, Threads& out) {
  const std::size_t before = out.size();
  const bool skips_blanks = thread.mode >= Mode::kValue && thread.mode != Mode::kString &&
                            thread.mode != Mode::kBare && thread.mode != Mode::kKey;
  if (skips_blanks && is_blank(byte)) {
    if (thread.num_blanks == kBlanksMax) return;
    out.push_back(thread);
    ++out.back().num_blanks;
    return;
  }
  switch (thread.mode) {
    case Mode::kDone:
      break;
    case Mode::kDfa:
      step_dfa(thread, byte, true, out);
      break;
    case Mode::kLiteral:
      step_literal(thread, byte, out);
      break;
    case Mode::kValue:
      step_value(thread, byte, out);
      break;
    case Mode::kString:
    case Mode::kKey:
      step_key(thread, byte, out);
      break;
    case Mode::kBare:
      step_bare(thread, byte, out);
      break;
    case Mode::kFirstKey:
      if (byte == '}') {
        const Frame& frame = *thread.top;
        if (object_of(frame).min == 0 && num_open(frame) == 0) close(thread.top, out);
        break;
      }
      [[fallthrough]];
    case Mode::kNextKey:
      if (byte == '"' && may_have_another_key(*thread.top)) {
        begin_text(thread, Mode::kKey, *object_of(*thread.top).keys, out);
      }
      break;
    case Mode::kColon:
      if (byte == ':') {
        out.push_back(thread);
        out.back().mode = Mode::kValue;
        out.back().num_blanks = 0;
      }
      break;
    case Mode::kFirstItem:
      step_first_item(thread, byte, out);
      break;
    case Mode::kAfter:
      step_after(thread, byte, out);
      break;
  }
  for (std::size_t i = before; i < out.size(); ++i) {
    out[i].closed_text = out[i].closed_text || thread.closed_text;
  }
}

// What follows an automaton that has read nothing yet is with it in the set already, so that
// repetitions of what may be empty come to an end.
void Machine::step_dfa(const Thread& thread, unsigned char byte, bool may_leave, Threads& out) {
  if (may_leave && thread.lexer.phase == 0 && thread.dfa->labels[thread.lexer.state] != 0) {
    Threads behind;
    advance(*thread.program, thread.production, thread.position + 1, thread.top, behind);
    for (const Thread& next : behind) {
      if (next.mode == Mode::kDfa) {
        step_dfa(next, byte, false, out);
      } else {
        step(next, byte, out);
      }
    }
  }
  Thread next = thread;
  if (next.lexer.raw(*thread.dfa, byte) != Lexer::Step::kOn) return;
  if (next.lexer.phase == 0 && thread.dfa->ends_at(next.lexer.state)) {
    advance(*thread.program, thread.production, thread.position + 1, thread.top, out);
  } else {
    out.push_back(std::move(next));
  }
}

void Machine::step_literal(const Thread& thread, unsigned char byte, Threads& out) {
  const std::string& literal = thread.program->literals[thread.index];
  if (static_cast<unsigned char>(literal[thread.lexer.state]) != byte) return;
  if (thread.lexer.state + 1 == literal.size()) {
    advance(*thread.program, thread.production, thread.position + 1, thread.top, out);
  } else {
    out.push_back(thread);
    ++out.back().lexer.state;
  }
}

void Machine::step_control(const Thread& thread, std::string_view text, Threads& out) {
  if (text.empty()) return;
  if (thread.mode == Mode::kLiteral) {
    const std::string_view rest =
        std::string_view(thread.program->literals[thread.index]).substr(thread.lexer.state);
    if (!rest.starts_with(text)) return;
    if (rest.size() == text.size()) {
      advance(*thread.program, thread.production, thread.position + 1, thread.top, out);
    } else {
      out.push_back(thread);
      out.back().lexer.state += static_cast<std::uint32_t>(text.size());
    }
  } else if (thread.mode == Mode::kDfa && thread.lexer.phase == 0) {
    const std::uint32_t tag = thread.program->productions[thread.production][thread.position].tag;
    if (tag == kNone || thread.program->literals[tag] != text) return;
    advance(*thread.program, thread.production, thread.position + 1, thread.top, out);
  }
}

bool Machine::may_end(const Thread& thread) {
  if (thread.mode == Mode::kDone) return true;
  Threads behind;
  if (thread.mode == Mode::kDfa && thread.lexer.phase == 0 &&
      thread.dfa->labels[thread.lexer.state] != 0) {
    advance(*thread.program, thread.production, thread.position + 1, thread.top, behind);
  } else if (thread.mode == Mode::kBare && thread.dfa->labels[thread.lexer.state] != 0) {
    end_value(thread, behind);
  }
  return std::any_of(behind.begin(), behind.end(),
                     [](const Thread& t) { return t.mode == Mode::kDone; });
}

bool Machine::step_within(Thread& thread, unsigned char byte, bool& is_dead) const {
  if (thread.mode == Mode::kString || thread.mode == Mode::kKey) {
    if (byte == '"' && thread.lexer.phase == 0) return false;
    is_dead = thread.lexer.in_string(*thread.dfa, byte) == Lexer::Step::kRefused;
    // text_ has the byte already.
    if (!is_dead && has_mark(thread)) is_dead = !key_is_viable(thread);
    return true;
  }
  if (thread.mode == Mode::kDfa) {
    if (thread.lexer.phase == 0 && thread.dfa->labels[thread.lexer.state] != 0) {
      const bool has_more =
          thread.top != nullptr ||
          thread.position + 1 < thread.program->productions[thread.production].size();
      if (has_more) return false;
    }
    const Lexer before = thread.lexer;
    is_dead = thread.lexer.raw(*thread.dfa, byte) != Lexer::Step::kOn;
    if (!is_dead && thread.lexer.phase == 0 && thread.dfa->ends_at(thread.lexer.state)) {
      thread.lexer = before;
      return false;
    }
    return true;
  }
  return false;
}

bool Machine::has_room(const Thread& thread, std::uint32_t num_characters) {
  if (thread.lexer.phase != 0) return false;
  if (thread.mode == Mode::kString) {
    return unique_array(thread) == nullptr && thread.dfa->room[thread.lexer.state] > num_characters;
  }
  return thread.mode == Mode::kKey && thread.dfa->room[thread.lexer.state] == Dfa::kInfinite &&
         !is_tight(*thread.top);
}

bool Machine::is_free(const Thread& thread, std::uint32_t num_characters) {
  if (!has_room(thread, num_characters)) return false;
  return thread.mode == Mode::kString
             ? thread.dfa->slack[thread.lexer.state] > num_characters
             : static_cast<bool>(thread.dfa->universal[thread.lexer.state]);
}

std::uint64_t Machine::mask_hash(const Thread& thread, std::uint32_t token_length_max) const {
  std::uint64_t h = mix(static_cast<std::uint64_t>(thread.mode), thread.num_blanks);
  h = mix(h, thread.top ? thread.top->hash : 0);
  h = mix(h, pointer_hash(thread.program));
  if (thread.mode == Mode::kString && is_free(thread, token_length_max)) return mix(h, kDead);
  h = mix(h, (std::uint64_t{thread.lexer.state} << 32) | thread.lexer.partial);
  h = mix(h, (std::uint64_t{thread.lexer.phase} << 32) | thread.index);
  h = mix(h, pointer_hash(thread.dfa));
  h = mix(h, (std::uint64_t{thread.production} << 32) | thread.position);
  if (has_mark(thread) && thread.top->seen) {
    std::string text = marked_text(thread);
    if (thread.mode == Mode::kString) text.insert(text.begin(), '"');
    if (num_with_prefix(thread.top->seen.get(), text) > 0) h = mix(h, hash_of(text));
  }
  return h;
}

}  // namespace ridgeline::grammar
