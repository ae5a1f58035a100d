#include "ridgeline/text/jinja/loop.h"
#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/text_search.h"
#include "ridgeline/text/jinja/unicode.h"

namespace ridgeline::jinja {

using Kind = Value::Kind;

bool truth(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.integer() != 0;
    case Kind::kFloat:
      return value.number() != 0;
    default:
      return !has_length(value) || length(runtime, value) != 0;
  }
}

bool has_length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kDictView:
    case Kind::kRange:
    case Kind::kLoop:
      return true;
    default:
      return false;
  }
}

std::int64_t length(Runtime& runtime, const Value& value) {
  const auto size = [](std::size_t n) { return static_cast<std::int64_t>(n); };
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return size(value.string().length);
    case Kind::kList:
    case Kind::kTuple:
      return size(value.items().size());
    case Kind::kDict:
      return size(value.dict().entries.size());
    case Kind::kDictView:
      return size(value.as<DictView>().dict.dict().entries.size());
    case Kind::kRange:
      return value.as<RangeObject>().length;
    case Kind::kLoop:
      return value.as<LoopObject>().length(runtime);
    default:
      throw_type_error(std::string("object of type '") + type_name(value) + "' has no len()");
  }
}

bool is_iterable(const Value& value) {
  return (has_length(value) || value.kind() == Kind::kGenerator) && value.kind() != Kind::kMissing;
}

Iterator::Iterator(Runtime& runtime, Value value) : runtime_(runtime), value_(std::move(value)) {
  if (!is_iterable(value_) || value_.kind() == Kind::kLoop)
    throw_type_error(std::string("'") + type_name(value_) + "' object is not iterable");
}

bool Iterator::next(Value& item) {
  runtime_.step();
  switch (value_.kind()) {
    case Kind::kString: {
      const std::string_view rest = std::string_view(value_.text()).substr(position_);
      if (rest.empty()) return false;
      const std::size_t n = first_length(rest);
      item = runtime_.string(std::string(rest.substr(0, n)), value_.string().markup);
      position_ += n;
      return true;
    }
    case Kind::kList:
    case Kind::kTuple:
      if (position_ >= value_.items().size()) return false;
      item = value_.items()[position_++];
      return true;
    case Kind::kDict:
      if (position_ >= value_.dict().entries.size()) return false;
      item = value_.dict().entries[position_++].first;
      return true;
    case Kind::kDictView: {
      const DictView& view = value_.as<DictView>();
      const auto& entries = view.dict.dict().entries;
      if (position_ >= entries.size()) return false;
      const auto& [key, value] = entries[position_++];
      item = view.part == DictView::Part::kKeys     ? key
             : view.part == DictView::Part::kValues ? value
                                                    : runtime_.tuple({key, value});
      return true;
    }
    case Kind::kRange: {
      const RangeObject& range = value_.as<RangeObject>();
      if (static_cast<std::int64_t>(position_) >= range.length) return false;
      item = Value::integer(range.start + static_cast<std::int64_t>(position_++) * range.step);
      return true;
    }
    case Kind::kGenerator:
      return value_.as<Generator>().next(runtime_, item);
    default:
      return false;
  }
}

Values items_of(Runtime& runtime, const Value& value) {
  if (value.is_sequence()) {
    runtime.step(value.items().size());
    return value.items();
  }
  Values items;
  for_each(runtime, value, [&items](const Value& item) { items.push_back(item); });
  return items;
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kString:
      if (!item.is_string()) {
        require_defined(item);
        throw_type_error(std::string("'in <string>' requires string as left operand, not ") +
                         type_name(item));
      }
      runtime.step_over(container.text().size());
      return find_text(container.text(), item.text()) != std::string_view::npos;
    case Kind::kDict:
      require_hashable(item);
      return container.dict().find(item) != nullptr;
    case Kind::kDictView:
      if (container.as<DictView>().part == DictView::Part::kKeys)
        return contains(runtime, container.as<DictView>().dict, item);
      break;
    default:
      break;
  }
  if (!is_iterable(container) || container.kind() == Kind::kLoop)
    throw_type_error(std::string("argument of type '") + type_name(container) +
                     "' is not iterable");
  Iterator iterator(runtime, container);
  for (Value other; iterator.next(other);)
    if (equal(runtime, item, other)) return true;
  return false;
}

}  // namespace ridgeline::jinja
