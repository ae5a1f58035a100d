#include "ridgeline/text/jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "ridgeline/text/jinja/format_string.h"
#include "ridgeline/text/jinja/unicode.h"

namespace ridgeline::jinja {
namespace {

using Kind = Value::Kind;

constexpr const char* kBinaryNames[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};
constexpr const char* kCompareNames[] = {"==", "!=", "<", "<=", ">", ">=", "in", "not in"};

[[noreturn]] void throw_overflow() {
  throw TemplateError{"an integer is beyond 64 bits, which is as far as they go here"};
}

[[noreturn]] void throw_operands(const char* op, const Value& a, const Value& b) {
  throw_type_error(std::string("unsupported operand type(s) for ") + op + ": '" + type_name(a) +
                   "' and '" + type_name(b) + "'");
}

Value integer_or_overflow(bool overflowed, const std::int64_t& result) {
  if (overflowed) throw_overflow();
  return Value::integer(result);
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  const std::int64_t q = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}

Value integer_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  for (bool overflowed = false; exponent > 0; exponent >>= 1) {
    if (exponent & 1) overflowed |= __builtin_mul_overflow(result, base, &result);
    if (exponent > 1) overflowed |= __builtin_mul_overflow(base, base, &base);
    if (overflowed) throw_overflow();
  }
  return Value::integer(result);
}

Value float_power(double base, double exponent) {
  if (base == 0 && exponent < 0) throw TemplateError{"0.0 cannot be raised to a negative power"};
  if (base < 0 && std::isfinite(base) && std::isfinite(exponent) &&
      exponent != std::floor(exponent))
    throw TemplateError{"a negative number to a fractional power is complex"};
  const double result = std::pow(base, exponent);
  if (std::isinf(result) && std::isfinite(base) && std::isfinite(exponent))
    throw TemplateError{"Numerical result out of range"};
  return Value::number(result);
}

Value integer_binary(BinaryOp op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  switch (op) {
    case BinaryOp::kAdd:
      return integer_or_overflow(__builtin_add_overflow(a, b, &result), result);
    case BinaryOp::kSub:
      return integer_or_overflow(__builtin_sub_overflow(a, b, &result), result);
    case BinaryOp::kMul:
      return integer_or_overflow(__builtin_mul_overflow(a, b, &result), result);
    case BinaryOp::kPow:
      if (b < 0) return float_power(static_cast<double>(a), static_cast<double>(b));
      return integer_power(a, b);
    case BinaryOp::kDiv:
    case BinaryOp::kFloorDiv:
    case BinaryOp::kMod:
      break;
  }
  if (b == 0) throw TemplateError{"division by zero"};
  if (op == BinaryOp::kDiv)
    return Value::number(
        static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
  if (b == -1) {  // the only divisor that can overflow
    if (op == BinaryOp::kMod) return Value::integer(0);
    return integer_or_overflow(__builtin_sub_overflow(std::int64_t{0}, a, &result), result);
  }
  const std::int64_t quotient = floor_div(a, b);
  return Value::integer(op == BinaryOp::kFloorDiv ? quotient : a - quotient * b);
}

Value float_divmod(BinaryOp op, double a, double b) {
  double mod = std::fmod(a, b);
  double div = (a - mod) / b;
  if (mod != 0 && (b < 0) != (mod < 0)) {
    mod += b;
    div -= 1;
  } else if (mod == 0) {
    mod = std::copysign(0.0, b);
  }
  if (op == BinaryOp::kMod) return Value::number(mod);
  if (div == 0) return Value::number(std::copysign(0.0, a / b));
  double floored = std::floor(div);
  if (div - floored > 0.5) floored += 1;
  return Value::number(floored);
}

Value float_binary(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kAdd:
      return Value::number(a + b);
    case BinaryOp::kSub:
      return Value::number(a - b);
    case BinaryOp::kMul:
      return Value::number(a * b);
    case BinaryOp::kPow:
      return float_power(a, b);
    case BinaryOp::kDiv:
    case BinaryOp::kFloorDiv:
    case BinaryOp::kMod:
      break;
  }
  if (b == 0) throw TemplateError{"float division by zero"};
  return op == BinaryOp::kDiv ? Value::number(a / b) : float_divmod(op, a, b);
}

Value concatenate(Runtime& runtime, const Value& a, const Value& b) {
  const bool markup = a.string().markup || b.string().markup;
  TextBuilder out(runtime);
  for (const Value* part : {&a, &b}) {
    if (markup && !part->string().markup) {
      out.append(escape_markup(part->text()));
    } else {
      out.append(part->text());
    }
  }
  return out.to_value(markup);
}

Value concatenate_lists(Runtime& runtime, const Value& a, const Value& b) {
  runtime.step(a.items().size() + b.items().size());
  Values items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  return a.kind() == Kind::kList ? runtime.list(std::move(items)) : runtime.tuple(std::move(items));
}

Value repeat(Runtime& runtime, const Value& value, std::int64_t count) {
  const auto times = static_cast<std::size_t>(std::max<std::int64_t>(count, 0));
  if (value.is_string()) {
    TextBuilder out(runtime);
    out.append_repeated(times, value.text());
    return out.to_value(value.string().markup);
  }
  const Values& once = value.items();
  const std::size_t most = runtime.budget().limit / sizeof(Value);
  if (!once.empty() && times > most / once.size()) runtime.budget().take(runtime.budget().limit);
  runtime.step(times * once.size());
  Values items;
  items.reserve(times * once.size());
  for (std::size_t i = 0; i < times && !once.empty(); ++i)
    items.insert(items.end(), once.begin(), once.end());
  return value.kind() == Kind::kList ? runtime.list(std::move(items))
                                     : runtime.tuple(std::move(items));
}

/// -1, 0, 1; 2 if a NaN is among them.
int compare_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral())
    return a.integer() < b.integer() ? -1 : a.integer() > b.integer();
  const auto wide = [](const Value& v) {  // holds every int64 and every double exactly
    return v.is_integral() ? static_cast<long double>(v.integer())
                           : static_cast<long double>(v.number());
  };
  const long double x = wide(a), y = wide(b);
  if (x < y) return -1;
  if (x > y) return 1;
  return x == y ? 0 : 2;
}

