#include <algorithm>
#include <memory>
#include <optional>

#include "ridgeline/text/jinja/filters.h"
#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/parameters.h"
#include "ridgeline/text/jinja/tests.h"
#include "ridgeline/text/jinja/unicode.h"

namespace ridgeline::jinja {
namespace {

Value filter_length(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("length", arguments, {});
  return Value::integer(length(runtime, input));
}

Value filter_list(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("list", arguments, {});
  return runtime.list(items_of(runtime, input));
}

Value filter_first(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("first", arguments, {});
  Value item;
  if (Iterator(runtime, input).next(item)) return item;
  return runtime.undefined("No first item, sequence was empty.");
}

/// reversed() knows sequences, dicts and views, but no generators.
bool is_reversible(const Value& value) {
  return has_length(value) && value.kind() != Value::Kind::kLoop;
}

Value filter_last(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("last", arguments, {});
  if (!is_reversible(input))
    throw_type_error(std::string("'") + type_name(input) + "' object is not reversible");
  if (input.is_string() || input.is_sequence() || input.kind() == Value::Kind::kRange) {
    Value item = get_item(runtime, input, Value::integer(-1));
    if (!item.is_undefined() || length(runtime, input) > 0) return item;
  } else if (Values items = items_of(runtime, input); !items.empty()) {
    return items.back();
  }
  return runtime.undefined("No last item, sequence was empty.");
}

Value filter_reverse(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("reverse", arguments, {});
  if (input.is_string()) return slice(runtime, input, Value(), Value(), Value::integer(-1));
  if (!is_iterable(input)) throw TemplateError{"argument must be iterable"};
  Values items = items_of(runtime, input);
  std::ranges::reverse(items);
  if (!is_reversible(input)) return runtime.list(std::move(items));
  const Value list = runtime.list(std::move(items));
  auto rest = std::make_shared<Iterator>(runtime, list);
  return runtime.generator([rest](Runtime&, Value& item) { return rest->next(item); }, {list},
                           "list_reverseiterator");
}

Value filter_join(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("join", arguments, {"d", "attribute"});
  const std::string separator = p.has(0) ? to_str(runtime, p[0]) : "";
  const AttributePath path(p[1]);
  TextBuilder out(runtime);
  bool first = true;
  for_each(runtime, input, [&](const Value& item) {
    if (!first) out.append(separator);
    first = false;
    append_str(runtime, path.of(runtime, item), out);
  });
  return out.to_value();
}

Value filter_sum(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("sum", arguments, {"attribute", "start"});
  const AttributePath path(p[0]);
  Value sum = p.has(1) ? p[1] : Value::integer(0);
  if (sum.is_string()) throw_type_error("sum() can't sum strings [use ''.join(seq) instead]");
  for_each(runtime, input, [&](const Value& item) {
    sum = binary(runtime, BinaryOp::kAdd, sum, path.of(runtime, item));
  });
  return sum;
}

/// Lists of `count` items each, the last one filled up if there is something to fill with.
Value filter_batch(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("batch", arguments, {"linecount", "fill_with"}, 1);
  const std::int64_t count = p.integer(0, 0);
  const Value fill = p.has(1) ? p[1] : Value();
  auto items = std::make_shared<Iterator>(runtime, input);
  auto pending = std::make_shared<std::optional<Value>>();
  return runtime.generator(
      [items, pending, count, fill](Runtime& r, Value& batch) {
        Values line;
        if (*pending) line.push_back(*std::exchange(*pending, std::nullopt));
        for (Value item; items->next(item);) {
          if (static_cast<std::int64_t>(line.size()) == count) {
            *pending = std::move(item);
            batch = r.list(std::move(line));
            return true;
          }
          line.push_back(std::move(item));
        }
        if (line.empty()) return false;
        if (!fill.is_none() && count > static_cast<std::int64_t>(line.size())) {
          const std::size_t missing = static_cast<std::size_t>(count) - line.size();
          r.step(missing);
          if (missing > r.budget().limit / sizeof(Value)) r.budget().take(r.budget().limit);
          line.resize(static_cast<std::size_t>(count), fill);
        }
        batch = r.list(std::move(line));
        return true;
      },
      {input, fill});
}

/// `slices` lists that share the items.
Value filter_slice(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("slice", arguments, {"slices", "fill_with"}, 1);
  const std::int64_t slices = p.integer(0, 0);
  const Value fill = p.has(1) ? p[1] : Value();
  const Value all = runtime.list(items_of(runtime, input));
  auto at = std::make_shared<std::pair<std::int64_t, std::int64_t>>(0, 0);  // slice, offset
  return runtime.generator(
      [all, at, slices, fill](Runtime& r, Value& item) {
        const auto n = static_cast<std::int64_t>(all.items().size());
        if (slices == 0) throw TemplateError{"integer division or modulo by zero"};
        auto& [number, offset] = *at;
        if (number >= slices) return false;
        const std::int64_t each = n / slices, larger = n % slices;
        const std::int64_t start = offset + number * each;
        if (number < larger) ++offset;
        const std::int64_t end = offset + (number + 1) * each;
        r.step(static_cast<std::size_t>(end - start) + 1);
        Values part(all.items().begin() + start, all.items().begin() + end);
        if (!fill.is_none() && number >= larger) part.push_back(fill);
        ++number;
        item = r.list(std::move(part));
        return true;
      },
      {all, fill});
}

using Transform = std::function<Value(Runtime&, const Value&)>;

/// map: an attribute of every item, or a filter on it.
Transform map_transform(const Arguments& arguments) {
  if (!arguments.positional.empty()) {
    if (!arguments.positional[0].is_string())
      throw TemplateError{"map expects the name of a filter"};
    Arguments rest = arguments;
    const std::string name = rest.positional[0].text();
    rest.positional.erase(rest.positional.begin());
    return [name, rest](Runtime& r, const Value& item) { return call_filter(r, name, item, rest); };
  }
  const bool has_attribute = std::ranges::any_of(
      arguments.keyword, [](const auto& keyword) { return keyword.first == "attribute"; });
  if (!has_attribute) throw TemplateError{"map requires a filter argument"};
  const Parameters p("map", arguments, {"attribute", "default"});
  return [path = AttributePath(p[0]), otherwise = p[1]](Runtime& r, const Value& item) {
    return path.of(r, item, otherwise);
  };
}

Values captured(const Value& input, const Arguments& arguments) {
  Values values = arguments.positional;
  for (const auto& [name, value] : arguments.keyword) values.push_back(value);
  values.push_back(input);
  return values;
}

/// The items of `input` one by one, from the first call on.
class Source {
 public:
  explicit Source(Value input) : input_(std::move(input)) {}
  bool next(Runtime& runtime, Value& item) {
    if (!items_) {
      if (!truth(runtime, input_)) return false;
      items_.emplace(runtime, input_);
    }
    return items_->next(item);
  }

