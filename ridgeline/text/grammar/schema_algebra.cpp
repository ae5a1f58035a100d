#include "ridgeline/text/grammar/schema_algebra.h"

#include <algorithm>

#include "ridgeline/text/utf8.h"

namespace ridgeline::grammar {
namespace {

constexpr std::size_t kAlternativesMax = 1000;
// How many levels of required values are looked at to find that two alternatives exclude
// each other: {"kind": {"const": "a"}} is one.
constexpr int kEmptinessDepth = 3;

template <class Shape>
std::vector<std::shared_ptr<const Shape>> one(Shape shape) {
  return {std::make_shared<const Shape>(std::move(shape))};
}

ObjectShape any_object() {
  ObjectShape shape;
  shape.keys = everything();
  shape.classes.resize(1);
  return shape;
}

void check_alternatives(std::size_t count) {
  if (count > kAlternativesMax) {
    refuse("the schema has too many overlapping alternatives (anyOf, oneOf, not, if)");
  }
}

}  // namespace

SchemaAlgebra::SchemaAlgebra(LeafReader& reader, Budget& budget)
    : reader_(reader), budget_(budget) {
  for (ExprId i = 0; i < 3; ++i) intern(Kind::kConstant, {i});
}

ExprId SchemaAlgebra::intern(Kind kind, std::vector<ExprId> parts) {
  budget_.spend(16 + parts.size());
  const auto [at, is_new] =
      numbers_.emplace(std::make_pair(kind, parts), static_cast<ExprId>(exprs_.size()));
  if (is_new) exprs_.push_back({kind, std::move(parts), nullptr, false});
  return at->second;
}

ExprId SchemaAlgebra::leaf(std::uint32_t leaf) { return intern(Kind::kLeaf, {leaf}); }

ExprId SchemaAlgebra::all_of(std::vector<ExprId> parts) {
  std::vector<ExprId> flat;
  if (std::find(parts.begin(), parts.end(), kFalse) != parts.end()) return kFalse;
  for (const ExprId part : parts) {
    if (part == kUnknown) return kUnknown;
    if (part == kTrue) continue;
    if (exprs_[part].kind == Kind::kAll) {
      flat.insert(flat.end(), exprs_[part].parts.begin(), exprs_[part].parts.end());
    } else {
      flat.push_back(part);
    }
  }
  std::sort(flat.begin(), flat.end());
  flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
  if (flat.empty()) return kTrue;
  if (flat.size() == 1) return flat[0];
  for (const ExprId part : flat) {
    if (exprs_[part].kind == Kind::kNot &&
        std::binary_search(flat.begin(), flat.end(), exprs_[part].parts[0])) {
      return kFalse;
    }
  }
  return intern(Kind::kAll, std::move(flat));
}

ExprId SchemaAlgebra::any_of(std::vector<ExprId> parts) {
  std::vector<ExprId> flat;
  if (std::find(parts.begin(), parts.end(), kTrue) != parts.end()) return kTrue;
  for (const ExprId part : parts) {
    if (part == kUnknown) return kUnknown;
    if (part == kFalse) continue;
    if (exprs_[part].kind == Kind::kAny) {
      flat.insert(flat.end(), exprs_[part].parts.begin(), exprs_[part].parts.end());
    } else {
      flat.push_back(part);
    }
  }
  std::sort(flat.begin(), flat.end());
  flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
  if (flat.empty()) return kFalse;
  return flat.size() == 1 ? flat[0] : intern(Kind::kAny, std::move(flat));
}

ExprId SchemaAlgebra::negation(ExprId expr) {
  switch (exprs_[expr].kind) {
    case Kind::kConstant:
      return expr == kTrue ? kFalse : expr == kFalse ? kTrue : kUnknown;
    case Kind::kNot:
      return exprs_[expr].parts[0];
    case Kind::kLeaf:
      return intern(Kind::kNot, {expr});
    default:
      break;
  }
  const bool is_all = exprs_[expr].kind == Kind::kAll;
  std::vector<ExprId> parts = exprs_[expr].parts;
  for (ExprId& part : parts) part = negation(part);
  return is_all ? any_of(std::move(parts)) : all_of(std::move(parts));
}

const Normal& SchemaAlgebra::normal(ExprId expr) {
  if (exprs_[expr].normal) return *exprs_[expr].normal;
  if (exprs_[expr].in_progress) throw InProgress{};
  budget_.spend(64);
  if (depth_ > Budget::kNestingMax) refuse("the schema's references are nested too deeply");
  // exprs_ grows meanwhile: it is indexed anew each time.
  struct Mark {
    SchemaAlgebra& algebra;
    ExprId expr;
    ~Mark() {
      algebra.exprs_[expr].in_progress = false;
      --algebra.depth_;
    }
  };
  exprs_[expr].in_progress = true;
  ++depth_;
  const Mark mark{*this, expr};
  try {
    Normal computed = compute(expr);
    exprs_[expr].normal = std::make_unique<Normal>(std::move(computed));
  } catch (const InProgress&) {
    if (depth_ > 1) throw;
    refuse("the schema refers to itself without an array or object in between");
  }
  return *exprs_[expr].normal;
}

Normal SchemaAlgebra::compute(ExprId expr) {
  const std::vector<ExprId> parts = exprs_[expr].parts;
  switch (exprs_[expr].kind) {
    case Kind::kConstant:
      return expr == kTrue ? any_value() : no_value();
    case Kind::kLeaf:
      return reader_.read(parts[0]);
    case Kind::kNot:
      return complement_of(normal(parts[0]));
    case Kind::kAll: {
      Normal all = normal(parts[0]);
      for (std::size_t i = 1; i < parts.size(); ++i) all = intersection(all, normal(parts[i]));
      return all;
    }
    default: {
      Normal any = normal(parts[0]);
      for (std::size_t i = 1; i < parts.size(); ++i)
        any = union_of(std::move(any), normal(parts[i]));
      return any;
    }
  }
}

Normal SchemaAlgebra::any_value() {
  return {Language::exact(bare_universe()), Language::exact(everything()), one(ArrayShape()),
          one(any_object())};
}

Normal SchemaAlgebra::no_value() {
  return {Language::exact(nothing()), Language::exact(nothing()), {}, {}};
}

Normal SchemaAlgebra::intersection(const Normal& a, const Normal& b) {
  return {both(a.bare, b.bare, budget_), both(a.string, b.string, budget_),
          intersection(a.arrays, b.arrays), intersection(a.objects, b.objects)};
}

Normal SchemaAlgebra::union_of(Normal a, const Normal& b) {
  a.bare = either(a.bare, b.bare, budget_);
  a.string = either(a.string, b.string, budget_);
  for (const auto& shape : b.arrays) {
    if (std::find(a.arrays.begin(), a.arrays.end(), shape) == a.arrays.end()) {
      a.arrays.push_back(shape);
    }
  }
  for (const auto& shape : b.objects) {
    if (std::find(a.objects.begin(), a.objects.end(), shape) == a.objects.end()) {
      a.objects.push_back(shape);
    }
  }
  check_alternatives(a.arrays.size() + a.objects.size());
  return a;
}

Normal SchemaAlgebra::complement_of(const Normal& a) {
  return {complement(a.bare, bare_universe(), budget_), complement(a.string, everything(), budget_),
          without(one(ArrayShape()), a.arrays), without(one(any_object()), a.objects)};
}

Normal SchemaAlgebra::exactly_one(const std::vector<const Normal*>& parts) {
  Normal result = no_value();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Normal only = *parts[i];
    for (std::size_t j = 0; j < parts.size(); ++j) {
      if (i == j) continue;
      only.bare = both(only.bare, complement(parts[j]->bare, bare_universe(), budget_), budget_);
      only.string = both(only.string, complement(parts[j]->string, everything(), budget_), budget_);
      only.arrays = without(std::move(only.arrays), parts[j]->arrays);
      only.objects = without(std::move(only.objects), parts[j]->objects);
    }
    result = union_of(std::move(result), only);
  }
  return result;
}

