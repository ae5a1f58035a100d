#include "ridgeline/server/openai/json_body.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "ridgeline/text/utf8.h"

namespace ridgeline::openai {
namespace {

/// The parser is not recursive, but what walks its result is.
std::optional<std::string> too_deep_or_wide(std::string_view text) {
  std::vector<std::size_t> commas;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
      continue;
    }
    if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (commas.size() == kJsonDepthMax)
        return fmt::format("is nested more than {} levels deep at byte {}", kJsonDepthMax, i);
      // Only objects are limited: the counter of an array starts so low that it never gets there.
      commas.push_back(c == '{' ? 1 : 0);
    } else if ((c == '}' || c == ']') && !commas.empty()) {
      commas.pop_back();
    } else if (c == ',' && !commas.empty() && commas.back() > 0 &&
               ++commas.back() > kJsonMembersMax) {
      return fmt::format("has an object with more than {} members at byte {}", kJsonMembersMax, i);
    }
  }
  return std::nullopt;
}

}  // namespace

ApiError invalid(std::string param, std::string message, std::string code) {
  return {.status = 400,
          .message = std::move(message),
          .type = "invalid_request_error",
          .param = std::move(param),
          .code = std::move(code)};
}

Checked<Json> parse_body(std::string_view body) {
  const auto refuse = [](std::string message) {
    return tl::make_unexpected(invalid("", std::move(message), "invalid_json"));
  };
  if (const std::size_t valid = utf8_valid_prefix_bytes(body); valid < body.size())
    return refuse(fmt::format("The body has byte 0x{:02x} at {}; expected UTF-8",
                              static_cast<unsigned char>(body[valid]), valid));
  if (const auto problem = too_deep_or_wide(body))
    return refuse(fmt::format("The body {}", *problem));
  try {
    Json json = Json::parse(body);
    if (!json.is_object())
      return refuse(fmt::format("The body is {} {}; expected a JSON object",
                                json.is_array() ? "an" : "a", json.type_name()));
    return json;
  } catch (const nlohmann::json::exception& e) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..."
    const std::string_view what = e.what();
    const std::size_t at = what.find("] ");
    return refuse(
        fmt::format("The body is no JSON: {}", at == what.npos ? what : what.substr(at + 2)));
  }
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

std::string sse_event(const Json& json) { return "data: " + dump(json) + "\n\n"; }

}  // namespace ridgeline::openai
