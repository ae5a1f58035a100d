#pragma once

#include <functional>
#include <optional>
#include <string>

#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/runtime.h"

namespace ridgeline::jinja {

/// The special variable of a for loop: what it goes through, and where it stands.
struct LoopObject final : Object {
  LoopObject(Runtime& runtime, const Value& iterable_value, int depth_from_0)
      : iterable(iterable_value), iterator(runtime, iterable_value), depth0(depth_from_0) {}

  /// Moves on to the next item, which becomes `current`.
  bool advance();
  std::int64_t length(Runtime& runtime);
  /// Of the name, or none; `self` is the value that refers to this loop.
  std::optional<Value> attribute(Runtime& runtime, const Value& self, const std::string& name);
  bool changed(Runtime& runtime, const Value& self, Values values);

  Value iterable;
  Iterator iterator;
  std::int64_t index0 = -1;
  Value current, before;
  int depth0 = 0;
  /// Of a recursive loop: renders the body for other items.
  std::function<Value(const Value& items)> recurse;

 private:
  bool peek();
  bool read(Value& item);

  std::optional<Value> after_;  ///< read ahead
  std::optional<Values> rest_;  ///< read to its end, for the length
  std::size_t rest_position_ = 0;
  std::optional<std::int64_t> length_;
  std::optional<Values> last_changed_;
};

}  // namespace ridgeline::jinja
