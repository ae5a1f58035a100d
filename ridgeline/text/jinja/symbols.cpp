#include "ridgeline/text/jinja/symbols.h"

#include <algorithm>

namespace ridgeline::jinja {
namespace {

template <class Visit>
void for_each_child(const Expr& expr, const Visit& visit) {
  for (const ExprPtr& child : expr.children) visit(child.get());
  for (const ExprPtr& argument : expr.arguments.positional) visit(argument.get());
  for (const Keyword& keyword : expr.arguments.keyword) visit(keyword.value.get());
  visit(expr.arguments.dyn_positional.get());
  visit(expr.arguments.dyn_keyword.get());
}

}  // namespace

int Symbols::slot_of(const std::string& name) {
  const auto found = std::ranges::find(layout_->names, name);
  if (found != layout_->names.end()) return static_cast<int>(found - layout_->names.begin());
  layout_->names.push_back(name);
  return static_cast<int>(layout_->names.size()) - 1;
}

int Symbols::define(const std::string& name, ScopeLoad load) {
  load.slot = slot_of(name);
  refs_[name] = load.slot;
  loads_[load.slot] = load;
  return load.slot;
}

std::optional<SlotRef> Symbols::find(const std::string& name) const {
  int hops = 0;
  for (const Symbols* s = this; s != nullptr; s = s->parent_, ++hops)
    if (const auto found = s->refs_.find(name); found != s->refs_.end())
      return SlotRef{hops, found->second};
  return std::nullopt;
}

void Symbols::load(const std::string& name) {
  if (!find(name)) define(name, {ScopeLoad::Kind::kResolve, 0, name, {}});
}

void Symbols::store(const std::string& name) {
  stores_.insert(name);
  if (refs_.contains(name)) return;
  const auto outer = parent_ == nullptr ? std::nullopt : parent_->find(name);
  if (outer) {
    define(name, {ScopeLoad::Kind::kAlias, 0, name, *outer});
  } else {
    define(name, {ScopeLoad::Kind::kMissing, 0, name, {}});
  }
}

int Symbols::declare_parameter(const std::string& name) {
  stores_.insert(name);
  const int slot = slot_of(name);
  refs_[name] = slot;
  loads_[slot] = std::nullopt;
  return slot;
}

void Symbols::join(const std::vector<Symbols>& branches) {
  std::set<std::string> stored;
  for (const Symbols& branch : branches)
    std::ranges::set_difference(branch.stores_, stores_, std::inserter(stored, stored.end()));
  for (const Symbols& branch : branches) {
    for (const auto& [name, slot] : branch.refs_) refs_[name] = slot;
    for (const auto& [slot, load] : branch.loads_) loads_[slot] = load;
    stores_.insert(branch.stores_.begin(), branch.stores_.end());
  }
  for (const std::string& name : stored) {
    const int slot = refs_.at(name);
    const auto outer = parent_ == nullptr ? std::nullopt : parent_->find(name);
    loads_[slot] = outer ? ScopeLoad{ScopeLoad::Kind::kAlias, slot, name, *outer}
                         : ScopeLoad{ScopeLoad::Kind::kResolve, slot, name, {}};
  }
}

void Symbols::mark_captured() const {
  for (const Symbols* s = this; s != nullptr; s = s->parent_) s->layout_->captured = true;
}

void Symbols::finish() const {
  for (const auto& [slot, load] : loads_)
    if (load) layout_->loads.push_back(*load);
}

void look_through(const Expr* expr, Symbols& symbols, bool as_parameter) {
  if (expr == nullptr) return;
  if (expr->kind == Expr::Kind::kName) {
    if (as_parameter || expr->use == Expr::Use::kParameter) {
      symbols.declare_parameter(expr->name);
    } else if (expr->use == Expr::Use::kStore) {
      symbols.store(expr->name);
    } else {
      symbols.load(expr->name);
    }
  } else if (expr->kind == Expr::Kind::kNamespaceRef) {
    symbols.load(expr->name);
  }
  for_each_child(*expr, [&](const Expr* child) { look_through(child, symbols, as_parameter); });
}

namespace {

void look_through_if(const Stmt& stmt, Symbols& symbols) {
  look_through(stmt.expressions[0].get(), symbols);
  const auto branch = [](const Body& body, const Symbols& outer) {
    Symbols copy = outer;
    look_through(body, copy);
    return copy;
  };
  std::vector<Symbols> branches;
  branches.push_back(branch(stmt.bodies[0], symbols));
  Symbols elifs = symbols;  // all of them are one branch, an if of its own each
  for (std::size_t i = 1; i < stmt.bodies.size(); ++i) {
    look_through(stmt.expressions[i].get(), elifs);
    elifs.join({branch(stmt.bodies[i], elifs)});
  }
  branches.push_back(std::move(elifs));
  branches.push_back(branch(stmt.else_body, symbols));
  symbols.join(branches);
}

void look_through(const Stmt& stmt, Symbols& symbols) {
  const auto all = [&symbols](const std::vector<ExprPtr>& expressions) {
    for (const ExprPtr& expr : expressions) look_through(expr.get(), symbols);
  };
  switch (stmt.kind) {
    case Stmt::Kind::kIf:
      return look_through_if(stmt, symbols);
    case Stmt::Kind::kFor:
      return look_through(stmt.iterable.get(), symbols);
    case Stmt::Kind::kSet:
      all(stmt.expressions);
      return all(stmt.targets);
    case Stmt::Kind::kSetBlock:
      return all(stmt.targets);
    case Stmt::Kind::kMacro:
      return symbols.store(stmt.signature.name);
    case Stmt::Kind::kOutput:
    case Stmt::Kind::kCallBlock:
    case Stmt::Kind::kFilterBlock:
    case Stmt::Kind::kWith:
      return all(stmt.expressions);
    case Stmt::Kind::kText:
    case Stmt::Kind::kGeneration:
    case Stmt::Kind::kBlock:
    case Stmt::Kind::kBreak:
    case Stmt::Kind::kContinue:
      return;
  }
}

class UndeclaredFinder {
 public:
  explicit UndeclaredFinder(std::set<std::string> names) : names_(std::move(names)) {}

