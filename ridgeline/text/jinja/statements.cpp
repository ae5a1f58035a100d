#include <algorithm>

#include "ridgeline/text/jinja/interpreter.h"
#include "ridgeline/text/jinja/macro.h"

namespace ridgeline::jinja {

using Kind = Stmt::Kind;

/// A scope while it is entered; one that something refers to stays to the end.
class Interpreter::ScopeHolder {
 public:
  ScopeHolder(Interpreter& interpreter, const ScopeLayout& layout, Scope* parent)
      : budget_(interpreter.runtime_.budget()), bytes_(layout.names.size() * sizeof(Value) + 64) {
    budget_.take(bytes_);
    auto scope = std::make_unique<Scope>();
    scope->parent = parent;
    scope->slots.assign(layout.names.size(), Value::missing());
    scope_ = scope.get();
    if (layout.captured) {
      interpreter.captured_.push_back(std::move(scope));
      bytes_ = 0;
    } else {
      own_ = std::move(scope);
    }
  }
  ScopeHolder(const ScopeHolder&) = delete;
  ScopeHolder& operator=(const ScopeHolder&) = delete;
  ~ScopeHolder() { budget_.give_back(bytes_); }

  Scope& operator*() const { return *scope_; }
  Scope* operator->() const { return scope_; }

