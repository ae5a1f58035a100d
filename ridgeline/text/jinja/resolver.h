#pragma once

#include "ridgeline/text/jinja/ast.h"

namespace ridgeline::jinja {

/// Gives every name its scope and slot, once, by Jinja's rules: what a loop, macro,
/// block of set or with assigns stays within; a name that is assigned anywhere in a
/// scope is that scope's throughout, and begins with the outer value. Also refuses
/// what could never run: unknown filters and tests outside of conditions, break outside
/// of loops. Throws TemplateError with a line.
void resolve_names(Program& program);

}  // namespace ridgeline::jinja
