#include "ridgeline/text/grammar/schema_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "ridgeline/text/grammar/regex.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline::grammar {
namespace {

using nlohmann::json;

std::string escaped(const std::string& key) {  // RFC 6901
  std::string out;
  for (const char c : key) {
    if (c == '~' || c == '/') {
      out.append(c == '~' ? "~0" : "~1");
    } else {
      out.push_back(c);
    }
  }
  return out;
}

const json* string_member(const json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto at = object.find(name);
  return at != object.end() && at->is_string() ? &*at : nullptr;
}

// The id by which a schema is a resource of its own; a fragment only names a place.
const std::string* resource_id(const json& schema) {
  for (const char* name : {"$id", "id"}) {
    const json* id = string_member(schema, name);
    if (id == nullptr) continue;
    const std::string& text = id->get_ref<const std::string&>();
    // "id" is draft 4's, and a common property elsewhere: only what is a URI counts.
    if (name[0] == 'i' && text.find(':') == text.npos) continue;
    if (!text.starts_with('#')) return &text;
  }
  return nullptr;
}

}  // namespace

SchemaPlace SchemaPlace::below(const std::string& key) const {
  const json& child = value->at(key);
  return {&child, resource, pointer + "/" + escaped(key), is_constant};
}

SchemaPlace SchemaPlace::below(std::size_t index) const {
  return {&value->at(index), resource, fmt::format("{}/{}", pointer, index), is_constant};
}

void SchemaPlace::refuse(const std::string& keyword, const std::string& why) const {
  grammar::refuse(fmt::format("the schema's {} at {} {}", keyword,
                              ridgeline::quoted(pointer.empty() ? "/" : pointer), why));
}

const json* SchemaPlace::find(const char* keyword) const {
  const auto at = value->find(keyword);
  return at == value->end() ? nullptr : &*at;
}

const json* SchemaPlace::find_object(const char* keyword) const {
  const json* found = find(keyword);
  if (found != nullptr && !found->is_object()) refuse(keyword, "is not an object");
  return found;
}

const json* SchemaPlace::find_array(const char* keyword) const {
  const json* found = find(keyword);
  if (found != nullptr && !found->is_array()) refuse(keyword, "is not an array");
  return found;
}

std::uint64_t SchemaPlace::count(const char* keyword, std::uint64_t otherwise) const {
  const json* found = find(keyword);
  if (found == nullptr) return otherwise;
  if (found->is_number_unsigned()) return found->get<std::uint64_t>();
  if (found->is_number_float()) {
    const double d = found->get<double>();
    if (d >= 0 && d < 9e15 && d == static_cast<double>(static_cast<std::uint64_t>(d))) {
      return static_cast<std::uint64_t>(d);
    }
  }
  refuse(keyword, "is not a natural number");
}

SchemaReader::SchemaReader(const json& document, Budget& budget)
    : document_(document), budget_(budget), algebra_(*this, budget) {
  if (const json* dialect = string_member(document, "$schema")) {
    const std::string& text = dialect->get_ref<const std::string&>();
    for (const char* old : {"draft-03", "draft-04", "draft-05", "draft-06", "draft-07"}) {
      refs_stand_alone_ = refs_stand_alone_ || text.find(old) != text.npos;
    }
  }
  collect_anchors(document, document, "", 0);
}

// Goes through everything, also what is no schema: an id in a constant could hide one of
// a schema, so ids that occur twice are left out.
void SchemaReader::collect_anchors(const json& value, const json& resource,
                                   const std::string& pointer, int depth) {
  budget_.spend(16);
  if (depth > Budget::kNestingMax) refuse("the schema is nested too deeply");
  const json* inner = &resource;
  if (value.is_object()) {
    if (const std::string* id = resource_id(value)) {
      inner = &value;
      const std::string base = id->substr(0, id->find('#'));
      const auto [at, is_new] =
          resources_.emplace(base, SchemaPlace{&value, &value, pointer, false});
      if (!is_new) at->second.value = nullptr;
    }
    for (const char* name : {"$anchor", "$id", "id"}) {
      const json* anchor = string_member(value, name);
      if (anchor == nullptr) continue;
      std::string text = anchor->get<std::string>();
      if (name[1] != 'a') {
        if (!text.starts_with('#') || text.size() == 1) continue;
        text.erase(0, 1);
      }
      const auto [at, is_new] =
          anchors_.emplace(std::make_pair(inner, text), SchemaPlace{&value, inner, pointer, false});
      if (!is_new) at->second.value = nullptr;
    }
  }
  if (value.is_object()) {
    for (const auto& [key, child] : value.items()) {
      if (child.is_structured())
        collect_anchors(child, *inner, pointer + "/" + escaped(key), depth + 1);
    }
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (value[i].is_structured()) {
        collect_anchors(value[i], *inner, fmt::format("{}/{}", pointer, i), depth + 1);
      }
    }
  }
}

