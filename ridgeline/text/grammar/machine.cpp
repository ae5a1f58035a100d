#include "ridgeline/text/grammar/machine.h"

#include <algorithm>
#include <bit>

#include "ridgeline/text/utf8.h"

namespace ridgeline::grammar {

// Murmur3's finalizer (Appleby) over the sum of both.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t h = a * 0x9E3779B97F4A7C15ULL + b + 0x7F4A7C159E3779B9ULL;
  h ^= h >> 33;
  h *= 0xFF51AFD7ED558CCDULL;
  h ^= h >> 33;
  h *= 0xC4CEB9FE1A85EC53ULL;
  return h ^ (h >> 33);
}

std::uint64_t hash_of(std::string_view text) {
  std::uint64_t h = mix(text.size(), 0x1B873593);
  for (const char c : text) h = mix(h, static_cast<unsigned char>(c));
  return h;
}

// Not by recursion: a list may be long.
Seen::~Seen() {
  SeenPtr next = std::move(before);
  while (next && next.use_count() == 1) {
    SeenPtr after = std::move(const_cast<Seen&>(*next).before);
    next = std::move(after);
  }
}

namespace {

using Mode = Thread::Mode;

std::uint64_t pointer_hash(const void* pointer) {
  return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(pointer));
}

FramePtr finished(Frame frame) {
  frame.depth = frame.below ? frame.below->depth + 1 : 1;
  std::uint64_t h = frame.below ? frame.below->hash : 1;
  h = mix(h, static_cast<std::uint64_t>(frame.kind));
  h = mix(h, pointer_hash(frame.program));
  h = mix(h, (std::uint64_t{frame.index} << 32) | frame.position);
  for (const std::uint64_t word : frame.fulfilled) h = mix(h, word);
  if (frame.seen) h = mix(h, frame.seen->hash);
  frame.hash = h;
  return std::make_shared<const Frame>(std::move(frame));
}

SeenPtr with(const SeenPtr& before, std::string text) {
  auto seen = std::make_shared<Seen>();
  seen->hash = hash_of(text) + (before ? before->hash : 0);
  seen->count = before ? before->count + 1 : 1;
  seen->text = std::move(text);
  seen->before = before;
  return seen;
}

bool contains(const Seen* seen, std::string_view text) {
  for (; seen != nullptr; seen = seen->before.get()) {
    if (seen->text == text) return true;
  }
  return false;
}

std::uint32_t num_seen(const Frame& frame) { return frame.seen ? frame.seen->count : 0; }

const JsonObject& object_of(const Frame& frame) {
  return frame.program->json.objects[frame.index];
}
const JsonArray& array_of(const Frame& frame) { return frame.program->json.arrays[frame.index]; }

std::uint32_t num_fulfilled(const Frame& frame) {
  int count = 0;
  for (const std::uint64_t word : frame.fulfilled) count += std::popcount(word);
  return static_cast<std::uint32_t>(count);
}
bool is_fulfilled(const Frame& frame, std::uint32_t bit) {
  return (frame.fulfilled[bit / 64] >> (bit % 64) & 1) != 0;
}
std::uint32_t num_open(const Frame& frame) {
  const std::size_t all = frame.kind == Frame::Kind::kObject ? object_of(frame).obligations.size()
                                                             : array_of(frame).witnesses.size();
  return static_cast<std::uint32_t>(all) - num_fulfilled(frame);
}

// Only what is still asked for may come.
bool is_tight(const Frame& object) {
  const std::uint32_t max = object_of(object).max;
  return max != kNoLimit && max - num_seen(object) <= num_open(object);
}

bool may_have_another_key(const Frame& frame) {
  const JsonObject& object = object_of(frame);
  const std::uint32_t count = num_seen(frame);
  if (count >= std::min(object.max, Machine::kSeenMax) || object.keys->empty()) return false;
  const std::uint32_t names = object.keys->counts[0];
  return names == Dfa::kInfinite || names > count;
}

// The number of items beyond which it does not matter how many there are.
std::uint32_t count_cap(const JsonArray& array) {
  if (array.max != kNoLimit) return array.max;
  std::size_t cap = std::max<std::size_t>(array.min, array.items.prefix.size());
  for (const auto& witness : array.witnesses) cap = std::max(cap, witness.prefix.size());
  return static_cast<std::uint32_t>(std::min<std::size_t>(cap, kNoLimit - 1));
}

