#include "ridgeline/text/jinja/tests.h"

#include <algorithm>

#include "ridgeline/text/jinja/filters.h"
#include "ridgeline/text/jinja/methods.h"
#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/parameters.h"

namespace ridgeline::jinja {
namespace {

using Kind = Value::Kind;

/// value % divisor, compared with `rest`.
bool leaves(Runtime& runtime, const Value& value, const Value& divisor, std::int64_t rest) {
  return equal(runtime, binary(runtime, BinaryOp::kMod, value, divisor), Value::integer(rest));
}

bool test_odd(Runtime& runtime, const Value& input, const Arguments&) {
  return leaves(runtime, input, Value::integer(2), 1);
}
bool test_even(Runtime& runtime, const Value& input, const Arguments&) {
  return leaves(runtime, input, Value::integer(2), 0);
}
bool test_divisibleby(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("divisibleby", arguments, {"num"}, 1);
  return leaves(runtime, input, p[0], 0);
}

bool test_defined(Runtime&, const Value& input, const Arguments&) { return !input.is_undefined(); }
bool test_undefined(Runtime&, const Value& input, const Arguments&) { return input.is_undefined(); }
bool test_none(Runtime&, const Value& input, const Arguments&) { return input.is_none(); }
bool test_boolean(Runtime&, const Value& input, const Arguments&) { return input.is_bool(); }
bool test_true(Runtime&, const Value& input, const Arguments&) {
  return input.is_bool() && input.integer() != 0;
}
bool test_false(Runtime&, const Value& input, const Arguments&) {
  return input.is_bool() && input.integer() == 0;
}
bool test_integer(Runtime&, const Value& input, const Arguments&) {
  return input.kind() == Kind::kInt;
}
bool test_float(Runtime&, const Value& input, const Arguments&) {
  return input.kind() == Kind::kFloat;
}
bool test_number(Runtime&, const Value& input, const Arguments&) { return input.is_number(); }
bool test_string(Runtime&, const Value& input, const Arguments&) { return input.is_string(); }
bool test_mapping(Runtime&, const Value& input, const Arguments&) { return input.is_dict(); }
bool test_iterable(Runtime&, const Value& input, const Arguments&) { return is_iterable(input); }
/// Whatever has a length and is subscripted; an undefined has both, too.
bool test_sequence(Runtime&, const Value& input, const Arguments&) {
  return has_length(input) && input.kind() != Kind::kDictView && input.kind() != Kind::kLoop;
}
bool test_callable(Runtime&, const Value& input, const Arguments&) {
  const Kind kind = input.kind();
  return kind == Kind::kFunction || kind == Kind::kMacro || kind == Kind::kLoop ||
         kind == Kind::kJoiner || kind == Kind::kUndefined;
}
bool test_escaped(Runtime&, const Value& input, const Arguments&) {
  return input.is_string() && input.string().markup;
}
bool test_sameas(Runtime&, const Value& input, const Arguments& arguments) {
  const Parameters p("sameas", arguments, {"other"}, 1);
  return same(input, p[0]);
}

template <bool kUpper>
bool test_case(Runtime& runtime, const Value& input, const Arguments&) {
  const Value text = runtime.string(to_str(runtime, input));
  return truth(runtime, string_method(kUpper ? "isupper" : "islower")(runtime, text, Arguments()));
}

bool test_filter(Runtime&, const Value& input, const Arguments&) {
  return input.is_string() &&
         (find_filter(input.text()) != nullptr || is_unsupported_filter(input.text()));
}
bool test_test(Runtime&, const Value& input, const Arguments&) {
  return input.is_string() && find_test(input.text()) != nullptr;
}

template <CompareOp kOp>
bool test_compare(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("comparison", arguments, {"other"}, 1);
  return compare(runtime, kOp, input, p[0]);
}

struct NamedTest {
  std::string_view name;
  Test test;
};

constexpr NamedTest kTests[] = {
    {"!=", test_compare<CompareOp::kNe>},
    {"<", test_compare<CompareOp::kLt>},
    {"<=", test_compare<CompareOp::kLe>},
    {"==", test_compare<CompareOp::kEq>},
    {">", test_compare<CompareOp::kGt>},
    {">=", test_compare<CompareOp::kGe>},
    {"boolean", test_boolean},
    {"callable", test_callable},
    {"defined", test_defined},
    {"divisibleby", test_divisibleby},
    {"eq", test_compare<CompareOp::kEq>},
    {"equalto", test_compare<CompareOp::kEq>},
    {"escaped", test_escaped},
    {"even", test_even},
    {"false", test_false},
    {"filter", test_filter},
    {"float", test_float},
    {"ge", test_compare<CompareOp::kGe>},
    {"greaterthan", test_compare<CompareOp::kGt>},
    {"gt", test_compare<CompareOp::kGt>},
    {"in", test_compare<CompareOp::kIn>},
    {"integer", test_integer},
    {"iterable", test_iterable},
    {"le", test_compare<CompareOp::kLe>},
    {"lessthan", test_compare<CompareOp::kLt>},
    {"lower", test_case<false>},
    {"lt", test_compare<CompareOp::kLt>},
    {"mapping", test_mapping},
    {"ne", test_compare<CompareOp::kNe>},
    {"none", test_none},
    {"number", test_number},
    {"odd", test_odd},
    {"sameas", test_sameas},
    {"sequence", test_sequence},
    {"string", test_string},
    {"test", test_test},
    {"true", test_true},
    {"undefined", test_undefined},
    {"upper", test_case<true>},
};

}  // namespace

Test find_test(std::string_view name) {
  const auto* found = std::ranges::find(kTests, name, &NamedTest::name);
  return found == std::end(kTests) ? nullptr : found->test;
}

bool call_test(Runtime& runtime, const std::string& name, const Value& input,
               const Arguments& arguments) {
  const Test test = find_test(name);
  if (test == nullptr) throw TemplateError{"No test named '" + name + "' found."};
  return test(runtime, input, arguments);
}

}  // namespace ridgeline::jinja