DfaPtr SchemaReader::pattern(const std::string& regex, const std::string& what) {
  DfaPtr& dfa = patterns_[regex];
  if (!dfa) dfa = regex_search(regex, what, budget_);
  return dfa;
}

DfaPtr SchemaReader::length(std::uint64_t min, std::uint64_t max) {
  DfaPtr& dfa = lengths_[{min, max}];
  if (!dfa) dfa = length_between(min, max, budget_);
  return dfa;
}

ExprId SchemaReader::root() { return expr({&document_, &document_, "", false}); }

ExprId SchemaReader::expr(const SchemaPlace& place) {
  if (place.value->is_boolean()) return place.value->get<bool>() ? kTrue : kFalse;
  if (!place.value->is_object()) {
    refuse(fmt::format("the schema at {} is neither an object nor a boolean",
                       ridgeline::quoted(place.pointer.empty() ? "/" : place.pointer)));
  }
  const auto [at, is_new] = numbers_.emplace(std::make_pair(place.value, false),
                                             static_cast<std::uint32_t>(leaves_.size()));
  if (is_new) {
    SchemaPlace inside = place;
    if (resource_id(*place.value) != nullptr) inside.resource = place.value;
    leaves_.push_back({inside, nullptr});
  }
  return algebra_.leaf(at->second);
}

ExprId SchemaReader::constant(const SchemaPlace& place) {
  const auto [at, is_new] = numbers_.emplace(std::make_pair(place.value, true),
                                             static_cast<std::uint32_t>(leaves_.size()));
  if (is_new) {
    leaves_.push_back({place, nullptr});
    leaves_.back().place.is_constant = true;
  }
  return algebra_.leaf(at->second);
}

ExprId SchemaReader::made(Normal normal) {
  leaves_.emplace_back();
  leaves_.back().normal = std::make_shared<const Normal>(std::move(normal));
  return algebra_.leaf(static_cast<std::uint32_t>(leaves_.size() - 1));
}

Normal SchemaReader::read(std::uint32_t number) {
  const Leaf leaf = leaves_[number];
  if (leaf.normal != nullptr) return *leaf.normal;
  return leaf.place.is_constant ? read_constant(*this, leaf.place) : read_schema(leaf.place);
}

Normal SchemaReader::read_schema(const SchemaPlace& place) {
  budget_.spend(64);
  if (refs_stand_alone_ && place.has("$ref")) {
    const ExprId target = reference(place);
    return algebra_.normal(target);
  }
  check_keywords(place);
  Normal normal = read_types(*this, place);
  const ExprId others = applicators(place);
  if (others != kTrue) normal = algebra_.intersection(normal, algebra_.normal(others));
  if (place.has("oneOf")) normal = algebra_.intersection(normal, one_of(place));
  return normal;
}

ExprId SchemaReader::applicators(const SchemaPlace& place) {
  std::vector<ExprId> all;
  if (place.has("$ref")) all.push_back(reference(place));
  if (const json* parts = place.find_array("allOf")) {
    for (std::size_t i = 0; i < parts->size(); ++i) {
      all.push_back(expr(place.below("allOf").below(i)));
    }
  }
  if (const json* parts = place.find_array("anyOf")) {
    std::vector<ExprId> any;
    for (std::size_t i = 0; i < parts->size(); ++i) {
      any.push_back(expr(place.below("anyOf").below(i)));
    }
    all.push_back(algebra_.any_of(std::move(any)));
  }
  if (place.has("not")) all.push_back(algebra_.negation(expr(place.below("not"))));
  if (place.has("if") && (place.has("then") || place.has("else"))) {
    const ExprId condition = expr(place.below("if"));
    const ExprId then = place.has("then") ? expr(place.below("then")) : kTrue;
    const ExprId otherwise = place.has("else") ? expr(place.below("else")) : kTrue;
    all.push_back(algebra_.any_of({algebra_.all_of({condition, then}),
                                   algebra_.all_of({algebra_.negation(condition), otherwise})}));
  }
  for (const char* keyword : {"dependencies", "dependentRequired", "dependentSchemas"}) {
    if (place.has(keyword)) all.push_back(dependencies(place, keyword));
  }
  return algebra_.all_of(std::move(all));
}

Normal SchemaReader::one_of(const SchemaPlace& place) {
  const std::size_t size = place.find_array("oneOf")->size();
  std::vector<const Normal*> parts;
  for (std::size_t i = 0; i < size; ++i) {
    parts.push_back(&algebra_.normal(expr(place.below("oneOf").below(i))));
  }
  return algebra_.exactly_one(parts);
}