bool may_have_another_item(const Frame& frame) {
  const JsonArray& array = array_of(frame);
  if (array.max != kNoLimit && frame.position >= array.max) return false;
  const std::uint32_t value = array.items.at(frame.position);
  if (value == kNone) return false;
  if (!array.is_unique) return true;
  const JsonValue& v = frame.program->json.values[value];
  std::uint64_t count = 0;
  for (const DfaPtr& dfa : {v.bare, v.string}) {
    if (dfa->empty()) continue;
    if (dfa->counts[0] == Dfa::kInfinite) return num_seen(frame) < Machine::kSeenMax;
    count += dfa->counts[0];
  }
  return count > num_seen(frame) && num_seen(frame) < Machine::kSeenMax;
}

bool is_blank(unsigned char byte) {
  return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

bool ends_here(const Dfa& dfa, std::uint32_t state) {
  return dfa.labels[state] != 0 && dfa.counts[state] == 1;
}

// What a string's source says, as far as its escapes are complete.
std::string unescaped(std::string_view raw) {
  if (raw.find('\\') == raw.npos) return std::string(raw);
  // An automaton that knows every character and says which.
  std::string out;
  for (std::size_t i = 0; i < raw.size();) {
    if (raw[i] != '\\') {
      out += raw[i++];
      continue;
    }
    if (i + 1 >= raw.size()) break;
    const char c = raw[i + 1];
    if (c != 'u') {
      static constexpr std::string_view kFrom = "bfnrt", kTo = "\b\f\n\r\t";
      const std::size_t at = kFrom.find(c);
      out += at == kFrom.npos ? c : kTo[at];
      i += 2;
      continue;
    }
    const auto four = [&](std::size_t at) -> char32_t {
      return static_cast<char32_t>(std::stoul(std::string(raw.substr(at, 4)), nullptr, 16));
    };
    if (i + 6 > raw.size()) break;
    char32_t code_point = four(i + 2);
    i += 6;
    if (code_point >= 0xD800 && code_point < 0xDC00) {
      if (i + 6 > raw.size()) break;
      code_point = 0x10000 + ((code_point - 0xD800) << 10) + (four(i + 2) - 0xDC00);
      i += 6;
    }
    append_utf8(code_point, out);
  }
  return out;
}

const Frame* unique_array(const Thread& thread) {
  if (!thread.top || thread.top->kind != Frame::Kind::kArray) return nullptr;
  return array_of(*thread.top).is_unique ? thread.top.get() : nullptr;
}

}  // namespace

bool Machine::has_mark(const Thread& thread) {
  if (thread.mode == Mode::kKey) return true;
  return (thread.mode == Mode::kString || thread.mode == Mode::kBare) &&
         unique_array(thread) != nullptr;
}

std::string Machine::marked_text(const Thread& thread) const {
  const std::string_view raw =
      std::string_view(text_).substr(static_cast<std::size_t>(thread.mark - text_begin_));
  std::string text = thread.mode == Mode::kBare ? std::string(raw) : unescaped(raw);
  // A character that is cut off says nothing yet.
  if (thread.mode != Mode::kBare && thread.lexer.phase != 0) {
    text.resize(utf8_valid_prefix_bytes(text));
  }
  return text;
}

std::uint32_t Machine::num_with_prefix(const Seen* seen, std::string_view prefix) {
  std::uint32_t count = 0;
  for (; seen != nullptr; seen = seen->before.get()) {
    if (std::string_view(seen->text).starts_with(prefix)) ++count;
  }
  return count;
}

// The same within a character: whether one that it may become leads to a text that is new.
bool Machine::has_new_behind(const Thread& thread, const CodePointSet& half,
                             const std::string& text) const {
  const Dfa& dfa = *thread.dfa;
  const Seen* seen = thread.top->seen.get();
  const std::uint32_t num_alike = num_with_prefix(seen, text);
  for (const CodePointRange& range : half) {
    for (std::size_t i = dfa.alphabet.interval_of(range.low);
         i < dfa.alphabet.starts.size() && dfa.alphabet.starts[i] <= range.high; ++i) {
      const std::uint32_t to =
          dfa.next[thread.lexer.state * dfa.alphabet.count + dfa.alphabet.classes[i]];
      if (to == kDead) continue;
      const char32_t low = std::max(range.low, dfa.alphabet.starts[i]);
      const char32_t high = i + 1 < dfa.alphabet.starts.size()
                                ? std::min<char32_t>(range.high, dfa.alphabet.starts[i + 1] - 1)
                                : range.high;
      if (high - low >= num_alike) return true;  // more characters than texts that have been
      for (char32_t c = low; c <= high; ++c) {
        std::string longer = text;
        append_utf8(c, longer);
        if (num_with_prefix(seen, longer) < dfa.counts[to]) return true;
      }
    }
  }
  return false;
}