 private:
  Budget& budget_;
  std::size_t bytes_;
  std::unique_ptr<Scope> own_;
  Scope* scope_;
};

std::string Interpreter::run() {
  TextBuilder out(runtime_);
  const ScopeHolder root(*this, program_.scope, nullptr);
  root_ = &*root;
  enter(program_.scope, *root);
  execute(program_.body, *root, out);
  return out.take_text();
}

Value Interpreter::resolve(const std::string& name) {
  if (const Value* found = variables_.find(std::string_view(name))) return *found;
  if (const Value* found = globals_.find(std::string_view(name))) return *found;
  return Value::missing();
}

void Interpreter::enter(const ScopeLayout& layout, Scope& scope) {
  for (const ScopeLoad& load : layout.loads) {
    Value& slot = scope.slots[static_cast<std::size_t>(load.slot)];
    switch (load.kind) {
      case ScopeLoad::Kind::kMissing:
        slot = Value::missing();
        break;
      case ScopeLoad::Kind::kAlias:
        slot = scope.parent->at(load.outer);
        break;
      case ScopeLoad::Kind::kResolve:
        slot = resolve(load.name);
        break;
    }
  }
}

Interpreter::Flow Interpreter::execute(const Body& body, Scope& scope, TextBuilder& out) {
  for (const StmtPtr& stmt : body)
    if (const Flow flow = execute(*stmt, scope, out); flow != Flow::kNormal) return flow;
  return Flow::kNormal;
}

void Interpreter::output(const Value& value, TextBuilder& out) {
  append_str(runtime_, value, out);
  check_length(out);
}

void Interpreter::check_length(const TextBuilder& out) const {
  if (out.size() > runtime_.limits().output_bytes)
    throw TemplateError{"the template's text is longer than " +
                        std::to_string(runtime_.limits().output_bytes >> 20) + " MiB"};
}

Interpreter::Flow Interpreter::execute(const Stmt& stmt, Scope& scope, TextBuilder& out) {
  const Depth level(runtime_.depth, runtime_.limits().depth);
  runtime_.step();
  line_ = stmt.line;
  switch (stmt.kind) {
    case Kind::kText:
      out.append(stmt.text);
      check_length(out);
      return Flow::kNormal;
    case Kind::kOutput:
      for (const ExprPtr& expr : stmt.expressions) output(evaluate(*expr, scope), out);
      return Flow::kNormal;
    case Kind::kIf:
      return execute_if(stmt, scope, out);
    case Kind::kFor:
      return execute_for(stmt, scope, out);
    case Kind::kSet: {
      const Expr& target = *stmt.targets[0];
      check_namespaces(target, scope);
      assign(target, evaluate(*stmt.expressions[0], scope), scope);
      return Flow::kNormal;
    }
    case Kind::kSetBlock:
      return execute_set_block(stmt, scope);
    case Kind::kMacro:
      scope.at(stmt.macro_slot) = make_macro(stmt, scope);
      return Flow::kNormal;
    case Kind::kCallBlock:
      execute_call_block(stmt, scope, out);
      return Flow::kNormal;
    case Kind::kGeneration: {
      Arguments none;
      output(call_macro(stmt, &scope, none), out);
      return Flow::kNormal;
    }
    case Kind::kFilterBlock:
      return execute_filter_block(stmt, scope, out);
    case Kind::kWith:
      return execute_with(stmt, scope, out);
    case Kind::kBlock: {
      const ScopeHolder inner(*this, stmt.scope, nullptr);
      enter(stmt.scope, *inner);
      // It sees what the template has set so far, but not the loop it stands in.
      for (const ScopeLoad& load : stmt.scope.loads) {
        if (load.kind != ScopeLoad::Kind::kResolve) continue;
        const auto& names = program_.scope.names;
        const auto found = std::ranges::find(names, load.name);
        if (found == names.end()) continue;
        const Value& value = root_->slots[static_cast<std::size_t>(found - names.begin())];
        if (!value.is_missing()) inner->slots[static_cast<std::size_t>(load.slot)] = value;
      }
      return execute(stmt.bodies[0], *inner, out);
    }
    case Kind::kBreak:
      return Flow::kBreak;
    case Kind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute_if(const Stmt& stmt, Scope& scope, TextBuilder& out) {
  for (std::size_t i = 0; i < stmt.bodies.size(); ++i)
    if (truth(runtime_, evaluate(*stmt.expressions[i], scope)))
      return execute(stmt.bodies[i], scope, out);
  return execute(stmt.else_body, scope, out);
}

Interpreter::Flow Interpreter::execute_for(const Stmt& stmt, Scope& scope, TextBuilder& out) {
  const Value iterable = evaluate(*stmt.iterable, scope);
  if (!stmt.recursive) return loop_over(stmt, iterable, scope, out, 0);
  TextBuilder text(runtime_);
  loop_over(stmt, iterable, scope, text, 0);
  out.append(text.text());
  return Flow::kNormal;
}

/// The items that pass the loop's own condition, which is asked as the loop goes on.
Value Interpreter::tested(const Stmt& stmt, const Value& iterable, Scope& scope) {
  const ScopeHolder inner(*this, stmt.test_scope, &scope);
  enter(stmt.test_scope, *inner);
  auto items = std::make_shared<Iterator>(runtime_, iterable);
  return runtime_.generator(
      [this, &stmt, items, test_scope = &*inner](Runtime& runtime, Value& item) {
        while (items->next(item)) {
          assign(*stmt.test_targets[0], item, *test_scope);
          if (truth(runtime, evaluate(*stmt.test, *test_scope))) return true;
        }
        return false;
      },
      {iterable});
}

Interpreter::Flow Interpreter::loop_over(const Stmt& stmt, const Value& given, Scope& scope,
                                         TextBuilder& out, int depth0) {
  const Depth level(runtime_.depth, runtime_.limits().depth);
  const Value iterable = stmt.test == nullptr ? given : tested(stmt, given, scope);
  constexpr std::size_t kLoopBytes = 512;
  auto object =
      runtime_.count(std::make_shared<LoopObject>(runtime_, iterable, depth0), kLoopBytes);
  object->depth = depth_over(iterable.depth());
  LoopObject& loop = *object;
  if (stmt.recursive)
    loop.recurse = [this, &stmt, &scope, depth0](const Value& items) {
      TextBuilder text(runtime_);
      loop_over(stmt, items, scope, text, depth0 + 1);
      return text.to_value();
    };
  const Value loop_value(Value::Kind::kLoop, std::move(object));

  bool completed = false;  // as Python has it: a body left early does not count
  {
    const ScopeHolder inner(*this, stmt.scope, &scope);
    while (loop.advance()) {
      runtime_.step();
      assign(*stmt.targets[0], loop.current, *inner);
      inner->slots[static_cast<std::size_t>(stmt.loop_slot)] = loop_value;
      enter(stmt.scope, *inner);
      const Flow flow = execute(stmt.bodies[0], *inner, out);
      if (flow == Flow::kBreak) break;
      if (flow == Flow::kNormal) completed = true;
    }
    std::ranges::fill(inner->slots, Value::missing());
  }
  if (completed || !stmt.has_else) return Flow::kNormal;
  const ScopeHolder otherwise(*this, stmt.else_scope, &scope);
  enter(stmt.else_scope, *otherwise);
  return execute(stmt.else_body, *otherwise, out);
}

Interpreter::Flow Interpreter::execute_with(const Stmt& stmt, Scope& scope, TextBuilder& out) {
  const ScopeHolder inner(*this, stmt.scope, &scope);
  enter(stmt.scope, *inner);
  for (std::size_t i = 0; i < stmt.targets.size(); ++i)
    assign(*stmt.targets[i], evaluate(*stmt.expressions[i], scope), *inner);
  return execute(stmt.bodies[0], *inner, out);
}

Interpreter::Flow Interpreter::execute_set_block(const Stmt& stmt, Scope& scope) {
  const ScopeHolder inner(*this, stmt.scope, &scope);
  enter(stmt.scope, *inner);
  TextBuilder text(runtime_);
  if (const Flow flow = execute(stmt.bodies[0], *inner, text); flow != Flow::kNormal) return flow;
  Value value = text.to_value();
  if (!stmt.expressions.empty()) value = evaluate_filter(*stmt.expressions[0], *inner, &value);
  check_namespaces(*stmt.targets[0], scope);
  assign(*stmt.targets[0], value, scope);
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute_filter_block(const Stmt& stmt, Scope& scope,
                                                    TextBuilder& out) {
  const ScopeHolder inner(*this, stmt.scope, &scope);
  enter(stmt.scope, *inner);
  TextBuilder text(runtime_);
  if (const Flow flow = execute(stmt.bodies[0], *inner, text); flow != Flow::kNormal) return flow;
  const Value value = text.to_value();
  output(evaluate_filter(*stmt.expressions[0], *inner, &value), out);
  return Flow::kNormal;
}

void Interpreter::execute_call_block(const Stmt& stmt, Scope& scope, TextBuilder& out) {
  const Value caller = make_macro(stmt, scope);
  output(evaluate_call(*stmt.expressions[0], scope, &caller), out);
}

void Interpreter::check_namespaces(const Expr& target, Scope& scope) {
  if (target.kind == Expr::Kind::kNamespaceRef &&
      scope.at(target.slot).kind() != Value::Kind::kNamespace)
    throw TemplateError{"cannot assign attribute on non-namespace object"};
  for (const ExprPtr& child : target.children) check_namespaces(*child, scope);
}

void Interpreter::assign(const Expr& target, const Value& value, Scope& scope) {
  if (target.kind == Expr::Kind::kName) {
    scope.at(target.slot) = value;
    return;
  }
  if (target.kind == Expr::Kind::kNamespaceRef) {
    if (target.attribute.starts_with('_'))
      throw TemplateError{
          "Chat templates cannot store underscore-prefixed attributes on a "
          "namespace, but got '" +
          target.attribute + "'"};
    const Value& ns = scope.at(target.slot);
    if (ns.kind() != Value::Kind::kNamespace)
      throw TemplateError{"cannot assign attribute on non-namespace object"};
    ns.as<NamespaceObject>().attributes.set(make_string(target.attribute), value);
    return;
  }
  const Values items = items_of(runtime_, value);
  const std::size_t expected = target.children.size();
  if (items.size() > expected)
    throw TemplateError{"too many values to unpack (expected " + std::to_string(expected) + ")"};
  if (items.size() < expected)
    throw TemplateError{"not enough values to unpack (expected " + std::to_string(expected) +
                        ", got " + std::to_string(items.size()) + ")"};
  for (std::size_t i = 0; i < expected; ++i) assign(*target.children[i], items[i], scope);
}

Value Interpreter::make_macro(const Stmt& definition, Scope& scope) {
  constexpr std::size_t kMacroBytes = 128;
  auto object = runtime_.count(std::make_shared<MacroObject>(), kMacroBytes);
  object->definition = &definition;
  object->scope = &scope;
  object->interpreter = this;
  return {Value::Kind::kMacro, std::move(object)};
}

Value Interpreter::call_macro(const Stmt& definition, Scope* outer, Arguments& arguments) {
  const Depth level(runtime_.depth, runtime_.limits().depth);
  const MacroSignature& signature = definition.signature;
  const std::size_t parameters = signature.parameters.size();
  Values& positional = arguments.positional;
  auto& keyword = arguments.keyword;
  const ScopeHolder scope(*this, definition.scope, outer);
  enter(definition.scope, *scope);
  const auto slot = [&scope](int i) -> Value& { return scope->slots[static_cast<std::size_t>(i)]; };
  const auto take = [&keyword](const std::string& name) {
    const auto found = std::ranges::find(keyword, name, &std::pair<std::string, Value>::first);
    if (found == keyword.end()) return Value::missing();
    Value value = std::move(found->second);
    keyword.erase(found);
    return value;
  };

  for (std::size_t i = 0; i < parameters; ++i)
    slot(signature.parameter_slots[i]) =
        i < positional.size() ? positional[i] : take(signature.parameters[i]);
  if (signature.caller_slot >= 0) {
    Value caller = take("caller");
    slot(signature.caller_slot) = caller.is_missing() || caller.is_none()
                                      ? runtime_.undefined("No caller defined")
                                      : std::move(caller);
  }
  if (signature.kwargs_slot >= 0) {
    auto rest = std::make_shared<DictObject>();
    for (auto& [name, value] : keyword) rest->set(make_string(name), std::move(value));
    slot(signature.kwargs_slot) = runtime_.dict(std::move(rest));
  } else if (!keyword.empty()) {
    throw_type_error("macro '" + signature.name + "' takes no keyword argument '" +
                     keyword[0].first + "'");
  }
  if (signature.varargs_slot >= 0) {
    const std::size_t n = std::min(parameters, positional.size());
    slot(signature.varargs_slot) = runtime_.tuple(
        Values(positional.begin() + static_cast<std::ptrdiff_t>(n), positional.end()));
  } else if (positional.size() > parameters) {
    throw_type_error("macro '" + signature.name + "' takes not more than " +
                     std::to_string(parameters) + " argument(s)");
  }
  const std::size_t first_default = parameters - signature.defaults.size();
  for (std::size_t i = 0; i < parameters; ++i) {
    Value& value = slot(signature.parameter_slots[i]);
    if (!value.is_missing()) continue;
    value = i < first_default
                ? runtime_.undefined("parameter '" + signature.parameters[i] + "' was not provided")
                : evaluate(*signature.defaults[i - first_default], *scope);
  }
  TextBuilder out(runtime_);
  execute(definition.bodies[0], *scope, out);
  return out.to_value();
}

std::optional<Value> MacroObject::attribute(Runtime& runtime, const std::string& name) const {
  const MacroSignature& signature = definition->signature;
  if (name == "name") return runtime.string(signature.name);
  if (name == "catch_kwargs") return Value::boolean(signature.kwargs_slot >= 0);
  if (name == "catch_varargs") return Value::boolean(signature.varargs_slot >= 0);
  if (name == "caller") return Value::boolean(signature.caller_slot >= 0);
  if (name != "arguments") return std::nullopt;
  Values names;
  for (const std::string& parameter : signature.parameters)
    names.push_back(runtime.string(parameter));
  return runtime.tuple(std::move(names));
}

}  // namespace ridgeline::jinja
