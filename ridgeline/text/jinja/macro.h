#pragma once

#include <optional>
#include <string>

#include "ridgeline/text/jinja/ast.h"
#include "ridgeline/text/jinja/runtime.h"

namespace ridgeline::jinja {

class Interpreter;
struct Scope;

/// A macro, or a call block's body as its caller(), with the scope it was defined in.
struct MacroObject final : Object {
  const Stmt* definition = nullptr;
  Scope* scope = nullptr;
  Interpreter* interpreter = nullptr;

  const std::string& name() const { return definition->signature.name; }
  std::optional<Value> attribute(Runtime& runtime, const std::string& name) const;
};

}  // namespace ridgeline::jinja