// Whether some text that is still new can come of what has been written of it. text_ has it all.
bool Machine::key_is_viable(const Thread& thread) const {
  const Frame& frame = *thread.top;
  const std::uint32_t left = thread.dfa->counts[thread.lexer.state];
  const bool is_key = thread.mode == Mode::kKey;
  const bool tight = is_key && is_tight(frame);
  if (!tight && (left == Dfa::kInfinite || frame.seen == nullptr)) return true;
  std::string text = marked_text(thread);
  if (thread.mode == Mode::kString) text.insert(text.begin(), '"');
  const CodePointSet half = thread.lexer.phase == 0 ? CodePointSet() : thread.lexer.possible();
  if (left != Dfa::kInfinite) {
    const bool has_new = half.empty() ? num_with_prefix(frame.seen.get(), text) < left
                                      : has_new_behind(thread, half, text);
    if (!has_new) return false;
  }
  if (!tight) return true;
  const JsonObject& object = object_of(frame);
  const auto goes_on = [&](std::string_view name) {
    if (!name.starts_with(text)) return false;
    if (half.empty()) return true;
    name.remove_prefix(text.size());
    if (name.empty()) return false;
    const char32_t next = utf8_step(name).code_point;
    return std::any_of(half.begin(), half.end(),
                       [&](auto range) { return range.low <= next && next <= range.high; });
  };
  for (std::uint32_t i = 0; i < object.obligations.size(); ++i) {
    if (is_fulfilled(frame, i)) continue;
    const auto& obligation = object.obligations[i];
    if (!obligation.is_named || goes_on(obligation.name)) return true;
  }
  return false;
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
  const std::uint64_t place = mix(mix(pointer_hash(&program), (std::uint64_t{production} << 32) | position),
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
    if (ends_here(*thread.dfa, 0)) return enter(program, production, position + 1, top, out);
    out.push_back(std::move(thread));
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
    h = mix(h, (std::uint64_t{t.lexer.phase} << 33) | (std::uint64_t{t.index} << 1) | t.closed_text);
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
    case Mode::kDone: break;
    case Mode::kDfa: step_dfa(thread, byte, out); break;
    case Mode::kLiteral: step_literal(thread, byte, out); break;
    case Mode::kValue: step_value(thread, byte, out); break;
    case Mode::kString:
    case Mode::kKey: step_key(thread, byte, out); break;
    case Mode::kBare: step_bare(thread, byte, out); break;
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
    case Mode::kFirstItem: step_first_item(thread, byte, out); break;
    case Mode::kAfter: step_after(thread, byte, out); break;
  }
  for (std::size_t i = before; i < out.size(); ++i) {
    out[i].closed_text = out[i].closed_text || thread.closed_text;
  }
}

