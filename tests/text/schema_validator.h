#pragma once

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>

namespace ridgeline::testing {

/// Whether an instance is valid by a schema: the standard's words, a value and a keyword at a
/// time, for what the fixtures use. Shares nothing with the compiler.
class SchemaValidator {
 public:
  explicit SchemaValidator(const nlohmann::json& document) : document_(document) {
    is_old_ = document.is_object() &&
              document.value("$schema", std::string()).find("draft-0") != std::string::npos;
  }
  bool is_valid(const nlohmann::json& instance) const { return check(document_, instance); }

 private:
  using json = nlohmann::json;

  static std::size_t length(const std::string& text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  }
  static bool has_type(const std::string& type, const json& value) {
    if (type == "null") return value.is_null();
    if (type == "boolean") return value.is_boolean();
    if (type == "string") return value.is_string();
    if (type == "array") return value.is_array();
    if (type == "object") return value.is_object();
    if (type == "number") return value.is_number();
    return value.is_number() && value.get<double>() == std::floor(value.get<double>());
  }
  static bool matches(const std::string& pattern, const std::string& text) {
    return std::regex_search(text, std::regex(pattern, std::regex::ECMAScript));
  }

  bool check(const json& schema, const json& value) const {
    if (schema.is_boolean()) return schema.get<bool>();
    if (schema.contains("$ref")) {
      const json::json_pointer to(schema["$ref"].get<std::string>().substr(1));
      if (!check(document_.at(to), value)) return false;
      if (is_old_) return true;
    }
    if (schema.contains("type")) {
      const json& type = schema["type"];
      const auto is = [&](const json& t) { return has_type(t.get<std::string>(), value); };
      if (type.is_array() ? std::none_of(type.begin(), type.end(), is) : !is(type)) return false;
    }
    if (schema.contains("const") && value != schema["const"]) return false;
    if (schema.contains("enum")) {
      const json& all = schema["enum"];
      if (std::find(all.begin(), all.end(), value) == all.end()) return false;
    }
    return check_applicators(schema, value) &&
           (!value.is_number() || check_number(schema, value)) &&
           (!value.is_string() || check_string(schema, value.get<std::string>())) &&
           (!value.is_array() || check_array(schema, value)) &&
           (!value.is_object() || check_object(schema, value));
  }

  std::ptrdiff_t count(const json& schemas, const json& value) const {
    return std::count_if(schemas.begin(), schemas.end(),
                         [&](const json& s) { return check(s, value); });
  }
  bool check_applicators(const json& schema, const json& value) const {
    if (schema.contains("allOf") &&
        count(schema["allOf"], value) != static_cast<std::ptrdiff_t>(schema["allOf"].size())) {
      return false;
    }
    if (schema.contains("anyOf") && count(schema["anyOf"], value) == 0) return false;
    if (schema.contains("oneOf") && count(schema["oneOf"], value) != 1) return false;
    if (schema.contains("not") && check(schema["not"], value)) return false;
    if (schema.contains("if")) {
      const char* branch = check(schema["if"], value) ? "then" : "else";
      if (schema.contains(branch) && !check(schema[branch], value)) return false;
    }
    return true;
  }

  static bool check_number(const json& schema, const json& value) {
    const double x = value.get<double>();
    const auto bound = [&](const char* name) { return schema[name].template get<double>(); };
    const auto has = [&](const char* name) {
      return schema.contains(name) && schema[name].is_number();
    };
    const bool draft4 = schema.value("exclusiveMinimum", json()) == json(true);
    if (has("minimum") && (draft4 ? x <= bound("minimum") : x < bound("minimum"))) return false;
    if (has("maximum") && x > bound("maximum")) return false;
    if (has("exclusiveMinimum") && x <= bound("exclusiveMinimum")) return false;
    if (has("exclusiveMaximum") && x >= bound("exclusiveMaximum")) return false;
    if (!has("multipleOf")) return true;
    const double q = x / bound("multipleOf");
    return q == std::round(q);
  }

  static bool check_string(const json& schema, const std::string& text) {
    const std::size_t n = length(text);
    if (n < schema.value("minLength", std::size_t{0})) return false;
    if (n > schema.value("maxLength", n)) return false;
    if (schema.contains("pattern") && !matches(schema["pattern"], text)) return false;
    if (!schema.contains("format")) return true;
    if (schema["format"] == "uuid")
      return matches("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", text);
    if (schema["format"] == "ipv4") {
      return matches("^((25[0-5]|(2[0-4]|1[0-9]|[1-9])?[0-9])(\\.(?!$)|$)){4}$", text);
    }
    if (!matches("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", text)) return false;  // a date
    const int year = std::stoi(text), month = std::stoi(text.substr(5)),
              day = std::stoi(text.substr(8));
    static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month < 1 || month > 12 || day < 1) return false;
    const bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= kDays[month - 1] + (month == 2 && is_leap ? 1 : 0);
  }

  bool check_array(const json& schema, const json& array) const {
    if (array.size() < schema.value("minItems", std::size_t{0})) return false;
    if (array.size() > schema.value("maxItems", array.size())) return false;
    const std::size_t prefix = schema.contains("prefixItems") ? schema["prefixItems"].size() : 0;
    for (std::size_t i = 0; i < array.size(); ++i) {
      if (i < prefix) {
        if (!check(schema["prefixItems"][i], array[i])) return false;
      } else if (schema.contains("items") && !check(schema["items"], array[i])) {
        return false;
      }
      if (!schema.value("uniqueItems", false)) continue;
      if (std::count(array.begin(), array.end(), array[i]) != 1) return false;
    }
    return !schema.contains("contains") ||
           std::any_of(array.begin(), array.end(),
                       [&](const json& item) { return check(schema["contains"], item); });
  }

  bool check_object(const json& schema, const json& object) const {
    if (object.size() < schema.value("minProperties", std::size_t{0})) return false;
    if (object.size() > schema.value("maxProperties", object.size())) return false;
    const auto has_all = [&](const json& names) {
      return std::all_of(names.begin(), names.end(),
                         [&](const json& n) { return object.contains(n.get<std::string>()); });
    };
    if (schema.contains("required") && !has_all(schema["required"])) return false;
    for (const char* keyword : {"dependentRequired", "dependentSchemas", "dependencies"}) {
      if (!schema.contains(keyword)) continue;
      for (const auto& [name, then] : schema[keyword].items()) {
        if (!object.contains(name)) continue;
        if (then.is_array() ? !has_all(then) : !check(then, object)) return false;
      }
    }
    for (const auto& [name, value] : object.items()) {
      bool is_evaluated = false;
      if (schema.contains("properties") && schema["properties"].contains(name)) {
        is_evaluated = true;
        if (!check(schema["properties"][name], value)) return false;
      }
      if (schema.contains("patternProperties")) {
        for (const auto& [pattern, wanted] : schema["patternProperties"].items()) {
          if (!matches(pattern, name)) continue;
          is_evaluated = true;
          if (!check(wanted, value)) return false;
        }
      }
      if (!is_evaluated && schema.contains("additionalProperties") &&
          !check(schema["additionalProperties"], value)) {
        return false;
      }
      if (schema.contains("propertyNames") && !check(schema["propertyNames"], json(name))) {
        return false;
      }
    }
    return true;
  }

  const json& document_;
  bool is_old_ = false;
};

}  // namespace ridgeline::testing
