#include "ridgeline/server/openai/constraint.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ridgeline::openai {
namespace {

using Kind = Constraint::Kind;

/// Takes the constraints that a request names, and refuses the second.
class Collector {
 public:
  explicit Collector(Fields& fields) : fields_(fields) {}

  void set(Kind kind, std::string text, const std::string& param) {
    if (found_)
      fields_.fail(param, fmt::format("and {} are both given; expected one of them", found_.param));
    found_ = {kind, std::move(text), {}, param};
  }

  void text(Fields& from, const char* name, Kind kind, const std::string& prefix) {
    if (auto value = from.text(name)) set(kind, *std::move(value), prefix + name);
  }

  /// An object, true (anything), or a text that holds it.
  void schema(Fields& from, const char* name, const std::string& prefix) {
    const Json* value = from.find(name);
    if (value == nullptr) return;
    if (value->is_string())
      set(Kind::kJsonSchema, value->get<std::string>(), prefix + name);
    else if (value->is_object() || value->is_boolean())
      set(Kind::kJsonSchema, dump(*value), prefix + name);
    else
      from.fail_type(name, *value, "a JSON schema, as an object or as a text");
  }

  void choice(Fields& from, const char* name, const std::string& prefix) {
    const Json* value = from.array(name);
    if (value == nullptr) return;
    const auto choices = from.texts(name);
    if (!choices) return;
    if (choices->empty()) return from.fail(name, "is empty; expected at least one text");
    set(Kind::kChoice, dump(*value), prefix + name);
    found_.choices = *choices;
  }

  Constraint take() { return std::move(found_); }

 private:
  Fields& fields_;
  Constraint found_;
};

void read_response_format(Fields& body, Collector& found) {
  const Json* format = body.object("response_format");
  if (format == nullptr) return;
  Fields fields = body.within(*format, "response_format");
  const auto type = fields.text("type");
  if (!type) return fields.fail("type", "is missing; expected text, json_object or json_schema");
  if (*type == "text") return;
  if (*type == "json_object") {
    if (fields.find("schema") != nullptr) return found.schema(fields, "schema", "response_format.");
    return found.set(Kind::kJsonObject, "", "response_format");
  }
  if (*type != "json_schema")
    return fields.fail("type", "is " + *type + "; expected text, json_object or json_schema");
  const Json* holder = fields.object("json_schema");
  if (holder == nullptr) return fields.fail("json_schema", "is missing; expected an object");
  Fields inner = fields.within(*holder, "json_schema");
  // Enforced either way.
  inner.boolean("strict");
  inner.text("name");
  if (inner.find("schema") == nullptr) return found.set(Kind::kJsonObject, "", "response_format");
  found.schema(inner, "schema", "response_format.json_schema.");
}

void read_structured_outputs(Fields& body, Collector& found) {
  const Json* object = body.object("structured_outputs");
  if (object == nullptr) return;
  Fields fields = body.within(*object, "structured_outputs");
  constexpr RefusedField kRefused[] = {
      {"structural_tag", "", "json, regex, choice and grammar are"},
      {"disable_any_whitespace", "false", "white space is allowed where JSON allows it"},
      {"disable_additional_properties", "false", "say additionalProperties: false in the schema"},
      {"whitespace_pattern", "", "white space is allowed where JSON allows it"},
  };
  fields.refuse(kRefused);
  const std::string prefix = "structured_outputs.";
  found.schema(fields, "json", prefix);
  found.text(fields, "regex", Kind::kRegex, prefix);
  found.choice(fields, "choice", prefix);
  found.text(fields, "grammar", Kind::kGbnf, prefix);
  if (fields.boolean("json_object").value_or(false))
    found.set(Kind::kJsonObject, "", prefix + "json_object");
}

}  // namespace

Constraint read_constraint(Fields& fields) {
  Collector found(fields);
  read_response_format(fields, found);
  read_structured_outputs(fields, found);
  constexpr RefusedField kRefused[] = {
      {"structural_tag", "", "structured_outputs with json, regex, choice and grammar are"},
      {"guided_whitespace_pattern", "", "white space is allowed where JSON allows it"},
  };
  fields.refuse(kRefused);
  found.schema(fields, "guided_json", "");
  found.text(fields, "guided_regex", Kind::kRegex, "");
  found.choice(fields, "guided_choice", "");
  found.text(fields, "guided_grammar", Kind::kGbnf, "");
  if (fields.boolean("guided_json_object").value_or(false))
    found.set(Kind::kJsonObject, "", "guided_json_object");
  found.schema(fields, "json_schema", "");
  if (const auto grammar = fields.text("grammar"); grammar && !grammar->empty())
    found.set(Kind::kGbnf, *grammar, "grammar");
  return found.take();
}

GrammarCache::Made GrammarCache::get(const std::string& key, const std::function<Made()>& make) {
  {
    const std::lock_guard lock(mutex_);
    const auto entry = std::ranges::find(entries_, key, &Entry::key);
    if (entry != entries_.end()) {
      entries_.splice(entries_.begin(), entries_, entry);
      return entry->grammar;
    }
  }
  RIDGELINE_TRY(Grammar::Ptr grammar, make());
  const std::lock_guard lock(mutex_);
  if (const auto entry = std::ranges::find(entries_, key, &Entry::key); entry != entries_.end())
    return entry->grammar;
  entries_.push_front({key, grammar});
  if (entries_.size() > capacity_) entries_.pop_back();
  return grammar;
}

Result<Grammar::Ptr> compile(const Constraint& constraint, GrammarCache& cache) {
  const std::string key = std::to_string(static_cast<int>(constraint.kind)) + ":" + constraint.text;
  return cache.get(key, [&]() -> GrammarCache::Made {
    switch (constraint.kind) {
      case Kind::kJsonObject:
        return Grammar::from_json_object();
      case Kind::kJsonSchema:
        return Grammar::from_json_schema(constraint.text);
      case Kind::kRegex:
        return Grammar::from_regex(constraint.text);
      case Kind::kChoice:
        return Grammar::from_choices(constraint.choices);
      case Kind::kGbnf:
        return Grammar::from_gbnf(constraint.text);
      case Kind::kNone:
        break;
    }
    return fail("there is no constraint to compile");
  });
}

}  // namespace ridgeline::openai
