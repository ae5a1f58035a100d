#include "ridgeline/text/jinja/parameters.h"

#include <algorithm>

#include "ridgeline/text/jinja/operators.h"

namespace ridgeline::jinja {

Parameters::Parameters(std::string_view function, const Arguments& arguments,
                       std::initializer_list<const char*> names, std::size_t required)
    : function_(function), values_(names.size(), Value::missing()) {
  if (arguments.positional.size() > names.size())
    throw_type_error(function_ + "() takes at most " + std::to_string(names.size()) +
                     " arguments (" + std::to_string(arguments.positional.size()) + " given)");
  std::ranges::copy(arguments.positional, values_.begin());
  for (const auto& [name, value] : arguments.keyword) {
    const auto* found = std::ranges::find_if(names, [&](const char* n) { return name == n; });
    if (found == names.end())
      throw_type_error(function_ + "() got an unexpected keyword argument '" + name + "'");
    Value& slot = values_[static_cast<std::size_t>(found - names.begin())];
    if (!slot.is_missing())
      throw_type_error(function_ + "() got multiple values for argument '" + name + "'");
    slot = value;
  }
  for (std::size_t i = 0; i < required; ++i)
    if (values_[i].is_missing())
      throw_type_error(function_ + "() is missing the argument '" + names.begin()[i] + "'");
}

std::int64_t Parameters::integer(std::size_t i, std::int64_t otherwise) const {
  if (!has(i)) return otherwise;
  require_defined(values_[i]);
  if (!values_[i].is_integral())
    throw_type_error(function_ + "(): '" + type_name(values_[i]) +
                     "' object cannot be interpreted as an integer");
  return values_[i].integer();
}

const std::string& Parameters::text(std::size_t i) const {
  if (!values_[i].is_string())
    throw_type_error(function_ + "() argument must be str, not " + type_name(values_[i]));
  return values_[i].text();
}

bool Parameters::truth(Runtime& runtime, std::size_t i, bool otherwise) const {
  return has(i) ? jinja::truth(runtime, values_[i]) : otherwise;
}

}  // namespace ridgeline::jinja
