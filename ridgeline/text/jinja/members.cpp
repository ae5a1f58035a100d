#include <algorithm>
#include <array>
#include <optional>

#include "ridgeline/text/jinja/loop.h"
#include "ridgeline/text/jinja/macro.h"
#include "ridgeline/text/jinja/methods.h"
#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/parameters.h"
#include "ridgeline/text/jinja/unicode.h"

namespace ridgeline::jinja {
namespace {

using Kind = Value::Kind;

/// Python's builtin methods take no names for arguments, with these exceptions.
bool takes_keywords(std::string_view method) {
  constexpr std::string_view kNames[] = {"split", "rsplit", "splitlines", "expandtabs", "format"};
  return std::ranges::find(kNames, method) != std::end(kNames);
}

Value bound(Runtime& runtime, const Value& self, const std::string& name, Method method) {
  const bool keywords = takes_keywords(name);
  return runtime.function(
      name,
      [self, method, keywords, name](Runtime& r, Arguments& arguments) {
        if (!keywords && !arguments.keyword.empty())
          throw_type_error(name + "() takes no keyword arguments");
        return method(r, self, arguments);
      },
      self);
}

Value unsafe(Runtime& runtime, const Value& value, const std::string& name) {
  return runtime.undefined("access to attribute '" + name + "' of '" + type_name(value) +
                           "' object is unsafe.");
}

bool is_dunder(std::string_view name) {
  return name.size() > 4 && name.starts_with("__") && name.ends_with("__");
}

std::optional<Value> cycler_attribute(Runtime& runtime, const Value& value,
                                      const std::string& name) {
  CyclerObject& cycler = value.as<CyclerObject>();
  if (name == "current") return cycler.items[cycler.position];
  if (name == "next")
    return bound(runtime, value, name, [](Runtime&, const Value& self, const Arguments&) {
      CyclerObject& c = self.as<CyclerObject>();
      Value item = c.items[c.position];
      c.position = (c.position + 1) % c.items.size();
      return item;
    });
  if (name == "reset")
    return bound(runtime, value, name, [](Runtime&, const Value& self, const Arguments&) {
      self.as<CyclerObject>().position = 0;
      return Value();
    });
  return std::nullopt;
}

std::optional<Value> range_attribute(const Value& value, const std::string& name) {
  const RangeObject& range = value.as<RangeObject>();
  if (name == "start") return Value::integer(range.start);
  if (name == "stop") return Value::integer(range.stop);
  if (name == "step") return Value::integer(range.step);
  return std::nullopt;
}

std::optional<Value> list_attribute(Runtime& runtime, const Value& value, const std::string& name) {
  const ListObject& list = value.as<ListObject>();
  if (list.is_group && name == "grouper") return list.items[0];
  if (list.is_group && name == "list") return list.items[1];
  const bool is_tuple = value.kind() == Kind::kTuple;
  if (!is_tuple && is_unsafe_list_method(name)) return unsafe(runtime, value, name);
  if (const Method method = sequence_method(name, is_tuple))
    return bound(runtime, value, name, method);
  return std::nullopt;
}

/// getattr() of Python, none if it would raise AttributeError.
std::optional<Value> own_attribute(Runtime& runtime, const Value& value, const std::string& name) {
  switch (value.kind()) {
    case Kind::kUndefined:
      throw_undefined(value);
    case Kind::kNamespace: {
      const Value* found = value.as<NamespaceObject>().attributes.find(std::string_view(name));
      if (found == nullptr) return std::nullopt;
      return *found;
    }
    case Kind::kString:
      if (const Method method = string_method(name)) return bound(runtime, value, name, method);
      break;
    case Kind::kDict:
      if (is_unsafe_dict_method(name)) return unsafe(runtime, value, name);
      if (const Method method = dict_method(name)) return bound(runtime, value, name, method);
      break;
    case Kind::kList:
    case Kind::kTuple:
      if (auto found = list_attribute(runtime, value, name)) return found;
      break;
    case Kind::kLoop:
      if (auto found = value.as<LoopObject>().attribute(runtime, value, name)) return found;
      break;
    case Kind::kMacro:
      if (auto found = value.as<MacroObject>().attribute(runtime, name)) return found;
      break;
    case Kind::kCycler:
      if (auto found = cycler_attribute(runtime, value, name)) return found;
      break;
    case Kind::kRange:
      if (auto found = range_attribute(value, name)) return found;
      break;
    default:
      break;
  }
  if (is_dunder(name)) return unsafe(runtime, value, name);
  return std::nullopt;
}

/// value[key] of Python, none if it would raise TypeError or LookupError.
std::optional<Value> own_item(Runtime& runtime, const Value& value, const Value& key) {
  if (value.is_undefined()) throw_undefined(value);
  if (value.is_dict()) {
    if (key.kind() == Kind::kList || key.kind() == Kind::kDict) return std::nullopt;
    const Value* found = value.dict().find(key);
    if (found == nullptr) return std::nullopt;
    return *found;
  }
  const bool indexed = value.is_sequence() || value.is_string() || value.kind() == Kind::kRange;
  if (!indexed || !key.is_integral()) return std::nullopt;
  const std::int64_t n = length(runtime, value);
  const std::int64_t index = key.integer() < 0 ? key.integer() + n : key.integer();
  if (index < 0 || index >= n) return std::nullopt;
  const auto at = static_cast<std::size_t>(index);
  if (value.is_sequence()) return value.items()[at];
  if (value.kind() == Kind::kRange) {
    const RangeObject& range = value.as<RangeObject>();
    return Value::integer(range.start + index * range.step);
  }
  const StringObject& string = value.string();
  if (string.is_ascii()) return runtime.string(string.text.substr(at, 1), string.markup);
  runtime.step_over(string.text.size());
  const std::size_t start = byte_offset(string.text, at);
  const std::string_view rest = std::string_view(string.text).substr(start);
  return runtime.string(std::string(rest.substr(0, first_length(rest))), string.markup);
}

std::int64_t slice_bound(const Value& bound, std::int64_t length, std::int64_t step,
                         bool is_start) {
  if (bound.is_none() && is_start) return step > 0 ? 0 : length - 1;
  if (bound.is_none()) return step > 0 ? length : -1;
  if (!bound.is_integral()) {
    require_defined(bound);
    throw_type_error("slice indices must be integers or None or have an __index__ method");
  }
  const std::int64_t lowest = step > 0 ? 0 : -1, highest = step > 0 ? length : length - 1;
  std::int64_t at = bound.integer();
  if (at < 0) at = at < -length ? lowest : at + length;
  return std::clamp(at, lowest, highest);
}

}  // namespace

Value get_item(Runtime& runtime, const Value& value, const Value& key) {
  if (auto item = own_item(runtime, value, key)) return *item;
  if (key.is_string())
    if (auto attribute = own_attribute(runtime, value, key.text())) return *attribute;
  return runtime.undefined_member(value, key);
}

Value get_attribute(Runtime& runtime, const Value& value, const std::string& name) {
  if (auto attribute = own_attribute(runtime, value, name)) return *attribute;
  if (value.is_dict())
    if (const Value* found = value.dict().find(std::string_view(name))) return *found;
  return runtime.undefined_member(value, make_string(name));
}

Value slice(Runtime& runtime, const Value& value, const Value& start_value, const Value& stop_value,
            const Value& step_value) {
  require_defined(value);
  if (value.is_dict()) throw_type_error("unhashable type: 'slice'");
  if (!value.is_sequence() && !value.is_string() && value.kind() != Kind::kRange)
    throw_type_error(std::string("'") + type_name(value) + "' object is not subscriptable");
  if (!step_value.is_none() && !step_value.is_integral())
    throw_type_error("slice indices must be integers or None or have an __index__ method");
  const std::int64_t step = step_value.is_none() ? 1 : step_value.integer();
  if (step == 0) throw TemplateError{"slice step cannot be zero"};
  const std::int64_t n = length(runtime, value);
  const std::int64_t start = slice_bound(start_value, n, step, true);
  const std::int64_t stop = slice_bound(stop_value, n, step, false);
  std::int64_t count = 0;
  if (step > 0 && start < stop) count = (stop - start - 1) / step + 1;
  if (step < 0 && stop < start) count = (start - stop - 1) / -(step + (step == INT64_MIN)) + 1;
  runtime.step(static_cast<std::size_t>(count));

  if (value.kind() == Kind::kRange) {
    const RangeObject& range = value.as<RangeObject>();
    return runtime.range(range.start + start * range.step, range.start + stop * range.step,
                         range.step * step, count);
  }
  if (value.is_string()) {
    const StringObject& string = value.string();
    if (step == 1) {
      const bool ascii = string.is_ascii();
      const auto offset = [&](std::int64_t index) {
        const auto i = static_cast<std::size_t>(index);
        return ascii ? i : byte_offset(string.text, i);
      };
      runtime.step_over(string.text.size());
      const std::size_t first = count == 0 ? 0 : offset(start);
      const std::size_t last = count == 0 ? 0 : offset(stop);
      return runtime.string(string.text.substr(first, last - first), string.markup);
    }
    runtime.step(string.length);
    const std::vector<std::string_view> pieces = split_code_points(string.text);
    std::string text;
    for (std::int64_t i = 0; i < count; ++i)
      text += pieces[static_cast<std::size_t>(start + i * step)];
    return runtime.string(std::move(text), string.markup);
  }
  Values items;
  items.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    items.push_back(value.items()[static_cast<std::size_t>(start + i * step)]);
  return value.kind() == Kind::kList ? runtime.list(std::move(items))
                                     : runtime.tuple(std::move(items));
}

}  // namespace ridgeline::jinja
