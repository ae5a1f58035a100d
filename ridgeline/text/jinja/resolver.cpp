#include "ridgeline/text/jinja/resolver.h"

#include <algorithm>

#include "ridgeline/text/jinja/filters.h"
#include "ridgeline/text/jinja/symbols.h"
#include "ridgeline/text/jinja/tests.h"

namespace ridgeline::jinja {
namespace {

/// Where a statement stands.
struct Place {
  const Symbols* symbols;
  bool conditional = false;  ///< within an if: unknown filters fail when they are reached
  int loops = 0;             ///< that break and continue could mean

  Place inner(const Symbols& scope) const { return {&scope, false, loops}; }
  Place function(const Symbols& scope) const { return {&scope, false, 0}; }
  Place under_condition() const { return {symbols, true, loops}; }
};

class Resolver {
 public:
  void run(Program& program) {
    Symbols root(nullptr, program.scope);
    look_through(program.body, root);
    visit(program.body, {&root});
    root.finish();
  }

 private:
  [[noreturn]] static void fail(int line, std::string message) {
    throw TemplateError{std::move(message), line};
  }

  void visit(Body& body, const Place& place) {
    for (StmtPtr& stmt : body) visit(*stmt, place);
  }

  void visit(std::vector<ExprPtr>& expressions, const Place& place) {
    for (ExprPtr& expr : expressions) visit(expr.get(), place);
  }

  void visit(Expr* expr, const Place& place) {
    if (expr == nullptr) return;
    if (expr->kind == Expr::Kind::kName || expr->kind == Expr::Kind::kNamespaceRef)
      resolve(*expr, place);
    if (expr->kind == Expr::Kind::kFilter) check_filter(*expr, place);
    if (expr->kind == Expr::Kind::kTest) check_test(*expr, place);
    const Place inner = expr->kind == Expr::Kind::kConditional ? place.under_condition() : place;
    visit(expr->children, inner);
    visit(expr->arguments.positional, inner);
    for (Keyword& keyword : expr->arguments.keyword) visit(keyword.value.get(), inner);
    visit(expr->arguments.dyn_positional.get(), inner);
    visit(expr->arguments.dyn_keyword.get(), inner);
  }

  void resolve(Expr& expr, const Place& place) {
    const auto found = place.symbols->find(expr.name);
    if (!found) fail(expr.line, "the name '" + expr.name + "' cannot be used here");
    if (expr.name == "self" && expr.use == Expr::Use::kLoad)
      fail(expr.line, "'self', the template's blocks, is not supported");
    if (expr.use == Expr::Use::kStore && expr.name == "loop" && loops_around_ > 0)
      fail(expr.line, "Can't assign to special loop variable in for-loop target");
    expr.slot = *found;
  }

  static void check_filter(const Expr& expr, const Place& place) {
    if (is_unsupported_filter(expr.name))
      fail(expr.line, "the filter '" + expr.name + "' is not supported");
    if (!place.conditional && find_filter(expr.name) == nullptr)
      fail(expr.line, "No filter named '" + expr.name + "'.");
  }

  static void check_test(const Expr& expr, const Place& place) {
    if (!place.conditional && find_test(expr.name) == nullptr)
      fail(expr.line, "No test named '" + expr.name + "'.");
  }

  void visit(Stmt& stmt, const Place& place) {
    switch (stmt.kind) {
      case Stmt::Kind::kText:
        return;
      case Stmt::Kind::kOutput:
      case Stmt::Kind::kSet:
        visit(stmt.expressions, place);
        return visit(stmt.targets, place);
      case Stmt::Kind::kIf: {
        const Place inner = place.under_condition();
        visit(stmt.expressions, inner);
        for (Body& body : stmt.bodies) visit(body, inner);
        return visit(stmt.else_body, inner);
      }
      case Stmt::Kind::kFor:
        return visit_for(stmt, place);
      case Stmt::Kind::kSetBlock:
        visit(stmt.targets, place);
        return visit_filtered_block(stmt, place);
      case Stmt::Kind::kFilterBlock:
        return visit_filtered_block(stmt, place);
      case Stmt::Kind::kMacro:
        stmt.macro_slot = *place.symbols->find(stmt.signature.name);
        return visit_macro(stmt, place);
      case Stmt::Kind::kCallBlock:
        visit(stmt.expressions, place);
        return visit_macro(stmt, place);
      case Stmt::Kind::kGeneration:
        return visit_macro(stmt, place);
      case Stmt::Kind::kWith:
        return visit_with(stmt, place);
      case Stmt::Kind::kBlock: {
        Symbols scope(nullptr, stmt.scope);
        look_through(stmt.bodies[0], scope);
        visit(stmt.bodies[0], place.function(scope));
        return scope.finish();
      }
      case Stmt::Kind::kBreak:
      case Stmt::Kind::kContinue:
        if (place.loops == 0)
          fail(stmt.line, std::string(stmt.kind == Stmt::Kind::kBreak ? "'break'" : "'continue'") +
                              " outside loop");
        return;
    }
  }