template <class Shape>
std::vector<std::shared_ptr<const Shape>> SchemaAlgebra::intersection(
    const std::vector<std::shared_ptr<const Shape>>& a,
    const std::vector<std::shared_ptr<const Shape>>& b) {
  std::vector<std::shared_ptr<const Shape>> out;
  for (const auto& x : a) {
    for (const auto& y : b) {
      if (x == y) {
        out.push_back(x);
        continue;
      }
      Shape shape = intersection(*x, *y);
      if (surely_empty(shape, kEmptinessDepth)) continue;
      out.push_back(std::make_shared<const Shape>(std::move(shape)));
      check_alternatives(out.size());
    }
  }
  return out;
}

// What of `shapes` is in none of `others`. An other that excludes a shape anyhow leaves it as
// it is, which keeps oneOf of alternatives with a discriminating property small.
template <class Shape>
std::vector<std::shared_ptr<const Shape>> SchemaAlgebra::without(
    std::vector<std::shared_ptr<const Shape>> shapes,
    const std::vector<std::shared_ptr<const Shape>>& others) {
  for (const auto& other : others) {
    std::vector<std::shared_ptr<const Shape>> left, complements;
    bool have_complements = false;
    for (const auto& shape : shapes) {
      if (shape != other && surely_empty(intersection(*shape, *other), kEmptinessDepth)) {
        left.push_back(shape);
        continue;
      }
      if (!have_complements) complements = complement_of(*other), have_complements = true;
      for (auto& rest : intersection<Shape>({shape}, complements)) left.push_back(std::move(rest));
      check_alternatives(left.size());
    }
    shapes = std::move(left);
  }
  return shapes;
}

