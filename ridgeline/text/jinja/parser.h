#pragma once

#include <string_view>

#include "ridgeline/text/jinja/ast.h"

namespace ridgeline::jinja {

/// Throws TemplateError with a line. Names are not resolved yet (resolver.h).
Program parse_program(std::string_view source);

}  // namespace ridgeline::jinja
