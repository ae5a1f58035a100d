#pragma once

#include <memory>
#include <vector>

#include "ridgeline/text/jinja/ast.h"
#include "ridgeline/text/jinja/runtime.h"

namespace ridgeline::jinja {

/// The variables of one scope while it is entered.
struct Scope {
  Scope* parent = nullptr;
  Values slots;

  Value& at(SlotRef ref) {
    Scope* scope = this;
    for (int i = 0; i < ref.hops; ++i) scope = scope->parent;
    return scope->slots[static_cast<std::size_t>(ref.slot)];
  }
};

}  // namespace ridgeline::jinja