bool ordered(Runtime& runtime, CompareOp op, const Value& a, const Value& b);

/// Python compares the first items that are not equal, else the lengths.
bool ordered_sequences(Runtime& runtime, CompareOp op, const Values& a, const Values& b) {
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
    if (!equal(runtime, a[i], b[i])) return ordered(runtime, op, a[i], b[i]);
  return ordered(runtime, op, Value::integer(static_cast<std::int64_t>(a.size())),
                 Value::integer(static_cast<std::int64_t>(b.size())));
}

bool ordered(Runtime& runtime, CompareOp op, const Value& a, const Value& b) {
  runtime.step();
  int order = 0;
  if (a.is_number() && b.is_number()) {
    order = compare_numbers(a, b);
    if (order == 2) return false;
  } else if (a.is_string() && b.is_string()) {
    runtime.step_over(std::min(a.text().size(), b.text().size()));
    order = a.text().compare(b.text());  // UTF-8 sorts as its code points do
  } else if (a.is_sequence() && a.kind() == b.kind()) {
    return ordered_sequences(runtime, op, a.items(), b.items());
  } else {
    require_defined(a);
    require_defined(b);
    throw_type_error(std::string("'") + kCompareNames[static_cast<int>(op)] +
                     "' not supported between instances of '" + type_name(a) + "' and '" +
                     type_name(b) + "'");
  }
  switch (op) {
    case CompareOp::kLt:
      return order < 0;
    case CompareOp::kLe:
      return order <= 0;
    case CompareOp::kGt:
      return order > 0;
    default:
      return order >= 0;
  }
}

bool equal_dicts(Runtime& runtime, const DictObject& a, const DictObject& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = b.find(key);
    if (other == nullptr || !equal(runtime, value, *other)) return false;
  }
  return true;
}

}  // namespace

void throw_type_error(std::string message) { throw TemplateError{std::move(message)}; }

void throw_undefined(const Value& value) {
  const UndefinedObject& undefined = value.as<UndefinedObject>();
  if (!undefined.hint.empty()) throw TemplateError{undefined.hint};
  // Names come from the template or the conversation; errors stay readable.
  constexpr std::size_t kShown = 100;
  std::string name = undefined.name.is_string()     ? "'" + undefined.name.text() + "'"
                     : undefined.name.is_integral() ? std::to_string(undefined.name.integer())
                                                    : std::string(type_name(undefined.name));
  if (name.size() > kShown) name = name.substr(0, kShown) + "...'";
  if (undefined.object_type == nullptr) throw TemplateError{name + " is undefined"};
  const std::string type = undefined.object_type;
  const std::string object = type == "NoneType" ? "None" : type + " object";
  if (undefined.name.is_string()) throw TemplateError{"'" + object + "' has no attribute " + name};
  throw TemplateError{object + " has no element " + name};
}