ObjectShape SchemaAlgebra::intersection(const ObjectShape& a, const ObjectShape& b) {
  ObjectShape out;
  out.min = std::max(a.min, b.min);
  out.max = std::min(a.max, b.max);
  out.obligations = a.obligations;
  std::vector<std::uint32_t> moved;
  for (const auto& obligation : b.obligations) {
    std::size_t at = 0;
    while (at < a.obligations.size() && !(obligation.is_named && a.obligations[at].is_named &&
                                          a.obligations[at].name == obligation.name)) {
      ++at;
    }
    if (at == a.obligations.size())
      at = out.obligations.size(), out.obligations.push_back(obligation);
    moved.push_back(static_cast<std::uint32_t>(at));
  }
  budget_.spend((a.obligations.size() + 1) * (b.obligations.size() + 1));
  // Distinct classes only: a thousand names of which nothing is known are one class.
  std::map<ObjectShape::KeyClass, std::uint32_t> numbers;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> labels;
  const auto label = [&](std::uint32_t x, std::uint32_t y) {
    const auto known = labels.find({x, y});
    if (known != labels.end()) return known->second;
    const ObjectShape::KeyClass& p = a.classes[x - 1];
    const ObjectShape::KeyClass& q = b.classes[y - 1];
    ObjectShape::KeyClass both_of{all_of({p.value, q.value}), p.witnesses};
    for (const auto& [obligation, expr] : q.witnesses) {
      both_of.witnesses.emplace_back(moved[obligation], expr);
    }
    std::sort(both_of.witnesses.begin(), both_of.witnesses.end());
    both_of.witnesses.erase(std::unique(both_of.witnesses.begin(), both_of.witnesses.end()),
                            both_of.witnesses.end());
    const auto [at, is_new] =
        numbers.emplace(both_of, static_cast<std::uint32_t>(out.classes.size() + 1));
    if (is_new) out.classes.push_back(std::move(both_of));
    return labels[{x, y}] = at->second;
  };
  out.keys = product(*a.keys, *b.keys, label, budget_);
  return out;
}

ArrayShape SchemaAlgebra::intersection(const ArrayShape& a, const ArrayShape& b) {
  ArrayShape out;
  out.min = std::max(a.min, b.min);
  out.max = std::min(a.max, b.max);
  out.is_unique = a.is_unique || b.is_unique;
  const std::size_t length = std::max(a.items.prefix.size(), b.items.prefix.size());
  budget_.spend(16 + length * 4);
  for (std::size_t i = 0; i < length; ++i) {
    out.items.prefix.push_back(all_of({a.items.at(i), b.items.at(i)}));
  }
  out.items.rest = all_of({a.items.rest, b.items.rest});
  out.witnesses = a.witnesses;
  out.witnesses.insert(out.witnesses.end(), b.witnesses.begin(), b.witnesses.end());
  return out;
}

// If all that a shape asks of values it asks of one property's: that there is that, with another.
std::optional<ObjectShape> SchemaAlgebra::violating_one_name(const ObjectShape& shape) {
  std::uint32_t only = 0;
  for (std::uint32_t i = 0; i < shape.classes.size(); ++i) {
    if (shape.classes[i].value == kTrue) continue;
    if (only != 0) return std::nullopt;
    only = i + 1;
  }
  if (only == 0) return std::nullopt;
  budget_.spend(shape.keys->next.size() + shape.keys->size());
  const DfaPtr names = relabel(*shape.keys, [&](auto l) { return l == only ? 1U : 0U; });
  if (names->empty() || names->counts[0] != 1) return std::nullopt;
  std::u32string name;
  for (std::uint32_t state = 0; names->labels[state] == 0;) {
    std::size_t i = 0;
    while (names->next[state * names->alphabet.count + names->alphabet.classes[i]] == kDead) ++i;
    name.push_back(names->alphabet.starts[i]);
    state = names->step(state, name.back());
  }
  ObjectShape out;
  out.keys = words({{name, 1}}, 2, budget_);
  std::string utf8;
  for (const char32_t c : name) append_utf8(c, utf8);
  out.obligations.push_back({std::move(utf8), true});
  out.classes = {{negation(shape.classes[only - 1].value), {{0, kTrue}}}, {kTrue, {}}};
  return out;
}

