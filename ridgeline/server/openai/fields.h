#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/server/openai/json_body.h"

namespace ridgeline::openai {

/// A field that is not supported, and the values (JSON, separated by spaces) that ask for
/// nothing and are let through; null always is.
struct RefusedField {
  std::string_view name, neutral, why;
};

/// Reads an object's fields and holds them against what was expected. The first error stays;
/// after it everything is absent. A field that is null counts as absent, as the clients of
/// OpenAI's server mean it.
class Fields {
 public:
  /// `path`: "" of the body, "messages[0]" of what is in it. The error is shared with the
  /// Fields of objects within.
  Fields(const Json& object, std::string path, std::optional<ApiError>& error)
      : object_(object), path_(std::move(path)), error_(error) {}

  bool ok() const { return !error_.has_value(); }
  const Json* find(std::string_view name) const;
  std::optional<bool> boolean(std::string_view name);
  std::optional<double> number(std::string_view name, double low, double high);
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t low,
                                      std::int64_t high = std::numeric_limits<std::int64_t>::max());
  std::optional<std::string> text(std::string_view name);
  const Json* object(std::string_view name);
  const Json* array(std::string_view name);
  /// A string, or an array of strings.
  std::optional<std::vector<std::string>> texts(std::string_view name);
  std::optional<std::vector<std::int32_t>> token_ids(std::string_view name);

  void refuse(std::span<const RefusedField> fields);
  /// Of an object within: its errors are this one's.
  Fields within(const Json& object, std::string_view name) {
    return Fields(object, path_of(name), error_);
  }
  /// "path.name", or what is given if there is no path.
  std::string path_of(std::string_view name) const;
  void fail(std::string_view name, std::string message, std::string code = "");
  void fail_with(ApiError error) {
    if (!error_) error_ = std::move(error);
  }
  void fail_type(std::string_view name, const Json& value, std::string_view expected);

 private:
  const Json& object_;
  std::string path_;
  std::optional<ApiError>& error_;
};

/// "a string", "an array", ... as a sentence has it.
std::string type_in_words(const Json& value);
/// An integer, also where it is written as 16.0.
std::optional<std::int64_t> integer_of(const Json& value);

}  // namespace ridgeline::openai
