#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/text/grammar/frames.h"
#include "ridgeline/text/grammar/lexer.h"
#include "ridgeline/text/grammar/program.h"

namespace ridgeline::grammar {

/// One way to read the text so far. A state of the matcher is a set of these; each goes on
/// alone, and one that is complete suffices.
struct Thread {
  enum class Mode : std::uint8_t {
    kDone,       ///< nothing may follow
    kDfa,        ///< in dfas[index] of the program
    kLiteral,    ///< `lexer.state` bytes into a literal
    kValue,      ///< before a JSON value, values[index]
    kString,     ///< in a string value
    kBare,       ///< in a number, true, false or null
    kFirstKey,   ///< behind {
    kNextKey,    ///< behind a comma
    kKey,        ///< in a property's name
    kColon,      ///< behind it; its value will be values[index]
    kFirstItem,  ///< behind [
    kAfter,      ///< behind a member
  };
  Mode mode = Mode::kDone;
  std::uint8_t num_blanks = 0;
  bool closed_text = false;  ///< a text that began before this token ended in it
  Lexer lexer;
  std::uint32_t index = 0;
  std::uint32_t production = 0, position = 0;  ///< of the element, in kDfa and kLiteral
  const Program* program = nullptr;
  const Dfa* dfa = nullptr;  ///< in kDfa, kString, kBare, kKey
  std::uint64_t mark = 0;    ///< where a text began that must differ from those seen
  FramePtr top;
};

/// The set, and as much of the text as threads still ask for.
struct ThreadSet {
  std::vector<Thread> threads;
  std::string text;
  std::uint64_t text_begin = 0;  ///< number of bytes before `text`
};

/// Runs threads. Cheap to make; holds the text on which they look back.
class Machine {
 public:
  /// Runs of white space in JSON end here, so that no model writes blanks for ever.
  static constexpr unsigned kBlanksMax = 64;
  static constexpr std::size_t kThreadsMax = 2000;

  /// `token_begin`: a text that began before it, and one after it, do not both end now, so
  /// that masks need not depend on names; 0 where no token is meant.
  Machine(std::string text, std::uint64_t text_begin, std::uint64_t token_begin)
      : text_(std::move(text)), text_begin_(text_begin), token_begin_(token_begin) {}

  static std::vector<Thread> start(const Grammar& grammar);
  /// What becomes of a thread by a byte; appended, without duplicates among them.
  void step(const Thread& thread, unsigned char byte, std::vector<Thread>& out);
  /// A control token in the place of its text, which is the rest of a literal or a part of it.
  void step_control(const Thread& thread, std::string_view text, std::vector<Thread>& out);
  /// To be called behind step() of all threads.
  void push(unsigned char byte) { text_.push_back(static_cast<char>(byte)); }
  void pop() { text_.pop_back(); }
  static void remove_duplicates(std::vector<Thread>& threads);
  /// Whether the text may end where this thread is.
  bool may_end(const Thread& thread);
  static bool may_go_on(const Thread& thread) { return thread.mode != Thread::Mode::kDone; }

  /// One byte within a string, name, number or expression, if that is all there is to it;
  /// false: step() is needed.
  bool step_within(Thread& thread, unsigned char byte, bool& is_dead) const;
  /// Whether so many characters may follow within the string or name, whichever they are.
  static bool has_room(const Thread& thread, std::uint32_t num_characters);
  /// Whether the string may also end behind each of them, and it makes no difference where.
  static bool is_free(const Thread& thread, std::uint32_t num_characters);
  /// A name ends before the next byte, as step() does it by a quote, whatever it is; is_new():
  /// it is none of those before.
  void end_new_key(const Thread& thread, std::vector<Thread>& out);
  bool is_new(const Thread& thread) const;
  static bool is_in_string(const Thread& thread) {
    return thread.mode == Thread::Mode::kString || thread.mode == Thread::Mode::kKey;
  }
  /// Equal hashes: the same tokens are allowed.
  std::uint64_t mask_hash(const Thread& thread, std::uint32_t token_length_max) const;

  std::string& text() { return text_; }
  static bool has_mark(const Thread& thread);

 private:
  /// The innermost level, if it is an array whose items differ.
  static const Frame* unique_array(const Thread& thread);
  using Mode = Thread::Mode;
  using Threads = std::vector<Thread>;

  void advance(const Program& program, std::uint32_t production, std::uint32_t position,
               const FramePtr& top, Threads& out);
  void enter(const Program& program, std::uint32_t production, std::uint32_t position,
             const FramePtr& top, Threads& out);
  void leave(const FramePtr& top, Threads& out);
  void step_dfa(const Thread& thread, unsigned char byte, bool may_leave, Threads& out);
  void step_literal(const Thread& thread, unsigned char byte, Threads& out);
  void step_value(const Thread& thread, unsigned char byte, Threads& out);
  void step_bare(const Thread& thread, unsigned char byte, Threads& out);
  void step_key(const Thread& thread, unsigned char byte, Threads& out);
  void step_first_item(const Thread& thread, unsigned char byte, Threads& out);
  void step_after(const Thread& thread, unsigned char byte, Threads& out);
  void begin_text(const Thread& thread, Mode mode, const Dfa& dfa, Threads& out);
  void begin_item(const Frame& frame, Threads& out);
  void end_key(const Thread& thread, Threads& out);
  void end_key(const Thread& thread, std::string name, Threads& out);
  void end_value(Thread thread, Threads& out);
  void close(const FramePtr& top, Threads& out);

  bool key_is_viable(const Thread& thread) const;
  bool has_new_behind(const Thread& thread, const CodePointSet& half,
                      const std::string& text) const;
  std::string marked_text(const Thread& thread) const;
  static std::uint32_t num_with_prefix(const Seen* seen, std::string_view prefix);

  std::string text_;
  std::uint64_t text_begin_;
  std::uint64_t token_begin_;
  std::vector<std::uint64_t> entered_;  // by one advance(): each place once
  int nesting_ = 0;
};

}  // namespace ridgeline::grammar
