#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "ridgeline/text/jinja/runtime.h"
#include "ridgeline/text/jinja/value.h"

namespace ridgeline::jinja {

/// A builtin's arguments by its parameters' names; like Python, it throws for too many,
/// too few and unknown ones.
class Parameters {
 public:
  Parameters(std::string_view function, const Arguments& arguments,
             std::initializer_list<const char*> names, std::size_t required = 0);

  bool has(std::size_t i) const { return !values_[i].is_missing(); }
  /// Given, and not None.
  bool is_set(std::size_t i) const { return has(i) && !values_[i].is_none(); }
  const Value& operator[](std::size_t i) const { return values_[i]; }
  /// Throws if it is no integer.
  std::int64_t integer(std::size_t i, std::int64_t otherwise) const;
  const std::string& text(std::size_t i) const;  ///< throws if it is no string
  bool truth(Runtime& runtime, std::size_t i, bool otherwise) const;

 private:
  std::string function_;
  Values values_;
};

}  // namespace ridgeline::jinja
