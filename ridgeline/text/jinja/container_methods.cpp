#include <algorithm>

#include "ridgeline/text/jinja/methods.h"
#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/parameters.h"

namespace ridgeline::jinja {
namespace {

template <DictView::Part kPart>
Value view(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters none("dict method", arguments, {});
  return runtime.view(self, kPart);
}

Value get(Runtime&, const Value& self, const Arguments& arguments) {
  const Parameters p("get", arguments, {"key", "default"}, 1);
  require_hashable(p[0]);
  const Value* found = self.dict().find(p[0]);
  if (found != nullptr) return *found;
  return p.has(1) ? p[1] : Value();
}

Value copy(Runtime&, const Value& self, const Arguments& arguments) {
  const Parameters none("copy", arguments, {});
  return self;  // nothing can change either
}

Value index(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters p("index", arguments, {"value", "start", "stop"}, 1);
  const auto n = static_cast<std::int64_t>(self.items().size());
  const auto bound = [&](std::size_t i, std::int64_t otherwise) {
    const std::int64_t at = p.integer(i, otherwise);
    return std::clamp<std::int64_t>(at < 0 ? at + n : at, 0, n);
  };
  for (std::int64_t i = bound(1, 0), end = bound(2, n); i < end; ++i)
    if (equal(runtime, self.items()[static_cast<std::size_t>(i)], p[0])) return Value::integer(i);
  throw TemplateError{to_repr(runtime, p[0]) + " is not in " + type_name(self)};
}

Value count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters p("count", arguments, {"value"}, 1);
  return Value::integer(std::ranges::count_if(
      self.items(), [&](const Value& item) { return equal(runtime, item, p[0]); }));
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

Method dict_method(std::string_view name) {
  if (name == "get") return get;
  if (name == "items") return view<DictView::Part::kItems>;
  if (name == "keys") return view<DictView::Part::kKeys>;
  if (name == "values") return view<DictView::Part::kValues>;
  if (name == "copy") return copy;
  if (name == "fromkeys") throw TemplateError{"the dict method 'fromkeys' is not supported"};
  return nullptr;
}

Method sequence_method(std::string_view name, bool is_tuple) {
  if (name == "index") return index;
  if (name == "count") return count;
  return name == "copy" && !is_tuple ? copy : nullptr;
}

bool is_unsafe_dict_method(std::string_view name) {
  return is_one_of(name, {"clear", "pop", "popitem", "setdefault", "update"});
}

bool is_unsafe_list_method(std::string_view name) {
  return is_one_of(name,
                   {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"});
}

}  // namespace ridgeline::jinja
