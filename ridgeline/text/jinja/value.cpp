#include "ridgeline/text/jinja/value.h"

#include <algorithm>
#include <cmath>

#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/unicode.h"

namespace ridgeline::jinja {
namespace {

constexpr std::size_t kNotFound = static_cast<std::size_t>(-1);
/// Below, comparing all keys is as fast as hashing one.
constexpr std::size_t kLinearEntries = 12;

}  // namespace

std::size_t DictObject::KeyHash::operator()(const Value& key) const {
  using Kind = Value::Kind;
  switch (key.kind()) {
    case Kind::kString:
      return std::hash<std::string>()(key.text());
    case Kind::kBool:
    case Kind::kInt:
      return std::hash<std::int64_t>()(key.integer());
    case Kind::kFloat: {
      const double d = key.number();  // 1.0 and 1 are the same key
      if (d == std::floor(d) && std::abs(d) < 9e18)
        return std::hash<std::int64_t>()(static_cast<std::int64_t>(d));
      return std::hash<double>()(d);
    }
    case Kind::kTuple: {
      std::size_t h = 0x9E3779B9u;
      for (const Value& item : key.items()) h = h * 31 + (*this)(item);
      return h;
    }
    case Kind::kUndefined:
    case Kind::kNone:
      return static_cast<std::size_t>(key.kind());
    default:
      return std::hash<const void*>()(key.object().get());
  }
}

bool DictObject::KeyEqual::operator()(const Value& a, const Value& b) const {
  return keys_equal(a, b);
}

std::size_t DictObject::position(const Value& key) const {
  if (!index_.empty()) {
    const auto found = index_.find(key);
    return found == index_.end() ? kNotFound : found->second;
  }
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (keys_equal(entries[i].first, key)) return i;
  return kNotFound;
}

const Value* DictObject::find(const Value& key) const {
  const std::size_t at = position(key);
  return at == kNotFound ? nullptr : &entries[at].second;
}

const Value* DictObject::find(std::string_view key) const {
  if (!index_.empty()) return find(make_string(std::string(key)));
  for (const auto& [name, value] : entries)
    if (name.is_string() && name.text() == key) return &value;
  return nullptr;
}

void DictObject::set(Value key, Value value) {
  if (const std::size_t at = position(key); at != kNotFound) {
    entries[at].second = std::move(value);
    return;
  }
  entries.emplace_back(std::move(key), std::move(value));
  if (entries.size() <= kLinearEntries) return;
  if (index_.empty()) {
    for (std::size_t i = 0; i < entries.size(); ++i) index_.emplace(entries[i].first, i);
  } else {
    index_.emplace(entries.back().first, entries.size() - 1);
  }
}

const char* type_name(const Value& value) {
  using Kind = Value::Kind;
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return value.string().markup ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kDictView: {
      constexpr const char* kNames[] = {"dict_keys", "dict_values", "dict_items"};
      return kNames[static_cast<int>(value.as<DictView>().part)];
    }
    case Kind::kRange:
      return "range";
    case Kind::kGenerator:
      return value.as<Generator>().type_name;
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kMacro:
      return "Macro";
    case Kind::kFunction:
      return "function";
    case Kind::kCycler:
      return "Cycler";
    case Kind::kJoiner:
      return "Joiner";
  }
  return "object";
}

Value make_string(std::string text, bool markup) {
  auto object = std::make_shared<StringObject>();
  object->length = code_points(text);
  object->text = std::move(text);
  object->markup = markup;
  return {Value::Kind::kString, std::move(object)};
}

int depth_over(int inner_depth) {
  if (inner_depth >= kMaxNesting)
    throw TemplateError{"lists and dicts are nested deeper than " + std::to_string(kMaxNesting)};
  return inner_depth + 1;
}

int depth_over(const Values& items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return depth_over(depth);
}

Value make_list(Values items) {
  auto object = std::make_shared<ListObject>();
  object->depth = depth_over(items);
  object->items = std::move(items);
  return {Value::Kind::kList, std::move(object)};
}

Value make_dict(std::shared_ptr<DictObject> dict) {
  int depth = 0;
  for (const auto& [key, value] : dict->entries)
    depth = std::max({depth, key.depth(), value.depth()});
  dict->depth = depth_over(depth);
  return {Value::Kind::kDict, std::move(dict)};
}

}  // namespace ridgeline::jinja
