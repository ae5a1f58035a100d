#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ridgeline/text/jinja/ast.h"
#include "ridgeline/text/jinja/loop.h"
#include "ridgeline/text/jinja/runtime.h"
#include "ridgeline/text/jinja/scope.h"

namespace ridgeline::jinja {

/// Walks a program's nodes, once. Throws TemplateError.
class Interpreter {
 public:
  Interpreter(const Program& program, Runtime& runtime, const DictObject& variables);
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  std::string run();
  /// Of the node last evaluated, for errors.
  int line() const { return line_; }

  Value call_macro(const Stmt& definition, Scope* scope, Arguments& arguments);

 private:
  enum class Flow : std::uint8_t { kNormal, kBreak, kContinue };
  class ScopeHolder;

  // Statements (statements.cpp).
  Flow execute(const Body& body, Scope& scope, TextBuilder& out);
  Flow execute(const Stmt& stmt, Scope& scope, TextBuilder& out);
  Flow execute_if(const Stmt& stmt, Scope& scope, TextBuilder& out);
  Flow execute_for(const Stmt& stmt, Scope& scope, TextBuilder& out);
  Flow execute_with(const Stmt& stmt, Scope& scope, TextBuilder& out);
  Flow execute_set_block(const Stmt& stmt, Scope& scope);
  Flow execute_filter_block(const Stmt& stmt, Scope& scope, TextBuilder& out);
  void execute_call_block(const Stmt& stmt, Scope& scope, TextBuilder& out);
  void output(const Value& value, TextBuilder& out);
  void check_length(const TextBuilder& out) const;
  Flow loop_over(const Stmt& stmt, const Value& iterable, Scope& scope, TextBuilder& out,
                 int depth0);
  Value tested(const Stmt& stmt, const Value& iterable, Scope& scope);
  void assign(const Expr& target, const Value& value, Scope& scope);
  void check_namespaces(const Expr& target, Scope& scope);
  Value make_macro(const Stmt& definition, Scope& scope);
  Value resolve(const std::string& name);
  void enter(const ScopeLayout& layout, Scope& scope);

  // Expressions (interpreter.cpp).
  Value evaluate(const Expr& expr, Scope& scope);
  Value evaluate_name(const Expr& expr, Scope& scope);
  Value evaluate_dict(const Expr& expr, Scope& scope);
  Value evaluate_concat(const Expr& expr, Scope& scope);
  Value evaluate_compare(const Expr& expr, Scope& scope);
  Value evaluate_conditional(const Expr& expr, Scope& scope);
  Value evaluate_slice(const Expr& expr, Scope& scope);
  Value evaluate_call(const Expr& expr, Scope& scope, const Value* caller = nullptr);
  Value evaluate_filter(const Expr& expr, Scope& scope, const Value* text = nullptr);
  Value evaluate_test(const Expr& expr, Scope& scope);
  Values evaluate_all(const std::vector<ExprPtr>& expressions, Scope& scope);
  Arguments evaluate_arguments(const CallArguments& arguments, Scope& scope);
  Value call(const Value& callee, Arguments& arguments);

  const Program& program_;
  Runtime& runtime_;
  const DictObject& variables_;
  DictObject globals_;
  Scope* root_ = nullptr;
  std::vector<std::unique_ptr<Scope>> captured_;  ///< kept to the end
  int line_ = 0;
};

}  // namespace ridgeline::jinja