  void visit(const Body& body) {
    for (const StmtPtr& stmt : body) visit(*stmt);
  }
  std::set<std::string> found() && { return std::move(found_); }

 private:
  void visit(const Expr* expr) {
    if (expr == nullptr) return;
    if (expr->kind == Expr::Kind::kName) {
      if (expr->use == Expr::Use::kLoad) {
        if (names_.contains(expr->name)) found_.insert(expr->name);
      } else {
        names_.erase(expr->name);
      }
    }
    for_each_child(*expr, [this](const Expr* child) { visit(child); });
  }
  void visit(const std::vector<ExprPtr>& expressions) {
    for (const ExprPtr& expr : expressions) visit(expr.get());
  }

  void visit(const Stmt& stmt) {
    if (stmt.kind == Stmt::Kind::kBlock) return;
    if (stmt.kind == Stmt::Kind::kCallBlock) visit(stmt.expressions);
    if (stmt.kind != Stmt::Kind::kMacro) visit(stmt.targets);
    visit(stmt.iterable.get());
    for (const std::string& parameter : stmt.signature.parameters) names_.erase(parameter);
    visit(stmt.signature.defaults);
    if (stmt.kind == Stmt::Kind::kIf) {
      for (std::size_t i = 0; i < stmt.bodies.size(); ++i) {
        visit(stmt.expressions[i].get());
        visit(stmt.bodies[i]);
      }
    } else {
      if (stmt.kind != Stmt::Kind::kCallBlock) visit(stmt.expressions);
      for (const Body& body : stmt.bodies) visit(body);
    }
    visit(stmt.else_body);
    visit(stmt.test.get());
  }

  std::set<std::string> names_, found_;
};

}  // namespace

void look_through(const Body& body, Symbols& symbols) {
  for (const StmtPtr& stmt : body) look_through(*stmt, symbols);
}

std::set<std::string> undeclared_names(const Body& body, std::set<std::string> names) {
  UndeclaredFinder finder(std::move(names));
  finder.visit(body);
  return std::move(finder).found();
}

}  // namespace ridgeline::jinja
