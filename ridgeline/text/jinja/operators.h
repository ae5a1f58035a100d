#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

#include "ridgeline/text/jinja/runtime.h"
#include "ridgeline/text/jinja/value.h"

namespace ridgeline::jinja {

// Python's operators on values. What Python raises, these throw as TemplateError.

enum class BinaryOp : std::uint8_t { kAdd, kSub, kMul, kDiv, kFloorDiv, kMod, kPow };
enum class CompareOp : std::uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };

[[noreturn]] void throw_type_error(std::string message);
/// What using an undefined value beyond printing and testing it raises.
[[noreturn]] void throw_undefined(const Value& undefined);
/// Throws if `value` is undefined.
void require_defined(const Value& value);

bool truth(Runtime& runtime, const Value& value);
Value binary(Runtime& runtime, BinaryOp op, const Value& a, const Value& b);
Value negate(const Value& value);
Value plus(const Value& value);
bool compare(Runtime& runtime, CompareOp op, const Value& a, const Value& b);
bool equal(Runtime& runtime, const Value& a, const Value& b);
bool less(Runtime& runtime, const Value& a, const Value& b);
bool contains(Runtime& runtime, const Value& container, const Value& item);
/// `is` of Python: the same object.
bool same(const Value& a, const Value& b);

/// Equality of dict keys: values that are hashable.
bool keys_equal(const Value& a, const Value& b);
/// Throws "unhashable type" for lists, dicts and the like.
void require_hashable(const Value& key);

/// len(); throws for what has none.
std::int64_t length(Runtime& runtime, const Value& value);
bool has_length(const Value& value);
bool is_iterable(const Value& value);

/// iter(): gives the items one by one.
class Iterator {
 public:
  /// Throws for what cannot be iterated.
  Iterator(Runtime& runtime, Value value);
  bool next(Value& item);

 private:
  Runtime& runtime_;
  Value value_;
  std::size_t position_ = 0;  ///< item, or byte of a string
};

/// list(): every item.
Values items_of(Runtime& runtime, const Value& value);

/// Calls `visit` with every item.
template <class Visit>
void for_each(Runtime& runtime, const Value& value, const Visit& visit) {
  Iterator iterator(runtime, value);
  for (Value item; iterator.next(item);) visit(item);
}

/// str() and repr(), appended.
void append_str(Runtime& runtime, const Value& value, TextBuilder& out);
void append_repr(Runtime& runtime, const Value& value, TextBuilder& out);
std::string to_str(Runtime& runtime, const Value& value);
std::string to_repr(Runtime& runtime, const Value& value);
std::string float_repr(double value);
/// Markup.escape: & < > ' " as entities.
std::string escape_markup(std::string_view text);

// Access of members.
/// value[key] and value.name of the sandbox: undefined if there is none.
Value get_item(Runtime& runtime, const Value& value, const Value& key);
Value get_attribute(Runtime& runtime, const Value& value, const std::string& name);
/// value[start:stop:step]; None where left out.
Value slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
            const Value& step);

}  // namespace ridgeline::jinja
