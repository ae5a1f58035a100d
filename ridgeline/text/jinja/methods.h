#pragma once

#include <string_view>

#include "ridgeline/text/jinja/runtime.h"
#include "ridgeline/text/jinja/value.h"

namespace ridgeline::jinja {

using Method = Value (*)(Runtime&, const Value& self, const Arguments&);

/// The method of that name, or null. Methods that Python has and that are not here
/// throw when they are asked for.
Method string_method(std::string_view name);
Method dict_method(std::string_view name);
Method sequence_method(std::string_view name, bool is_tuple);
/// Methods that would change a dict or list: the sandbox hides them.
bool is_unsafe_dict_method(std::string_view name);
bool is_unsafe_list_method(std::string_view name);

}  // namespace ridgeline::jinja
