#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "ridgeline/server/http/error_response.h"

namespace ridgeline::openai {

/// Keeps the order of keys, which chat templates print.
using Json = nlohmann::ordered_json;

template <class T>
using Checked = tl::expected<T, ApiError>;

/// What a request's JSON may be, whoever sends it. Both are looked at before anything is built.
inline constexpr int kJsonDepthMax = 64;
/// Members of one object: looking for a key is linear, as their order is kept.
inline constexpr std::size_t kJsonMembersMax = 1024;

/// The object in a request's body. Errors: no UTF-8, no JSON, no object, numbers that no double
/// holds, nesting beyond kJsonDepthMax.
Checked<Json> parse_body(std::string_view body);

/// One line; what is not UTF-8 becomes U+FFFD.
std::string dump(const Json& json);

/// "data: {…}\n\n".
std::string sse_event(const Json& json);

/// 400 about one field; `param` as "messages[2].content".
ApiError invalid(std::string param, std::string message, std::string code = "");

}  // namespace ridgeline::openai
