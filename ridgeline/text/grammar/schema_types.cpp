#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "ridgeline/text/grammar/schema_reader.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline::grammar {
namespace {

using nlohmann::json;

// Beyond 2^53 a double that was read is not the number that was written.
bool is_exact(const json& number) {
  return !number.is_number_float() || std::abs(number.get<double>()) < 9007199254740992.0;
}

Decimal decimal_of(const json& number, const SchemaPlace& place, const char* keyword) {
  if (!is_exact(number)) {
    place.refuse(keyword, "has a number beyond 2^53 that is not an integer of 64 bits");
  }
  return parse_decimal(number.dump());
}

// A bound that is no longer known exactly is known to lie between its neighbours.
Language bounded(const json& bound, Side side, Budget& budget) {
  if (is_exact(bound)) return numbers_at(parse_decimal(bound.dump()), side, budget);
  const double value = bound.get<double>();
  const auto at = [&](double towards) {
    return numbers_at(parse_decimal(json(std::nextafter(value, towards)).dump()), side, budget);
  };
  constexpr double kFar = std::numeric_limits<double>::infinity();
  const bool is_upper = side == Side::kBelow || side == Side::kAtMost;
  return {at(is_upper ? -kFar : kFar).yes, at(is_upper ? kFar : -kFar).maybe};
}

Language numbers(const SchemaPlace& place, Language language, Budget& budget) {
  const auto bound = [&](const char* keyword, Side side) {
    const json* value = place.find(keyword);
    if (value == nullptr || value->is_boolean()) return;  // draft 4's booleans: see below
    if (!value->is_number()) place.refuse(keyword, "is not a number");
    language = both(language, bounded(*value, side, budget), budget);
  };
  const auto draft4_exclusive = [&](const char* keyword) {
    const json* value = place.find(keyword);
    return value != nullptr && value->is_boolean() && value->get<bool>();
  };
  bound("minimum", draft4_exclusive("exclusiveMinimum") ? Side::kAbove : Side::kAtLeast);
  bound("maximum", draft4_exclusive("exclusiveMaximum") ? Side::kBelow : Side::kAtMost);
  bound("exclusiveMinimum", Side::kAbove);
  bound("exclusiveMaximum", Side::kBelow);
  if (const json* value = place.find("multipleOf")) {
    if (!value->is_number() || value->get<double>() <= 0) {
      place.refuse("multipleOf", "is not a number above 0");
    }
    const Decimal step = decimal_of(*value, place, "multipleOf");
    if (step != parse_decimal("1") || language.yes != integers().yes) {
      language = both(language, multiples_of(step, budget), budget);
    }
  }
  return language;
}

Language strings(const SchemaPlace& place, SchemaReader& reader) {
  Budget& budget = reader.budget();
  Language language = Language::exact(everything());
  if (const json* value = place.find("pattern")) {
    if (!value->is_string()) place.refuse("pattern", "is not a string");
    const std::string what =
        fmt::format("the schema's pattern at {}", ridgeline::quoted(place.pointer));
    language = Language::exact(reader.pattern(value->get<std::string>(), what));
  }
  if (const json* value = place.find("format"); value != nullptr && value->is_string()) {
    bool is_supported = true;
    const Language format = format_language(value->get<std::string>(), is_supported, budget);
    if (!is_supported) {
      place.refuse("format", fmt::format("is {}, which is not supported",
                                         ridgeline::quoted(value->get<std::string>())));
    }
    if (format.yes != nullptr) language = both(language, format, budget);
  }
  const std::uint64_t min = place.count("minLength", 0);
  const std::uint64_t max = place.count("maxLength", kUnbounded);
  if (min > 0 || max != kUnbounded) {
    language = both(language, Language::exact(reader.length(min, max)), budget);
  }
  return language;
}

ArrayShape arrays(SchemaReader& reader, const SchemaPlace& place) {
  ArrayShape shape;
  const json* items = place.find("items");
  const char* prefix = place.has("prefixItems")                ? "prefixItems"
                       : items != nullptr && items->is_array() ? "items"
                                                               : nullptr;
  if (prefix != nullptr) {
    const std::size_t size = place.find_array(prefix)->size();
    for (std::size_t i = 0; i < size; ++i) {
      shape.items.prefix.push_back(reader.expr(place.below(prefix).below(i)));
    }
    const char* rest = *prefix == 'i' ? "additionalItems" : "items";
    if (place.has(rest)) shape.items.rest = reader.expr(place.below(rest));
  } else if (items != nullptr) {
    shape.items.rest = reader.expr(place.below("items"));
  }
  shape.min = place.count("minItems", 0);
  shape.max = place.count("maxItems", kUnbounded);
  if (const json* unique = place.find("uniqueItems")) {
    if (!unique->is_boolean()) place.refuse("uniqueItems", "is not a boolean");
    shape.is_unique = unique->get<bool>() && shape.max > 1;
  }
  if (place.has("contains")) {
    if (place.has("maxContains")) place.refuse("maxContains", "is not supported");
    const std::uint64_t count = place.count("minContains", 1);
    if (count > 1) place.refuse("minContains", "is not supported above 1");
    if (count == 1) {
      shape.witnesses.push_back({{}, reader.expr(place.below("contains"))});
    }
  }
  return shape;
}

std::vector<std::string> required_names(const SchemaPlace& place) {
  std::vector<std::string> names;
  if (const json* required = place.find_array("required")) {
    for (const json& name : *required) {
      if (!name.is_string()) place.refuse("required", "lists what is no property name");
      names.push_back(name.get<std::string>());
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// Which keys are told apart before patterns are looked at, and what is known of each class.
struct KeyKinds {
  DfaPtr keys;
  std::vector<ObjectShape::KeyClass> classes;
  std::vector<bool> is_evaluated;  // by properties or patternProperties
};

// Splits every class by whether `pattern` matches; where it does, `value` counts too.
void apply_pattern(KeyKinds& kinds, const Dfa& pattern, ExprId value, SchemaReader& reader) {
  std::map<std::pair<std::uint32_t, bool>, std::uint32_t> labels;
  KeyKinds out;
  const auto label = [&](std::uint32_t l, std::uint32_t matches) {
    const auto [at, is_new] = labels.emplace(std::make_pair(l, matches != 0),
                                             static_cast<std::uint32_t>(labels.size() + 1));
    if (is_new) {
      ObjectShape::KeyClass key_class = kinds.classes[l - 1];
      if (matches != 0) key_class.value = reader.algebra().all_of({key_class.value, value});
      out.classes.push_back(std::move(key_class));
      out.is_evaluated.push_back(kinds.is_evaluated[l - 1] || matches != 0);
    }
    return at->second;
  };
  out.keys = product(*kinds.keys, pattern, label, reader.budget());
  kinds = std::move(out);
}

ObjectShape objects(SchemaReader& reader, const SchemaPlace& place) {
  Budget& budget = reader.budget();
  ObjectShape shape;
  shape.min = place.count("minProperties", 0);
  shape.max = place.count("maxProperties", kUnbounded);
  KeyKinds kinds;
  std::vector<Word> names;
  const auto add_name = [&](const std::string& name, ExprId value, bool is_evaluated) {
    kinds.classes.push_back({value, {}});
    kinds.is_evaluated.push_back(is_evaluated);
    names.push_back({decode_utf8(name), static_cast<std::uint32_t>(kinds.classes.size())});
  };
  std::map<std::string, std::size_t> known;
  if (const json* properties = place.find_object("properties")) {
    for (const auto& [name, schema] : properties->items()) {
      known.emplace(name, kinds.classes.size());
      add_name(name, reader.expr(place.below("properties").below(name)), true);
    }
  }
  for (const std::string& name : required_names(place)) {
    const auto [at, is_new] = known.emplace(name, kinds.classes.size());
    if (is_new) add_name(name, kTrue, false);
    kinds.classes[at->second].witnesses.emplace_back(
        static_cast<std::uint32_t>(shape.obligations.size()), kTrue);
    shape.obligations.push_back({name, true});
  }
  kinds.classes.push_back({kTrue, {}});
  kinds.is_evaluated.push_back(false);
  kinds.keys = words(names, static_cast<std::uint32_t>(kinds.classes.size()), budget);
  if (const json* patterns = place.find_object("patternProperties")) {
    for (const auto& [pattern, schema] : patterns->items()) {
      const std::string what =
          fmt::format("the schema's patternProperties at {}", ridgeline::quoted(place.pointer));
      apply_pattern(kinds, *reader.pattern(pattern, what),
                    reader.expr(place.below("patternProperties").below(pattern)), reader);
    }
  }
  if (place.has("additionalProperties")) {
    const ExprId additional = reader.expr(place.below("additionalProperties"));
    for (std::size_t i = 0; i < kinds.classes.size(); ++i) {
      if (!kinds.is_evaluated[i]) {
        kinds.classes[i].value = reader.algebra().all_of({kinds.classes[i].value, additional});
      }
    }
  }
  if (place.has("propertyNames")) {
    const ExprId names_expr = reader.expr(place.below("propertyNames"));
    const Language allowed = reader.algebra().normal(names_expr).string;
    if (allowed.yes != allowed.maybe) {
      apply_pattern(kinds, *without(allowed.maybe, allowed.yes, budget), kUnknown, reader);
    }
    apply_pattern(kinds, *without(everything(), allowed.maybe, budget), kFalse, reader);
  }
  shape.keys = std::move(kinds.keys);
  shape.classes = std::move(kinds.classes);
  return shape;
}

std::set<std::string> types_of(const SchemaPlace& place) {
  static const std::set<std::string> kTypes = {"null",   "boolean", "integer", "number",
                                               "string", "array",   "object"};
  const json* type = place.find("type");
  if (type == nullptr) return kTypes;
  std::set<std::string> types;
  const auto add = [&](const json& name) {
    if (!name.is_string() || !kTypes.contains(name.get<std::string>())) {
      place.refuse("type", fmt::format("has {}, which is no type", ridgeline::quoted(name.dump())));
    }
    types.insert(name.get<std::string>());
  };
  if (type->is_array()) {
    for (const json& name : *type) add(name);
  } else {
    add(*type);
  }
  return types;
}

bool has_any(const SchemaPlace& place, std::initializer_list<const char*> keywords) {
  return std::any_of(keywords.begin(), keywords.end(),
                     [&](const char* keyword) { return place.has(keyword); });
}

Language bare_of(const SchemaPlace& place, const std::set<std::string>& types, Budget& budget) {
  const bool has_numbers = types.contains("number") || types.contains("integer");
  const bool has_bounds =
      has_any(place, {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"});
  const bool all = types.contains("number") && types.contains("null") && types.contains("boolean");
  if (all && !has_bounds) return Language::exact(bare_universe());
  Language bare = Language::exact(nothing());
  if (has_numbers) {
    bare = types.contains("number") ? any_number() : integers();
    if (has_bounds) bare = numbers(place, bare, budget);
  }
  std::vector<Word> keywords;
  if (types.contains("null")) keywords.push_back({U"null", 1});
  if (types.contains("boolean"))
    keywords.push_back({U"true", 1}), keywords.push_back({U"false", 1});
  if (keywords.empty()) return bare;
  return either(bare, Language::exact(words(keywords, 0, budget)), budget);
}

// Values are compared as numbers, whatever their text: 1.0 is 1.
Language number_constant(const SchemaPlace& place, bool exactly, Budget& budget) {
  const Decimal value = decimal_of(*place.value, place, "const or enum");
  const DfaPtr text = words({{decode_utf8(value.text()), 1}}, 0, budget);
  return {text, exactly ? numbers_at(value, Side::kEqual, budget).maybe : any_number().maybe};
}

// Above this many numbers an enum's other spellings are not told from all numbers.
constexpr std::size_t kExactNumbersMax = 64;

Normal enumeration(SchemaReader& reader, const SchemaPlace& place) {
  Budget& budget = reader.budget();
  const json& values = *place.value;
  Normal normal = SchemaAlgebra::no_value();
  std::vector<Word> strings, keywords;
  const auto num_numbers = static_cast<std::size_t>(
      std::count_if(values.begin(), values.end(), [](const json& v) { return v.is_number(); }));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const SchemaPlace at = place.below(i);
    if (values[i].is_string()) {
      strings.push_back({decode_utf8(values[i].get<std::string>()), 1});
    } else if (values[i].is_number()) {
      normal.bare =
          either(normal.bare, number_constant(at, num_numbers <= kExactNumbersMax, budget), budget);
    } else if (values[i].is_structured()) {
      normal = reader.algebra().union_of(std::move(normal), read_constant(reader, at));
    } else {
      keywords.push_back({decode_utf8(values[i].dump()), 1});
    }
  }
  normal.bare = either(normal.bare, Language::exact(words(keywords, 0, budget)), budget);
  normal.string = either(normal.string, Language::exact(words(strings, 0, budget)), budget);
  return normal;
}

}  // namespace

Normal read_constant(SchemaReader& reader, const SchemaPlace& place) {
  Budget& budget = reader.budget();
  Normal normal = SchemaAlgebra::no_value();
  const json& value = *place.value;
  if (value.is_string()) {
    normal.string = Language::exact(words({{decode_utf8(value.get<std::string>()), 1}}, 0, budget));
  } else if (value.is_number()) {
    normal.bare = number_constant(place, true, budget);
  } else if (value.is_array()) {
    ArrayShape shape;
    for (std::size_t i = 0; i < value.size(); ++i) {
      shape.items.prefix.push_back(reader.constant(place.below(i)));
    }
    shape.items.rest = kFalse;
    shape.min = shape.max = value.size();
    normal.arrays.push_back(std::make_shared<const ArrayShape>(std::move(shape)));
  } else if (value.is_object()) {
    ObjectShape shape;
    std::vector<Word> names;
    for (const auto& [name, member] : value.items()) {
      const auto number = static_cast<std::uint32_t>(names.size());
      names.push_back({decode_utf8(name), number + 1});
      shape.obligations.push_back({name, true});
      shape.classes.push_back({reader.constant(place.below(name)), {{number, kTrue}}});
    }
    shape.classes.push_back({kFalse, {}});
    shape.keys = words(names, static_cast<std::uint32_t>(shape.classes.size()), budget);
    shape.max = value.size();
    normal.objects.push_back(std::make_shared<const ObjectShape>(std::move(shape)));
  } else {
    normal.bare = Language::exact(words({{decode_utf8(value.dump()), 1}}, 0, budget));
  }
  return normal;
}

Normal read_types(SchemaReader& reader, const SchemaPlace& place) {
  const std::set<std::string> types = types_of(place);
  Normal normal = SchemaAlgebra::any_value();
  normal.bare = bare_of(place, types, reader.budget());
  normal.string = types.contains("string") ? strings(place, reader) : Language::exact(nothing());
  if (!types.contains("array")) {
    normal.arrays.clear();
  } else if (has_any(place,
                     {"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"})) {
    normal.arrays = {std::make_shared<const ArrayShape>(arrays(reader, place))};
  }
  if (!types.contains("object")) {
    normal.objects.clear();
  } else if (has_any(place, {"properties", "required", "patternProperties", "propertyNames",
                             "additionalProperties", "minProperties", "maxProperties"})) {
    normal.objects = {std::make_shared<const ObjectShape>(objects(reader, place))};
  }
  if (place.has("const")) {
    normal = reader.algebra().intersection(normal, read_constant(reader, place.below("const")));
  }
  if (place.find_array("enum") != nullptr) {
    normal = reader.algebra().intersection(normal, enumeration(reader, place.below("enum")));
  }
  return normal;
}

void check_keywords(const SchemaPlace& place) {
  // What the standard defines and this does not do. Keywords that no draft defines mean
  // nothing, as it says itself.
  static constexpr const char* kRefused[] = {
      "$dynamicRef", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties",
      "extends",     "disallow",      "divisibleBy"};
  for (const char* keyword : kRefused) {
    if (place.has(keyword)) place.refuse(keyword, "is not supported");
  }
}

}  // namespace ridgeline::grammar