  static ExprPtr copy_of_target(const Expr& target) {
    auto copy = std::make_unique<Expr>();
    copy->kind = target.kind;
    copy->line = target.line;
    copy->use = target.use;
    copy->name = target.name;
    for (const ExprPtr& child : target.children) copy->children.push_back(copy_of_target(*child));
    return copy;
  }

  void visit_for(Stmt& stmt, const Place& place) {
    visit(stmt.iterable.get(), place);
    ++loops_around_;
    Symbols body(place.symbols, stmt.scope);
    stmt.loop_slot = body.declare_parameter("loop");
    look_through(stmt.targets[0].get(), body, /*as_parameter=*/true);
    look_through(stmt.bodies[0], body);
    Place inner = place.inner(body);
    // The function around a recursive loop's body is the loop's own.
    inner.loops = stmt.recursive ? 1 : place.loops + 1;
    visit(stmt.targets, inner);
    visit(stmt.bodies[0], inner);
    body.finish();
    if (stmt.recursive) place.symbols->mark_captured();

    if (stmt.test != nullptr) {
      stmt.test_targets.push_back(copy_of_target(*stmt.targets[0]));
      Symbols test(place.symbols, stmt.test_scope);
      look_through(stmt.test_targets[0].get(), test, /*as_parameter=*/true);
      look_through(stmt.test.get(), test);
      visit(stmt.test_targets, place.function(test));
      visit(stmt.test.get(), place.function(test));
      test.finish();
      test.mark_captured();
    }
    Symbols otherwise(place.symbols, stmt.else_scope);
    look_through(stmt.else_body, otherwise);
    Place outer = place.inner(otherwise);
    if (stmt.recursive) outer.loops = 0;
    visit(stmt.else_body, outer);
    otherwise.finish();
    --loops_around_;
  }

  void visit_filtered_block(Stmt& stmt, const Place& place) {
    Symbols scope(place.symbols, stmt.scope);
    look_through(stmt.bodies[0], scope);
    for (const ExprPtr& filter : stmt.expressions) look_through(filter.get(), scope);
    visit(stmt.bodies[0], place.inner(scope));
    visit(stmt.expressions, place.inner(scope));
    scope.finish();
  }

  void visit_macro(Stmt& stmt, const Place& place) {
    MacroSignature& signature = stmt.signature;
    Symbols scope(place.symbols, stmt.scope);
    for (const std::string& name : signature.parameters)
      signature.parameter_slots.push_back(scope.declare_parameter(name));
    const auto special = undeclared_names(stmt.bodies[0], {"caller", "kwargs", "varargs"});
    const auto declare = [&](const char* name, int& slot) {
      if (!special.contains(name)) return;
      if (std::ranges::find(signature.parameters, name) != signature.parameters.end()) return;
      slot = scope.declare_parameter(name);
    };
    declare("caller", signature.caller_slot);
    declare("kwargs", signature.kwargs_slot);
    declare("varargs", signature.varargs_slot);
    for (const ExprPtr& value : signature.defaults) look_through(value.get(), scope);
    look_through(stmt.bodies[0], scope);
    visit(signature.defaults, place.function(scope));
    visit(stmt.bodies[0], place.function(scope));
    scope.finish();
    place.symbols->mark_captured();
  }

  void visit_with(Stmt& stmt, const Place& place) {
    visit(stmt.expressions, place);
    Symbols scope(place.symbols, stmt.scope);
    for (const ExprPtr& target : stmt.targets)
      look_through(target.get(), scope, /*as_parameter=*/true);
    look_through(stmt.bodies[0], scope);
    visit(stmt.targets, place.inner(scope));
    visit(stmt.bodies[0], place.inner(scope));
    scope.finish();
  }

  int loops_around_ = 0;
};

}  // namespace

void resolve_names(Program& program) { Resolver().run(program); }

}  // namespace ridgeline::jinja