std::vector<std::shared_ptr<const ObjectShape>> SchemaAlgebra::complement_of(
    const ObjectShape& shape) {
  std::vector<std::shared_ptr<const ObjectShape>> out;
  const auto add = [&](ObjectShape s) {
    out.push_back(std::make_shared<const ObjectShape>(std::move(s)));
  };
  for (std::uint32_t o = 0; o < shape.obligations.size(); ++o) {
    ObjectShape lacks;
    lacks.keys = shape.keys;
    for (const auto& key_class : shape.classes) {
      ExprId value = kTrue;
      for (const auto& [obligation, expr] : key_class.witnesses) {
        if (obligation == o) value = all_of({value, negation(expr)});
      }
      lacks.classes.push_back({value, {}});
    }
    add(std::move(lacks));
  }
  if (shape.min > 0) {
    ObjectShape few = any_object();
    few.max = shape.min - 1;
    add(std::move(few));
  }
  if (shape.max != kUnbounded) {
    ObjectShape many = any_object();
    many.min = shape.max + 1;
    add(std::move(many));
  }
  if (auto named = violating_one_name(shape)) {
    add(std::move(*named));
    return out;
  }
  ObjectShape violates;
  violates.keys = shape.keys;
  violates.obligations.resize(1);
  bool can_violate = false;
  for (const auto& key_class : shape.classes) {
    ObjectShape::KeyClass other;
    if (key_class.value != kTrue) {
      other.witnesses.emplace_back(0, negation(key_class.value));
      can_violate = true;
    }
    violates.classes.push_back(std::move(other));
  }
  if (can_violate) add(std::move(violates));
  return out;
}

std::vector<std::shared_ptr<const ArrayShape>> SchemaAlgebra::complement_of(
    const ArrayShape& shape) {
  std::vector<std::shared_ptr<const ArrayShape>> out;
  const auto add = [&](ArrayShape s) {
    out.push_back(std::make_shared<const ArrayShape>(std::move(s)));
  };
  const auto negated = [this](ArrayShape::Items items) {
    for (ExprId& item : items.prefix) item = negation(item);
    items.rest = negation(items.rest);
    return items;
  };
  if (shape.is_unique) refuse("not (or oneOf, if) over uniqueItems is not supported");
  if (shape.min > 0) {
    ArrayShape few;
    few.max = shape.min - 1;
    add(std::move(few));
  }
  if (shape.max != kUnbounded) {
    ArrayShape many;
    many.min = shape.max + 1;
    add(std::move(many));
  }
  for (const auto& witness : shape.witnesses) {
    ArrayShape none;
    none.items = negated(witness);
    add(std::move(none));
  }
  const bool free =
      shape.items.rest == kTrue && std::all_of(shape.items.prefix.begin(), shape.items.prefix.end(),
                                               [](ExprId e) { return e == kTrue; });
  if (!free) {
    ArrayShape violates;
    violates.witnesses.push_back(negated(shape.items));
    add(std::move(violates));
  }
  return out;
}

bool SchemaAlgebra::surely_empty(ExprId expr, int depth) {
  if (expr == kFalse) return true;
  if (expr == kTrue || expr == kUnknown || depth == 0) return false;
  try {
    const Normal& n = normal(expr);
    // Also what is not worth telling must be excluded: see Language.
    if (!n.bare.maybe->empty() || !n.string.maybe->empty()) return false;
    for (const auto& shape : n.arrays) {
      if (!surely_empty(*shape, depth - 1)) return false;
    }
    for (const auto& shape : n.objects) {
      if (!surely_empty(*shape, depth - 1)) return false;
    }
    return true;
  } catch (const InProgress&) {
    return false;
  }
}

bool SchemaAlgebra::surely_empty(const ObjectShape& shape, int depth) {
  if (shape.min > shape.max) return true;
  budget_.spend(shape.obligations.size() * shape.classes.size());
  for (std::uint32_t o = 0; o < shape.obligations.size(); ++o) {
    bool possible = false;
    for (const auto& key_class : shape.classes) {
      for (const auto& [obligation, expr] : key_class.witnesses) {
        possible =
            possible || (obligation == o && !surely_empty(all_of({key_class.value, expr}), depth));
      }
    }
    if (!possible) return true;
  }
  return false;
}

bool SchemaAlgebra::surely_empty(const ArrayShape& shape, int depth) {
  if (shape.min > shape.max) return true;
  for (std::size_t i = 0; i < std::min<std::uint64_t>(shape.min, shape.items.prefix.size() + 1);
       ++i) {
    if (surely_empty(shape.items.at(i), depth)) return true;
  }
  return false;
}

}  // namespace ridgeline::grammar
