#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ridgeline/text/jinja/ast.h"

namespace ridgeline::jinja {

/// What is known of a scope's names while they are resolved. Branches of an if are
/// looked through one by one on copies, which share the scope's slots.
class Symbols {
 public:
  Symbols(const Symbols* parent, ScopeLayout& layout) : parent_(parent), layout_(&layout) {}

  void load(const std::string& name);
  void store(const std::string& name);
  int declare_parameter(const std::string& name);
  /// After copies went through the branches of an if: what some stored begins with the
  /// outer value.
  void join(const std::vector<Symbols>& branches);

  std::optional<SlotRef> find(const std::string& name) const;
  const Symbols* parent() const { return parent_; }
  void mark_captured() const;
  /// The loads go to the layout.
  void finish() const;

 private:
  int slot_of(const std::string& name);
  int define(const std::string& name, ScopeLoad load);

  const Symbols* parent_;
  ScopeLayout* layout_;
  std::map<std::string, int> refs_;
  std::map<int, std::optional<ScopeLoad>> loads_;  ///< none: a parameter
  std::set<std::string> stores_;
};

/// Fills `symbols` with what statements of one scope read and assign.
void look_through(const Body& body, Symbols& symbols);
void look_through(const Expr* expr, Symbols& symbols, bool as_parameter = false);
/// Those of `names` that the body reads before it assigns them.
std::set<std::string> undeclared_names(const Body& body, std::set<std::string> names);

}  // namespace ridgeline::jinja
