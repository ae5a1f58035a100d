#pragma once

#include <string>
#include <string_view>

#include "ridgeline/base/result.h"
#include "ridgeline/text/jinja/runtime.h"
#include "ridgeline/text/jinja/value.h"

namespace ridgeline::jinja {

/// Python's json.loads: objects keep their keys' order. `what` names the text in errors.
Result<Value> parse_json(std::string_view text, const std::string& what);

/// json.dumps as transformers' tojson filter calls it.
struct JsonStyle {
  bool ensure_ascii = false;
  bool indented = false;
  std::string indent;  ///< of one level
  std::string item_separator = ", ", key_separator = ": ";
  bool sort_keys = false;
};
Value to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

}  // namespace ridgeline::jinja
