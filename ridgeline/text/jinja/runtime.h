#pragma once

#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/text/jinja/value.h"

namespace ridgeline::jinja {

/// The wall clock that strftime_now() reads: local time and microseconds.
struct LocalTime {
  std::tm time{};
  int microseconds = 0;
};
using Clock = std::function<LocalTime()>;

/// One rendering's accounts, and the makers of its values. Every value made here is
/// gone before the runtime is.
class Runtime {
 public:
  Runtime(const Limits& limits, Clock clock);
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  ~Runtime();

  /// Throws when the template has used up its steps.
  void step(std::size_t count = 1) {
    steps_left_ -= static_cast<std::int64_t>(count);
    if (steps_left_ < 0) out_of_steps();
  }
  /// For work in proportion to a text's length.
  void step_over(std::size_t bytes) { step(bytes / 64 + 1); }
  Budget& budget() { return budget_; }
  const Limits& limits() const { return limits_; }
  LocalTime now() const { return clock_(); }

  Value string(std::string text, bool markup = false);
  Value list(Values items);
  Value tuple(Values items);
  Value group(Value grouper, Value items);
  Value dict(std::shared_ptr<DictObject> dict);
  Value view(Value dict, DictView::Part part);
  Value range(std::int64_t start, std::int64_t stop, std::int64_t step, std::int64_t length);
  /// `captured`: the values that `next` holds.
  Value generator(std::function<bool(Runtime&, Value&)> next, const Values& captured,
                  const char* type_name = "generator");
  Value undefined_name(std::string_view name);
  Value undefined_member(const Value& object, const Value& name);
  Value undefined(std::string hint);
  Value make_namespace(const DictObject& attributes);
  Value function(std::string name, std::function<Value(Runtime&, Arguments&)> call,
                 const Value& self = {});
  Value cycler(Values items);
  Value joiner(Value separator);

  /// Counts `object` among the values alive.
  template <class T>
  std::shared_ptr<T> count(std::shared_ptr<T> object, std::size_t bytes) {
    budget_.take(bytes);
    object->budget = &budget_;
    object->bytes = bytes;
    return object;
  }
  /// Whatever can be changed to refer to itself: `clear` is called at the end.
  void keep(std::shared_ptr<Object> object, std::function<void()> clear);

  int depth = 0;            ///< of evaluation, for Depth
  int namespace_depth = 0;  ///< of printing namespaces within namespaces

 private:
  [[noreturn]] void out_of_steps() const;

  Limits limits_;
  Clock clock_;
  Budget budget_;
  std::int64_t steps_left_;
  std::vector<std::pair<std::shared_ptr<Object>, std::function<void()>>> kept_;
};

/// One more level of evaluation within itself, for as long as it lives.
class Depth {
 public:
  Depth(int& depth, int limit) : depth_(depth) {
    if (depth_ >= limit)
      throw TemplateError{"the template calls itself, or nests, deeper than " +
                          std::to_string(limit) + " levels"};
    ++depth_;
  }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;
  ~Depth() { --depth_; }

 private:
  int& depth_;
};

/// A text under construction, counted as it grows.
class TextBuilder {
 public:
  explicit TextBuilder(Runtime& runtime) : runtime_(runtime) {}
  TextBuilder(const TextBuilder&) = delete;
  TextBuilder& operator=(const TextBuilder&) = delete;
  ~TextBuilder() { runtime_.budget().give_back(taken_); }

  void append(std::string_view text) {
    take(text.size());
    text_ += text;
  }
  void append(std::size_t count, char c) {
    take(count);
    text_.append(count, c);
  }
  void append_repeated(std::size_t count, std::string_view text) {
    if (!text.empty() && count > runtime_.budget().limit / text.size())
      take(runtime_.budget().limit);
    for (std::size_t i = 0; i < count; ++i) append(text);
  }
  std::size_t size() const { return text_.size(); }
  const std::string& text() const { return text_; }
  std::string take_text() { return std::move(text_); }
  Value to_value(bool markup = false);

 private:
  void take(std::size_t bytes) {
    runtime_.budget().take(bytes);
    taken_ += bytes;
    runtime_.step_over(bytes);
  }
  Runtime& runtime_;
  std::string text_;
  std::size_t taken_ = 0;
};

}  // namespace ridgeline::jinja
