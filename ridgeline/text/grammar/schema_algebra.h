#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/text/grammar/program.h"
#include "ridgeline/text/grammar/scalars.h"

namespace ridgeline::grammar {

/// A set of JSON values: a schema, or what boolean operators make of schemas. Equal
/// expressions have equal ids.
using ExprId = std::uint32_t;
inline constexpr ExprId kTrue = 0, kFalse = 1;
/// Neither known to hold nor known not to: no value is written for it, nor for its negation.
inline constexpr ExprId kUnknown = 2;

inline constexpr std::uint64_t kUnbounded = UINT64_MAX;

/// Objects: what each property's value is, by the class of its name, and what must occur.
struct ObjectShape {
  struct KeyClass {
    ExprId value = kTrue;
    /// Obligation and what the value must be to fulfil it, beside `value`.
    std::vector<std::pair<std::uint32_t, ExprId>> witnesses;
    friend auto operator<=>(const KeyClass&, const KeyClass&) = default;
  };
  DfaPtr keys;  ///< every text has a label: the index of its class, plus 1
  std::vector<KeyClass> classes;
  std::vector<JsonObject::Obligation> obligations;
  std::uint64_t min = 0, max = kUnbounded;
};

struct ArrayShape {
  struct Items {
    std::vector<ExprId> prefix;
    ExprId rest = kTrue;
    ExprId at(std::size_t i) const { return i < prefix.size() ? prefix[i] : rest; }
  };
  Items items;
  std::vector<Items> witnesses;  ///< for each, some item is so
  std::uint64_t min = 0, max = kUnbounded;
  bool is_unique = false;
};

/// A set of values by types. Alternatives of arrays and objects may overlap.
struct Normal {
  Language bare, string;
  std::vector<std::shared_ptr<const ArrayShape>> arrays;
  std::vector<std::shared_ptr<const ObjectShape>> objects;
};

/// Where the leaves of expressions come from.
class LeafReader {
 public:
  virtual ~LeafReader() = default;
  virtual Normal read(std::uint32_t leaf) = 0;
};

/// Expressions, and what they come down to. Conjunction, disjunction and complement of normal
/// forms are exact, so that allOf, anyOf, oneOf, not, if and dependencies need no care when
/// the automaton runs: it follows alternatives, and one that is left in the end suffices.
class SchemaAlgebra {
 public:
  SchemaAlgebra(LeafReader& reader, Budget& budget);

  ExprId leaf(std::uint32_t leaf);
  ExprId all_of(std::vector<ExprId> parts);
  ExprId any_of(std::vector<ExprId> parts);
  ExprId negation(ExprId expr);
  /// Computed once. Refused: an expression that is defined by itself, without an array or
  /// object in between.
  const Normal& normal(ExprId expr);

  static Normal any_value();
  static Normal no_value();
  Normal intersection(const Normal& a, const Normal& b);
  Normal union_of(Normal a, const Normal& b);
  Normal complement_of(const Normal& a);
  /// Those values that are in exactly one.
  Normal exactly_one(const std::vector<const Normal*>& parts);

 private:
  enum class Kind : std::uint8_t { kConstant, kLeaf, kAll, kAny, kNot };
  struct Expr {
    Kind kind;
    std::vector<ExprId> parts;  // of kLeaf: its number
    std::unique_ptr<Normal> normal;
    bool in_progress = false;
  };
  struct InProgress {};

  ExprId intern(Kind kind, std::vector<ExprId> parts);
  Normal compute(ExprId expr);
  bool surely_empty(ExprId expr, int depth);
  bool surely_empty(const ObjectShape& shape, int depth);
  bool surely_empty(const ArrayShape& shape, int depth);
  ObjectShape intersection(const ObjectShape& a, const ObjectShape& b);
  ArrayShape intersection(const ArrayShape& a, const ArrayShape& b);
  std::vector<std::shared_ptr<const ObjectShape>> complement_of(const ObjectShape& shape);
  std::optional<ObjectShape> violating_one_name(const ObjectShape& shape);
  std::vector<std::shared_ptr<const ArrayShape>> complement_of(const ArrayShape& shape);
  template <class Shape>
  std::vector<std::shared_ptr<const Shape>> intersection(
      const std::vector<std::shared_ptr<const Shape>>& a,
      const std::vector<std::shared_ptr<const Shape>>& b);
  template <class Shape>
  std::vector<std::shared_ptr<const Shape>> without(
      std::vector<std::shared_ptr<const Shape>> shapes,
      const std::vector<std::shared_ptr<const Shape>>& others);

  LeafReader& reader_;
  Budget& budget_;
  std::vector<Expr> exprs_;
  std::map<std::pair<Kind, std::vector<ExprId>>, ExprId> numbers_;
  int depth_ = 0;
};

}  // namespace ridgeline::grammar
