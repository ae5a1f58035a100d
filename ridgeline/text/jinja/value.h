#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ridgeline/text/jinja/limits.h"

namespace ridgeline::jinja {

class Runtime;
class Value;
using Values = std::vector<Value>;

/// The bytes of values alive, against Limits::memory_bytes.
struct Budget {
  std::size_t used = 0;
  std::size_t limit = 0;

  void take(std::size_t bytes) {
    if (bytes > limit - used)
      throw TemplateError{"the template's values need more than " + std::to_string(limit >> 20) +
                          " MiB of memory"};
    used += bytes;
  }
  void give_back(std::size_t bytes) { used -= bytes; }
};

/// What a value refers to. Lists, tuples, dicts and strings never change once made
/// (the sandbox forbids it), so they are shared freely and cannot form cycles.
struct Object {
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() {
    if (budget != nullptr) budget->give_back(bytes);
  }
  Budget* budget = nullptr;  ///< null: made outside a rendering, not counted
  std::size_t bytes = 0;
  int depth = 1;  ///< of values within values, at most kMaxNesting
};

struct StringObject;
struct ListObject;
struct DictObject;

/// A Python value, as far as templates can see one.
class Value {
 public:
  enum class Kind : std::uint8_t {
    kMissing,  ///< a variable that was never set; becomes an undefined when read
    kUndefined,
    kNone,
    kBool,
    kInt,
    kFloat,
    kString,
    kList,
    kTuple,
    kDict,
    kDictView,  ///< of keys(), values() and items()
    kRange,
    kGenerator,  ///< what map, select and the like give: to be gone through once
    kNamespace,
    kLoop,
    kMacro,
    kFunction,
    kCycler,
    kJoiner,
  };

  Value() = default;
  static Value missing() { return Value(Kind::kMissing); }
  static Value boolean(bool b) {
    Value v(Kind::kBool);
    v.integer_ = b;
    return v;
  }
  static Value integer(std::int64_t i) {
    Value v(Kind::kInt);
    v.integer_ = i;
    return v;
  }
  static Value number(double d) {
    Value v(Kind::kFloat);
    v.float_ = d;
    return v;
  }
  Value(Kind kind, std::shared_ptr<Object> object) : kind_(kind), object_(std::move(object)) {}

  Kind kind() const { return kind_; }
  bool is_missing() const { return kind_ == Kind::kMissing; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_bool() const { return kind_ == Kind::kBool; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_dict() const { return kind_ == Kind::kDict; }
  bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }
  /// An int or a bool, which Python counts among them.
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }

  std::int64_t integer() const { return integer_; }  ///< of is_integral()
  double number() const {                            ///< of is_number()
    return kind_ == Kind::kFloat ? float_ : static_cast<double>(integer_);
  }
  const StringObject& string() const;
  const std::string& text() const;
  const Values& items() const;  ///< of is_sequence()
  const DictObject& dict() const;
  template <class T>
  T& as() const {
    return static_cast<T&>(*object_);
  }
  const std::shared_ptr<Object>& object() const { return object_; }
  int depth() const { return object_ == nullptr ? 0 : object_->depth; }

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::kNone;
  union {
    std::int64_t integer_ = 0;
    double float_;
  };
  std::shared_ptr<Object> object_;
};

struct StringObject final : Object {
  std::string text;
  bool markup = false;     ///< what |safe and |escape give: joins escape what they meet
  std::size_t length = 0;  ///< in code points
  bool is_ascii() const { return length == text.size(); }
};

struct ListObject final : Object {
  Values items;
  bool is_group = false;  ///< a pair of groupby, with the attributes grouper and list
};

/// Keeps the order in which keys came.
struct DictObject final : Object {
  struct KeyHash {
    std::size_t operator()(const Value& key) const;
  };
  struct KeyEqual {
    bool operator()(const Value& a, const Value& b) const;
  };
  std::vector<std::pair<Value, Value>> entries;

  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  /// A second value of a key replaces the first, in its place. The key is hashable.
  void set(Value key, Value value);
  void clear() {
    entries.clear();
    index_.clear();
  }

 private:
  std::size_t position(const Value& key) const;
  /// Only where a linear search would be slow.
  std::unordered_map<Value, std::size_t, KeyHash, KeyEqual> index_;
};

struct DictView final : Object {
  enum class Part : std::uint8_t { kKeys, kValues, kItems };
  Part part = Part::kKeys;
  Value dict;
};

struct RangeObject final : Object {
  std::int64_t start = 0, stop = 0, step = 1, length = 0;
};

/// `next` gives false at the end.
struct Generator final : Object {
  std::function<bool(Runtime&, Value&)> next;
  const char* type_name = "generator";
};

struct UndefinedObject final : Object {
  std::string hint;                   ///< if not empty: the whole message
  const char* object_type = nullptr;  ///< null: a variable's name was looked up
  Value name;
};

/// What can change, and so could refer to itself: the runtime keeps each to the end.
struct NamespaceObject final : Object {
  DictObject attributes;
};

struct CyclerObject final : Object {
  Values items;
  std::size_t position = 0;
};

struct JoinerObject final : Object {
  Value separator;
  bool used = false;
};

struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> keyword;
};

struct FunctionObject final : Object {
  std::string name;
  std::function<Value(Runtime&, Arguments&)> call;
};

inline const StringObject& Value::string() const { return as<StringObject>(); }
inline const std::string& Value::text() const { return as<StringObject>().text; }
inline const Values& Value::items() const { return as<ListObject>().items; }
inline const DictObject& Value::dict() const { return as<DictObject>(); }

/// Python's name of the type: "str", "NoneType".
const char* type_name(const Value& value);

// Values outside a rendering: a template's constants, and what callers hand in.
Value make_string(std::string text, bool markup = false);
Value make_list(Values items);
Value make_dict(std::shared_ptr<DictObject> dict);
/// Of a value around others; throws if nested too deep.
int depth_over(int inner_depth);
int depth_over(const Values& items);

}  // namespace ridgeline::jinja