void require_defined(const Value& value) {
  if (value.is_undefined()) throw_undefined(value);
}

Value binary(Runtime& runtime, BinaryOp op, const Value& a, const Value& b) {
  if (a.is_string() && op == BinaryOp::kMod) return percent_format(runtime, a, b);
  require_defined(a);
  require_defined(b);
  if (a.is_integral() && b.is_integral()) return integer_binary(op, a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return float_binary(op, a.number(), b.number());
  if (op == BinaryOp::kAdd) {
    if (a.is_string() && b.is_string()) return concatenate(runtime, a, b);
    if (a.is_sequence() && a.kind() == b.kind()) return concatenate_lists(runtime, a, b);
    if (a.is_string())
      throw_type_error(std::string("can only concatenate str (not \"") + type_name(b) +
                       "\") to str");
  }
  if (op == BinaryOp::kMul) {
    const auto repeats = [](const Value& v) { return v.is_string() || v.is_sequence(); };
    if (repeats(a) && b.is_integral()) return repeat(runtime, a, b.integer());
    if (repeats(b) && a.is_integral()) return repeat(runtime, b, a.integer());
  }
  throw_operands(kBinaryNames[static_cast<int>(op)], a, b);
}

Value negate(const Value& value) {
  require_defined(value);
  if (value.is_integral()) return integer_binary(BinaryOp::kSub, 0, value.integer());
  if (value.is_number()) return Value::number(-value.number());
  throw_type_error(std::string("bad operand type for unary -: '") + type_name(value) + "'");
}

Value plus(const Value& value) {
  require_defined(value);
  if (value.is_integral()) return Value::integer(value.integer());
  if (value.is_number()) return value;
  throw_type_error(std::string("bad operand type for unary +: '") + type_name(value) + "'");
}

bool equal(Runtime& runtime, const Value& a, const Value& b) {
  runtime.step();
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kNone:
    case Kind::kMissing:
    case Kind::kUndefined:
      return true;
    case Kind::kString:
      if (a.text().size() == b.text().size()) runtime.step_over(a.text().size());
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple: {
      const Values &x = a.items(), &y = b.items();
      if (x.size() != y.size()) return false;
      for (std::size_t i = 0; i < x.size(); ++i)
        if (!equal(runtime, x[i], y[i])) return false;
      return true;
    }
    case Kind::kDict:
      return equal_dicts(runtime, a.dict(), b.dict());
    case Kind::kRange: {
      const RangeObject &x = a.as<RangeObject>(), &y = b.as<RangeObject>();
      return x.length == y.length && (x.length == 0 || x.start == y.start) &&
             (x.length <= 1 || x.step == y.step);
    }
    default:
      return a.object() == b.object();
  }
}

bool less(Runtime& runtime, const Value& a, const Value& b) {
  return ordered(runtime, CompareOp::kLt, a, b);
}

bool compare(Runtime& runtime, CompareOp op, const Value& a, const Value& b) {
  switch (op) {
    case CompareOp::kEq:
      return equal(runtime, a, b);
    case CompareOp::kNe:
      return !equal(runtime, a, b);
    case CompareOp::kIn:
      return contains(runtime, b, a);
    case CompareOp::kNotIn:
      return !contains(runtime, b, a);
    default:
      return ordered(runtime, op, a, b);
  }
}

bool same(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return false;
  if (a.is_string()) return a.text() == b.text();  // CPython shares equal constants
  if (a.object() != nullptr) return a.object() == b.object();
  if (a.is_integral()) return a.integer() == b.integer();
  return a.kind() == Kind::kFloat ? a.number() == b.number() : true;
}

bool keys_equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  if (a.is_string()) return a.text() == b.text();
  if (a.kind() == Kind::kTuple) return std::ranges::equal(a.items(), b.items(), keys_equal);
  return a.is_none() || a.is_undefined() || a.object() == b.object();
}

void require_hashable(const Value& key) {
  if (key.kind() == Kind::kTuple) {
    for (const Value& item : key.items()) require_hashable(item);
  } else if (key.kind() == Kind::kList || key.kind() == Kind::kDict ||
             key.kind() == Kind::kDictView) {
    throw_type_error(std::string("unhashable type: '") + type_name(key) + "'");
  }
}

}  // namespace ridgeline::jinja
