#pragma once

#include <span>
#include <string>
#include <string_view>

#include "ridgeline/text/jinja/runtime.h"
#include "ridgeline/text/jinja/value.h"

namespace ridgeline::jinja {

using Filter = Value (*)(Runtime&, const Value& input, const Arguments&);

struct NamedFilter {
  std::string_view name;
  Filter filter;
};
// One list per source file.
std::span<const NamedFilter> value_filters();
std::span<const NamedFilter> text_filters();
std::span<const NamedFilter> sequence_filters();
std::span<const NamedFilter> order_filters();

Filter find_filter(std::string_view name);  ///< null if there is none
/// Jinja has it, and it makes no sense in a chat template.
bool is_unsupported_filter(std::string_view name);
/// Throws if there is no such filter.
Value call_filter(Runtime& runtime, const std::string& name, const Value& input,
                  const Arguments& arguments);

/// A path like "function.name" or "0", or an integer, as the filters' `attribute`.
class AttributePath {
 public:
  explicit AttributePath(const Value& attribute);
  /// `otherwise`, if it is not missing, stands for what is undefined.
  Value of(Runtime& runtime, Value item, const Value& otherwise = Value::missing()) const;

 private:
  Values parts_;
};

/// Strings in lower case, others as they are: how filters compare by default.
Value ignore_case(Runtime& runtime, const Value& value);
/// markupsafe.soft_str: strings as they are, others through str().
Value soft_string(Runtime& runtime, const Value& value);

}  // namespace ridgeline::jinja
