#include "ridgeline/server/openai/fields.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace ridgeline::openai {

std::string type_in_words(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
  if (value.is_number()) return "the number " + dump(value);
  if (value.is_string()) return "a string";
  return value.is_array() ? "an array" : "an object";
}

std::optional<std::int64_t> integer_of(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return std::nullopt;
    return static_cast<std::int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (std::trunc(number) != number || std::abs(number) > 9e15) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

std::string Fields::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
}

void Fields::fail(std::string_view name, std::string message, std::string code) {
  const std::string path = path_of(name);
  if (!error_) error_ = invalid(path, path + " " + std::move(message), std::move(code));
}

void Fields::fail_type(std::string_view name, const Json& value, std::string_view expected) {
  fail(name, fmt::format("is {}; expected {}", type_in_words(value), expected));
}

const Json* Fields::find(std::string_view name) const {
  if (!ok()) return nullptr;
  const auto it = object_.find(name);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

std::optional<bool> Fields::boolean(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  fail_type(name, *value, "true or false");
  return std::nullopt;
}

std::optional<double> Fields::number(std::string_view name, double low, double high) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    fail_type(name, *value, "a number");
    return std::nullopt;
  }
  const double number = value->get<double>();
  if (number >= low && number <= high) return number;
  fail(name, fmt::format("is {}; expected a number from {} to {}", dump(*value), low, high));
  return std::nullopt;
}

std::optional<std::int64_t> Fields::integer(std::string_view name, std::int64_t low,
                                            std::int64_t high) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  const auto number = integer_of(*value);
  if (!number) {
    fail_type(name, *value, "an integer");
    return std::nullopt;
  }
  if (*number >= low && *number <= high) return number;
  fail(name, high == std::numeric_limits<std::int64_t>::max()
                 ? fmt::format("is {}; expected {} or more", *number, low)
                 : fmt::format("is {}; expected an integer from {} to {}", *number, low, high));
  return std::nullopt;
}

std::optional<std::string> Fields::text(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  fail_type(name, *value, "a string");
  return std::nullopt;
}

const Json* Fields::object(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr || value->is_object()) return value;
  fail_type(name, *value, "an object");
  return nullptr;
}

const Json* Fields::array(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr || value->is_array()) return value;
  fail_type(name, *value, "an array");
  return nullptr;
}

std::optional<std::vector<std::string>> Fields::texts(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return std::vector<std::string>{value->get<std::string>()};
  if (!value->is_array()) {
    fail_type(name, *value, "a string or an array of strings");
    return std::nullopt;
  }
  std::vector<std::string> texts;
  for (const Json& item : *value) {
    if (!item.is_string()) {
      fail_type(fmt::format("{}[{}]", name, texts.size()), item, "a string");
      return std::nullopt;
    }
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

std::optional<std::vector<std::int32_t>> Fields::token_ids(std::string_view name) {
  const Json* value = array(name);
  if (value == nullptr) return std::nullopt;
  std::vector<std::int32_t> ids;
  for (const Json& item : *value) {
    const auto id = integer_of(item);
    if (!id || *id < 0 || *id > std::numeric_limits<std::int32_t>::max()) {
      fail_type(fmt::format("{}[{}]", name, ids.size()), item, "a token id");
      return std::nullopt;
    }
    ids.push_back(static_cast<std::int32_t>(*id));
  }
  return ids;
}

void Fields::refuse(std::span<const RefusedField> fields) {
  for (const RefusedField& field : fields) {
    const Json* value = find(field.name);
    if (value == nullptr) continue;
    bool neutral = false;
    for (std::string_view rest = field.neutral; !rest.empty() && !neutral;) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      neutral = *value == Json::parse(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (!neutral)
      fail(field.name, fmt::format("is not supported: {}", field.why), "unsupported_parameter");
  }
}

}  // namespace ridgeline::openai
