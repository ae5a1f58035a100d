#include <algorithm>

#include "ridgeline/text/grammar/machine.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline::grammar {
namespace {

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

}  // namespace

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
    } else if (thread.dfa->ends_at(next.lexer.state)) {
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

}  // namespace ridgeline::grammar
