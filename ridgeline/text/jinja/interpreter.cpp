#include "ridgeline/text/jinja/interpreter.h"

#include "ridgeline/text/jinja/filters.h"
#include "ridgeline/text/jinja/globals.h"
#include "ridgeline/text/jinja/macro.h"
#include "ridgeline/text/jinja/tests.h"

namespace ridgeline::jinja {

using Kind = Expr::Kind;

Interpreter::Interpreter(const Program& program, Runtime& runtime, const DictObject& variables)
    : program_(program), runtime_(runtime), variables_(variables) {
  add_globals(runtime, globals_);
}

Value Interpreter::evaluate(const Expr& expr, Scope& scope) {
  const Depth level(runtime_.depth, runtime_.limits().depth);
  runtime_.step();
  line_ = expr.line;
  const auto child = [&](std::size_t i) { return evaluate(*expr.children[i], scope); };
  switch (expr.kind) {
    case Kind::kConst:
      return expr.value;
    case Kind::kName:
      return evaluate_name(expr, scope);
    case Kind::kTuple:
      return runtime_.tuple(evaluate_all(expr.children, scope));
    case Kind::kList:
      return runtime_.list(evaluate_all(expr.children, scope));
    case Kind::kDict:
      return evaluate_dict(expr, scope);
    case Kind::kNegate:
      return negate(child(0));
    case Kind::kPlus:
      return plus(child(0));
    case Kind::kNot:
      return Value::boolean(!truth(runtime_, child(0)));
    case Kind::kAnd:
    case Kind::kOr: {
      Value left = child(0);
      if (truth(runtime_, left) == (expr.kind == Kind::kOr)) return left;
      return child(1);
    }
    case Kind::kBinary: {
      const Value left = child(0);
      const Value right = child(1);
      line_ = expr.line;
      return binary(runtime_, expr.binary_op, left, right);
    }
    case Kind::kConcat:
      return evaluate_concat(expr, scope);
    case Kind::kCompare:
      return evaluate_compare(expr, scope);
    case Kind::kConditional:
      return evaluate_conditional(expr, scope);
    case Kind::kAttribute:
      return get_attribute(runtime_, child(0), expr.name);
    case Kind::kItem: {
      const Value object = child(0);
      const Value key = child(1);
      return get_item(runtime_, object, key);
    }
    case Kind::kSlice:
      return evaluate_slice(expr, scope);
    case Kind::kCall:
      return evaluate_call(expr, scope);
    case Kind::kFilter:
      return evaluate_filter(expr, scope);
    case Kind::kTest:
      return evaluate_test(expr, scope);
    case Kind::kNamespaceRef:
      break;
  }
  throw TemplateError{"an assignment's target has no value"};
}

Value Interpreter::evaluate_name(const Expr& expr, Scope& scope) {
  const Value& value = scope.at(expr.slot);
  return value.is_missing() ? runtime_.undefined_name(expr.name) : value;
}

Values Interpreter::evaluate_all(const std::vector<ExprPtr>& expressions, Scope& scope) {
  Values values;
  values.reserve(expressions.size());
  for (const ExprPtr& expr : expressions) values.push_back(evaluate(*expr, scope));
  return values;
}

Value Interpreter::evaluate_dict(const Expr& expr, Scope& scope) {
  auto dict = std::make_shared<DictObject>();
  for (std::size_t i = 0; i < expr.children.size(); i += 2) {
    Value key = evaluate(*expr.children[i], scope);
    Value value = evaluate(*expr.children[i + 1], scope);
    require_hashable(key);
    dict->set(std::move(key), std::move(value));
  }
  return runtime_.dict(std::move(dict));
}

Value Interpreter::evaluate_concat(const Expr& expr, Scope& scope) {
  TextBuilder out(runtime_);
  for (const Value& value : evaluate_all(expr.children, scope)) append_str(runtime_, value, out);
  return out.to_value();
}

Value Interpreter::evaluate_compare(const Expr& expr, Scope& scope) {
  Value left = evaluate(*expr.children[0], scope);
  for (std::size_t i = 0; i < expr.compare_ops.size(); ++i) {
    Value right = evaluate(*expr.children[i + 1], scope);
    line_ = expr.line;
    if (!compare(runtime_, expr.compare_ops[i], left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::evaluate_conditional(const Expr& expr, Scope& scope) {
  if (truth(runtime_, evaluate(*expr.children[1], scope)))
    return evaluate(*expr.children[0], scope);
  if (expr.children[2] != nullptr) return evaluate(*expr.children[2], scope);
  return runtime_.undefined("the inline if-expression on line " + std::to_string(expr.line) +
                            " evaluated to false and no else section was defined.");
}

Value Interpreter::evaluate_slice(const Expr& expr, Scope& scope) {
  Value parts[4];
  for (std::size_t i = 0; i < 4; ++i)
    if (expr.children[i] != nullptr) parts[i] = evaluate(*expr.children[i], scope);
  return slice(runtime_, parts[0], parts[1], parts[2], parts[3]);
}

Arguments Interpreter::evaluate_arguments(const CallArguments& expressions, Scope& scope) {
  Arguments arguments;
  arguments.positional = evaluate_all(expressions.positional, scope);
  for (const Keyword& keyword : expressions.keyword)
    arguments.keyword.emplace_back(keyword.name, evaluate(*keyword.value, scope));
  if (expressions.dyn_positional != nullptr)
    for_each(runtime_, evaluate(*expressions.dyn_positional, scope),
             [&](const Value& item) { arguments.positional.push_back(item); });
  if (expressions.dyn_keyword == nullptr) return arguments;
  const Value more = evaluate(*expressions.dyn_keyword, scope);
  if (!more.is_dict())
    throw_type_error(std::string("argument after ** must be a mapping, not ") + type_name(more));
  for (const auto& [key, value] : more.dict().entries) {
    if (!key.is_string()) throw_type_error("keywords must be strings");
    for (const Keyword& keyword : expressions.keyword)
      if (keyword.name == key.text())
        throw_type_error("got multiple values for keyword argument '" + key.text() + "'");
    runtime_.step();
    arguments.keyword.emplace_back(key.text(), value);
  }
  return arguments;
}

Value Interpreter::evaluate_call(const Expr& expr, Scope& scope, const Value* caller) {
  const Value callee = evaluate(*expr.children[0], scope);
  Arguments arguments = evaluate_arguments(expr.arguments, scope);
  if (caller != nullptr) arguments.keyword.emplace_back("caller", *caller);
  line_ = expr.line;
  return call(callee, arguments);
}

Value Interpreter::call(const Value& callee, Arguments& arguments) {
  switch (callee.kind()) {
    case Value::Kind::kFunction:
      return callee.as<FunctionObject>().call(runtime_, arguments);
    case Value::Kind::kMacro: {
      const MacroObject& macro = callee.as<MacroObject>();
      return call_macro(*macro.definition, macro.scope, arguments);
    }
    case Value::Kind::kJoiner: {
      JoinerObject& joiner = callee.as<JoinerObject>();
      if (joiner.used) return joiner.separator;
      joiner.used = true;
      return runtime_.string("");
    }
    case Value::Kind::kLoop: {
      const LoopObject& loop = callee.as<LoopObject>();
      if (!loop.recurse)
        throw_type_error("The loop must have the 'recursive' marker to be called recursively.");
      if (arguments.positional.size() != 1 || !arguments.keyword.empty())
        throw_type_error("a loop is called with one iterable");
      return loop.recurse(arguments.positional[0]);
    }
    default:
      require_defined(callee);
      throw_type_error(std::string("'") + type_name(callee) + "' object is not callable");
  }
}

Value Interpreter::evaluate_filter(const Expr& expr, Scope& scope, const Value* text) {
  // A chain of filters on a block's text begins at the innermost.
  const Expr* child = expr.children[0].get();
  const Value input = child == nullptr ? *text
                      : text != nullptr && child->kind == Kind::kFilter
                          ? evaluate_filter(*child, scope, text)
                          : evaluate(*child, scope);
  const Arguments arguments = evaluate_arguments(expr.arguments, scope);
  line_ = expr.line;
  return call_filter(runtime_, expr.name, input, arguments);
}

Value Interpreter::evaluate_test(const Expr& expr, Scope& scope) {
  const Value input = evaluate(*expr.children[0], scope);
  const Arguments arguments = evaluate_arguments(expr.arguments, scope);
  line_ = expr.line;
  return Value::boolean(call_test(runtime_, expr.name, input, arguments));
}

}  // namespace ridgeline::jinja