 private:
  Value input_;
  std::optional<Iterator> items_;
};

Value filter_map(Runtime& runtime, const Value& input, const Arguments& arguments) {
  // Python's generator looks at its arguments when it is first asked for an item.
  struct State {
    Source source;
    Transform transform;
  };
  auto state = std::make_shared<State>(State{Source(input), nullptr});
  return runtime.generator(
      [state, input, arguments](Runtime& r, Value& item) {
        if (!state->transform) {
          if (!truth(r, input)) return false;
          state->transform = map_transform(arguments);
        }
        Value next;
        if (!state->source.next(r, next)) return false;
        item = state->transform(r, next);
        return true;
      },
      captured(input, arguments));
}

template <bool kSelect, bool kOfAttribute>
Value filter_select(Runtime& runtime, const Value& input, const Arguments& arguments) {
  auto source = std::make_shared<Source>(input);
  return runtime.generator(
      [source, arguments](Runtime& r, Value& item) {
        Arguments rest = arguments;
        std::optional<AttributePath> path;
        Value next;
        if (!source->next(r, next)) return false;
        if (kOfAttribute) {
          if (rest.positional.empty()) throw TemplateError{"Missing parameter for attribute name"};
          path.emplace(rest.positional[0]);
          rest.positional.erase(rest.positional.begin());
        }
        std::optional<std::string> test;
        if (!rest.positional.empty()) {
          if (!rest.positional[0].is_string()) throw TemplateError{"a test's name is a string"};
          test = rest.positional[0].text();
          rest.positional.erase(rest.positional.begin());
        }
        do {
          const Value value = path ? path->of(r, next) : next;
          const bool passes = test ? call_test(r, *test, value, rest) : truth(r, value);
          if (passes == kSelect) {
            item = std::move(next);
            return true;
          }
        } while (source->next(r, next));
        return false;
      },
      captured(input, arguments));
}

constexpr NamedFilter kFilters[] = {
    {"batch", filter_batch},
    {"count", filter_length},
    {"first", filter_first},
    {"join", filter_join},
    {"last", filter_last},
    {"length", filter_length},
    {"list", filter_list},
    {"map", filter_map},
    {"reject", filter_select<false, false>},
    {"rejectattr", filter_select<false, true>},
    {"reverse", filter_reverse},
    {"select", filter_select<true, false>},
    {"selectattr", filter_select<true, true>},
    {"slice", filter_slice},
    {"sum", filter_sum},
};

}  // namespace

std::span<const NamedFilter> sequence_filters() { return kFilters; }

}  // namespace ridgeline::jinja