void Machine::step_dfa(const Thread& thread, unsigned char byte, Threads& out) {
  if (thread.lexer.phase == 0 && thread.dfa->labels[thread.lexer.state] != 0) {
    Threads behind;
    advance(*thread.program, thread.production, thread.position + 1, thread.top, behind);
    for (const Thread& next : behind) step(next, byte, out);
  }
  Thread next = thread;
  if (next.lexer.raw(*thread.dfa, byte) != Lexer::Step::kOn) return;
  if (next.lexer.phase == 0 && ends_here(*thread.dfa, next.lexer.state)) {
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

void Machine::begin_text(const Thread& thread, Mode mode, const Dfa& dfa, Threads& out) {
  Thread next = thread;
  next.mode = mode;
  next.num_blanks = 0;
  next.lexer = Lexer();
  next.dfa = &dfa;
  next.mark = text_begin_ + text_.size() + (mode == Mode::kBare ? 0 : 1);
  out.push_back(std::move(next));
}

void Machine::step_value(const Thread& thread, unsigned char byte, Threads& out) {
  const JsonGrammar& json = thread.program->json;
  const JsonValue& value = json.values[thread.index];
  const bool too_deep = thread.top && thread.top->depth >= kDepthMax;
  if (byte == '"') {
    if (!value.string->empty()) begin_text(thread, Mode::kString, *value.string, out);
  } else if (byte == '{' || byte == '[') {
    if (too_deep) return;
    const bool is_object = byte == '{';
    for (const std::uint32_t shape : is_object ? value.objects : value.arrays) {
      Frame frame;
      frame.kind = is_object ? Frame::Kind::kObject : Frame::Kind::kArray;
      frame.program = thread.program;
      frame.index = shape;
      frame.below = thread.top;
      Thread next;
      next.mode = is_object ? Mode::kFirstKey : Mode::kFirstItem;
      next.program = thread.program;
      next.top = finished(std::move(frame));
      out.push_back(std::move(next));
    }
  } else if (!value.bare->empty()) {
    Threads begun;
    begin_text(thread, Mode::kBare, *value.bare, begun);
    step_bare(begun.back(), byte, out);
  }
}

void Machine::step_bare(const Thread& thread, unsigned char byte, Threads& out) {
  Thread next = thread;
  if (byte < 0x80 && next.lexer.raw(*thread.dfa, byte) == Lexer::Step::kOn) {
    const bool is_unique = unique_array(thread) != nullptr;
    if (is_unique) {
      push(byte);
      const bool viable = key_is_viable(next);
      pop();
      if (!viable) return;
    } else if (ends_here(*thread.dfa, next.lexer.state)) {
      end_value(std::move(next), out);
      return;
    }
    out.push_back(std::move(next));
    return;
  }
  if (thread.dfa->labels[thread.lexer.state] == 0) return;
  Threads behind;
  end_value(thread, behind);
  for (const Thread& done : behind) step(done, byte, out);
}

void Machine::step_key(const Thread& thread, unsigned char byte, Threads& out) {
  Thread next = thread;
  const Lexer::Step step = next.lexer.in_string(*thread.dfa, byte);
  if (step == Lexer::Step::kRefused) return;
  if (step == Lexer::Step::kQuote) {
    if (thread.dfa->labels[thread.lexer.state] == 0) return;
    if (thread.mode == Mode::kKey) {
      end_key(thread, out);
    } else {
      end_value(thread, out);
    }
    return;
  }
  if (has_mark(thread)) {
    push(byte);
    const bool viable = key_is_viable(next);
    pop();
    if (!viable) return;
  }
  out.push_back(std::move(next));
}

void Machine::end_key(const Thread& thread, Threads& out) {
  if (thread.closed_text) return;
  std::string name = marked_text(thread);
  if (!contains(thread.top->seen.get(), name)) end_key(thread, std::move(name), out);
}

void Machine::end_new_key(const Thread& thread, Threads& out) { end_key(thread, "", out); }

bool Machine::is_new(const Thread& thread) const {
  const Seen* seen = thread.top->seen.get();
  return seen == nullptr || !contains(seen, marked_text(thread));
}

void Machine::end_key(const Thread& thread, std::string name, Threads& out) {
  const Frame& frame = *thread.top;
  const JsonObject& object = object_of(frame);
  const bool tight = is_tight(frame);
  const auto& key_class = object.classes[thread.dfa->labels[thread.lexer.state] - 1];
  Frame next = frame;
  next.seen = with(frame.seen, std::move(name));
  for (const std::uint16_t bit : key_class.fulfils) {
    next.fulfilled[bit / 64] |= std::uint64_t{1} << (bit % 64);
  }
  const auto go_on = [&](Frame changed, std::uint32_t value) {
    if (tight && num_fulfilled(changed) == num_fulfilled(frame)) return;
    Thread after;
    after.mode = Mode::kColon;
    after.program = thread.program;
    after.index = value;
    after.closed_text = thread.mark <= token_begin_;
    after.top = finished(std::move(changed));
    out.push_back(std::move(after));
  };
  for (const auto& [bits, value] : key_class.may_fulfil) {
    Frame fulfilling = next;
    bool is_new = true;
    for (const std::uint16_t bit : bits) {
      is_new = is_new && !is_fulfilled(frame, bit);
      fulfilling.fulfilled[bit / 64] |= std::uint64_t{1} << (bit % 64);
    }
    if (is_new) go_on(std::move(fulfilling), value);
  }
  if (key_class.value != kNone) go_on(std::move(next), key_class.value);
}

void Machine::end_value(Thread thread, Threads& out) {
  FramePtr top = thread.top;
  bool closed_text = false;
  if (unique_array(thread) != nullptr) {
    if (thread.closed_text) return;
    // A string begins with a quote, and is no number.
    std::string item = marked_text(thread);
    if (thread.mode == Mode::kString) item.insert(item.begin(), '"');
    if (contains(top->seen.get(), item)) return;
    Frame next = *top;
    next.seen = with(top->seen, std::move(item));
    top = finished(std::move(next));
    closed_text = thread.mark <= token_begin_;
  }
  if (!top || top->kind == Frame::Kind::kReturn) {
    if (!top) {
      out.emplace_back();
    } else {
      advance(*top->program, top->index, top->position, top->below, out);
    }
    return;
  }
  Thread next;
  next.mode = Mode::kAfter;
  next.program = top->program;
  next.closed_text = closed_text;
  next.top = std::move(top);
  out.push_back(std::move(next));
}

// Of a bracket: what it closes is a value of what is below.
void Machine::close(const FramePtr& top, Threads& out) {
  Thread value;
  value.mode = Mode::kAfter;
  value.program = top->program;
  value.top = top->below;
  end_value(std::move(value), out);
}

// The item comes next; it may be what a witness waits for.
void Machine::begin_item(const Frame& frame, Threads& out) {
  const JsonArray& array = array_of(frame);
  const std::uint32_t at = frame.position;
  const std::uint32_t left = array.max == kNoLimit ? kNoLimit : array.max - at;
  const bool tight = left <= num_open(frame);
  const auto go_on = [&](std::uint32_t witness, std::uint32_t value) {
    Frame next = frame;
    next.position = std::min(at + 1, count_cap(array));
    if (witness != kNone) next.fulfilled[witness / 64] |= std::uint64_t{1} << (witness % 64);
    Thread item;
    item.mode = Mode::kValue;
    item.program = frame.program;
    item.index = value;
    item.top = finished(std::move(next));
    out.push_back(std::move(item));
  };
  for (std::uint32_t w = 0; w < array.witnesses.size(); ++w) {
    if (is_fulfilled(frame, w)) continue;
    const std::uint32_t value = array.witnesses[w].at(at);
    if (value != kNone) go_on(w, value);
  }
  if (!tight && array.items.at(at) != kNone) go_on(kNone, array.items.at(at));
}

void Machine::step_first_item(const Thread& thread, unsigned char byte, Threads& out) {
  const Frame& frame = *thread.top;
  if (byte == ']') {
    if (array_of(frame).min == 0 && num_open(frame) == 0) close(thread.top, out);
    return;
  }
  if (!may_have_another_item(frame)) return;
  Threads items;
  begin_item(frame, items);
  for (const Thread& item : items) step(item, byte, out);
}

void Machine::step_after(const Thread& thread, unsigned char byte, Threads& out) {
  const Frame& frame = *thread.top;
  const bool is_object = frame.kind == Frame::Kind::kObject;
  if (byte == (is_object ? '}' : ']')) {
    const std::uint32_t count = is_object ? num_seen(frame) : frame.position;
    const std::uint32_t min = is_object ? object_of(frame).min : array_of(frame).min;
    if (count >= min && num_open(frame) == 0) close(thread.top, out);
  } else if (byte == ',' && is_object && may_have_another_key(frame)) {
    out.push_back(thread);
    out.back().mode = Mode::kNextKey;
    out.back().num_blanks = 0;
  } else if (byte == ',' && !is_object && may_have_another_item(frame)) {
    begin_item(frame, out);
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
  return std::any_of(behind.begin(), behind.end(), [&](const Thread& t) {
    return t.mode != Mode::kAfter && may_end(t);
  });
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
    if (!is_dead && thread.lexer.phase == 0 && ends_here(*thread.dfa, thread.lexer.state)) {
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
  return thread.mode == Mode::kString ? thread.dfa->slack[thread.lexer.state] > num_characters
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
