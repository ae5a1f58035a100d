#include "ridgeline/text/jinja/runtime.h"

#include <algorithm>

namespace ridgeline::jinja {
namespace {

/// What an object and the pointer to it take beside its contents, about.
constexpr std::size_t kObjectBytes = 64;
constexpr std::size_t kEntryBytes = sizeof(Value) * 4;  // of a dict; half of it the index's

int depth_with(const Value& value) { return depth_over(value.depth()); }

}  // namespace

Runtime::Runtime(const Limits& limits, Clock clock)
    : limits_(limits), clock_(std::move(clock)), steps_left_(limits.steps) {
  budget_.limit = limits.memory_bytes;
}

Runtime::~Runtime() {
  for (auto& [object, clear] : kept_) clear();
}

void Runtime::keep(std::shared_ptr<Object> object, std::function<void()> clear) {
  kept_.emplace_back(std::move(object), std::move(clear));
}

void Runtime::out_of_steps() const {
  throw TemplateError{"the template takes more than " + std::to_string(limits_.steps) + " steps"};
}

Value Runtime::string(std::string text, bool markup) {
  step_over(text.size());
  budget_.take(kObjectBytes + text.size());
  Value value = make_string(std::move(text), markup);
  StringObject& object = value.as<StringObject>();
  object.budget = &budget_;
  object.bytes = kObjectBytes + object.text.size();
  return value;
}

Value TextBuilder::to_value(bool markup) {
  runtime_.budget().give_back(taken_);
  taken_ = 0;
  return runtime_.string(std::move(text_), markup);
}

Value Runtime::list(Values items) {
  auto object = count(std::make_shared<ListObject>(), kObjectBytes + items.size() * sizeof(Value));
  object->depth = depth_over(items);
  object->items = std::move(items);
  return {Value::Kind::kList, std::move(object)};
}

Value Runtime::tuple(Values items) {
  return {Value::Kind::kTuple, list(std::move(items)).object()};
}

Value Runtime::group(Value grouper, Value items) {
  Value value = tuple({std::move(grouper), std::move(items)});
  value.as<ListObject>().is_group = true;
  return value;
}

Value Runtime::dict(std::shared_ptr<DictObject> dict) {
  dict = count(std::move(dict), kObjectBytes + dict->entries.size() * kEntryBytes);
  return make_dict(std::move(dict));
}

Value Runtime::view(Value dict, DictView::Part part) {
  auto object = count(std::make_shared<DictView>(), kObjectBytes);
  object->depth = depth_with(dict);
  object->dict = std::move(dict);
  object->part = part;
  return {Value::Kind::kDictView, std::move(object)};
}

Value Runtime::range(std::int64_t start, std::int64_t stop, std::int64_t step,
                     std::int64_t length) {
  auto object = count(std::make_shared<RangeObject>(), kObjectBytes);
  object->start = start;
  object->stop = stop;
  object->step = step;
  object->length = length;
  return {Value::Kind::kRange, std::move(object)};
}

Value Runtime::generator(std::function<bool(Runtime&, Value&)> next, const Values& captured,
                         const char* type_name) {
  auto object = count(std::make_shared<Generator>(), 4 * kObjectBytes);
  object->depth = depth_over(captured);
  object->next = std::move(next);
  object->type_name = type_name;
  return {Value::Kind::kGenerator, std::move(object)};
}

Value Runtime::undefined_name(std::string_view name) {
  auto object = count(std::make_shared<UndefinedObject>(), kObjectBytes + name.size());
  object->name = make_string(std::string(name));
  return {Value::Kind::kUndefined, std::move(object)};
}

Value Runtime::undefined_member(const Value& value, const Value& name) {
  auto object = count(std::make_shared<UndefinedObject>(), kObjectBytes);
  object->object_type = jinja::type_name(value);
  object->depth = depth_with(name);
  object->name = name;
  return {Value::Kind::kUndefined, std::move(object)};
}

Value Runtime::undefined(std::string hint) {
  auto object = count(std::make_shared<UndefinedObject>(), kObjectBytes + hint.size());
  object->hint = std::move(hint);
  return {Value::Kind::kUndefined, std::move(object)};
}

Value Runtime::make_namespace(const DictObject& attributes) {
  auto object = count(std::make_shared<NamespaceObject>(),
                      2 * kObjectBytes + attributes.entries.size() * kEntryBytes);
  for (const auto& [key, value] : attributes.entries) object->attributes.set(key, value);
  keep(object, [raw = object.get()] { raw->attributes.clear(); });
  return {Value::Kind::kNamespace, std::move(object)};
}

Value Runtime::function(std::string name, std::function<Value(Runtime&, Arguments&)> call,
                        const Value& self) {
  auto object = count(std::make_shared<FunctionObject>(), 2 * kObjectBytes);
  object->depth = depth_with(self);
  object->name = std::move(name);
  object->call = std::move(call);
  return {Value::Kind::kFunction, std::move(object)};
}

Value Runtime::cycler(Values items) {
  auto object =
      count(std::make_shared<CyclerObject>(), kObjectBytes + items.size() * sizeof(Value));
  object->depth = depth_over(items);
  object->items = std::move(items);
  return {Value::Kind::kCycler, std::move(object)};
}

Value Runtime::joiner(Value separator) {
  auto object = count(std::make_shared<JoinerObject>(), kObjectBytes);
  object->depth = depth_with(separator);
  object->separator = std::move(separator);
  return {Value::Kind::kJoiner, std::move(object)};
}

}  // namespace ridgeline::jinja
