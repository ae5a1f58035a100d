#include "ridgeline/text/jinja/loop.h"

namespace ridgeline::jinja {

bool LoopObject::read(Value& item) {
  if (!rest_) return iterator.next(item);
  if (rest_position_ >= rest_->size()) return false;
  item = (*rest_)[rest_position_++];
  return true;
}

bool LoopObject::peek() {
  if (after_) return true;
  Value item;
  if (!read(item)) return false;
  after_ = std::move(item);
  return true;
}

bool LoopObject::advance() {
  Value item;
  if (after_) {
    item = *std::move(after_);
    after_.reset();
  } else if (!read(item)) {
    return false;
  }
  ++index0;
  before = std::move(current);
  current = std::move(item);
  return true;
}

std::int64_t LoopObject::length(Runtime& runtime) {
  if (length_) return *length_;
  if (has_length(iterable)) {
    length_ = jinja::length(runtime, iterable);
  } else {
    Values rest;
    for (Value item; read(item);) rest.push_back(item);
    length_ = static_cast<std::int64_t>(rest.size()) + index0 + 1 + (after_ ? 1 : 0);
    rest_ = std::move(rest);
  }
  return *length_;
}

bool LoopObject::changed(Runtime& runtime, const Value& self, Values values) {
  // It may be given itself: emptied at the rendering's end.
  if (!last_changed_) runtime.keep(self.object(), [this] { last_changed_.reset(); });
  const bool differs = !last_changed_ || last_changed_->size() != values.size() ||
                       !equal(runtime, runtime.tuple(*last_changed_), runtime.tuple(values));
  if (differs) last_changed_ = std::move(values);
  return differs;
}

std::optional<Value> LoopObject::attribute(Runtime& runtime, const Value& self,
                                           const std::string& name) {
  if (name == "index") return Value::integer(index0 + 1);
  if (name == "index0") return Value::integer(index0);
  if (name == "first") return Value::boolean(index0 == 0);
  if (name == "last") return Value::boolean(!peek());
  if (name == "length") return Value::integer(length(runtime));
  if (name == "revindex") return Value::integer(length(runtime) - index0);
  if (name == "revindex0") return Value::integer(length(runtime) - index0 - 1);
  if (name == "depth") return Value::integer(depth0 + 1);
  if (name == "depth0") return Value::integer(depth0);
  if (name == "previtem")
    return index0 == 0 ? runtime.undefined("there is no previous item") : before;
  if (name == "nextitem") return peek() ? *after_ : runtime.undefined("there is no next item");
  if (name == "cycle")
    return runtime.function(
        "cycle",
        [this, self](Runtime&, Arguments& arguments) {
          const Values& given = arguments.positional;
          if (given.empty()) throw_type_error("no items for cycling given");
          return given[static_cast<std::size_t>(index0) % given.size()];
        },
        self);
  if (name == "changed")
    return runtime.function(
        "changed",
        [this, self](Runtime& r, Arguments& arguments) {
          return Value::boolean(changed(r, self, arguments.positional));
        },
        self);
  return std::nullopt;
}

}  // namespace ridgeline::jinja
