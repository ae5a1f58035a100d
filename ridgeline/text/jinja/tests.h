#pragma once

#include <string>
#include <string_view>

#include "ridgeline/text/jinja/runtime.h"
#include "ridgeline/text/jinja/value.h"

namespace ridgeline::jinja {

using Test = bool (*)(Runtime&, const Value& input, const Arguments&);

Test find_test(std::string_view name);  ///< null if there is none
/// Throws if there is no such test.
bool call_test(Runtime& runtime, const std::string& name, const Value& input,
               const Arguments& arguments);

}  // namespace ridgeline::jinja