// Any value, if an object then one whose property `name` is `value`, and is there if required.
ExprId SchemaReader::with_property(const std::string& name, ExprId value, bool is_required) {
  Normal normal = SchemaAlgebra::any_value();
  ObjectShape shape;
  shape.keys = words({{decode_utf8(name), 1}}, 2, budget_);
  shape.classes = {{value, {}}, {kTrue, {}}};
  if (is_required) {
    shape.obligations.push_back({name, true});
    shape.classes[0].witnesses.emplace_back(0, kTrue);
  }
  normal.objects = {std::make_shared<const ObjectShape>(std::move(shape))};
  return made(std::move(normal));
}

ExprId SchemaReader::dependencies(const SchemaPlace& place, const char* keyword) {
  const json& members = *place.find_object(keyword);
  std::vector<ExprId> all;
  for (const auto& [name, wanted] : members.items()) {
    ExprId then = kTrue;
    if (wanted.is_array()) {
      std::vector<ExprId> required;
      for (const json& other : wanted) {
        if (!other.is_string()) place.refuse(keyword, "lists what is no property name");
        required.push_back(with_property(other.get<std::string>(), kTrue, true));
      }
      then = algebra_.all_of(std::move(required));
    } else {
      then = expr(place.below(keyword).below(name));
    }
    all.push_back(algebra_.any_of({with_property(name, kFalse, false), then}));
  }
  return algebra_.all_of(std::move(all));
}

ExprId SchemaReader::reference(const SchemaPlace& place) {
  const json& value = *place.find("$ref");
  if (!value.is_string()) place.refuse("$ref", "is not a string");
  const std::string ref = value.get<std::string>();
  const std::size_t hash = std::min(ref.find('#'), ref.size());
  const std::string document = ref.substr(0, hash);
  SchemaPlace from{place.resource, place.resource, "", false};
  if (!document.empty()) {
    const auto at = resources_.find(document);
    const bool is_absolute = document.find(':') != document.npos;
    if (!is_absolute || at == resources_.end() || at->second.value == nullptr) {
      place.refuse("$ref",
                   fmt::format("is {}: other documents are not fetched", ridgeline::quoted(ref)));
    }
    from = at->second;
  }
  const std::string fragment = hash < ref.size() ? ref.substr(hash + 1) : "";
  if (fragment.empty() || fragment.starts_with('/')) return expr(follow(from, fragment, place));
  const auto anchor = anchors_.find({from.value, fragment});
  if (anchor == anchors_.end() || anchor->second.value == nullptr) {
    place.refuse("$ref", fmt::format("is {}, which is not there", ridgeline::quoted(ref)));
  }
  return expr(anchor->second);
}

SchemaPlace SchemaReader::follow(SchemaPlace from, std::string_view pointer,
                                 const SchemaPlace& place) const {
  const std::string_view whole = pointer;
  const auto missing = [&]() {
    place.refuse("$ref", fmt::format("is {}, which is not there",
                                     ridgeline::quoted(fmt::format("#{}", whole))));
  };
  while (!pointer.empty()) {
    pointer.remove_prefix(1);
    const std::string_view raw = pointer.substr(0, pointer.find('/'));
    pointer.remove_prefix(raw.size());
    std::string key;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      const auto digit = [&](std::size_t at) {
        return at < raw.size() && std::isxdigit(static_cast<unsigned char>(raw[at])) != 0;
      };
      if (raw[i] == '%' && digit(i + 1) && digit(i + 2)) {
        key += static_cast<char>(std::stoi(std::string(raw.substr(i + 1, 2)), nullptr, 16));
        i += 2;
      } else {
        key += raw[i];
      }
    }
    for (std::size_t at = 0; (at = key.find('~', at)) != key.npos; ++at) {
      const char second = at + 1 < key.size() ? key[at + 1] : ' ';
      if (second == '0' || second == '1') key.replace(at, 2, 1, second == '0' ? '~' : '/');
    }
    const json& here = *from.value;
    if (here.is_object()) {
      if (resource_id(here) != nullptr) from.resource = from.value;
      if (!here.contains(key)) missing();
      from = from.below(key);
    } else if (here.is_array()) {
      const bool is_index =
          !key.empty() && key.size() < 9 && key.find_first_not_of("0123456789") == key.npos;
      if (!is_index || std::stoul(key) >= here.size()) missing();
      from = from.below(std::stoul(key));
    } else {
      missing();
    }
  }
  return from;
}

}  // namespace ridgeline::grammar
