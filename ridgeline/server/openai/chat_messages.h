#pragma once

#include <string>

#include "ridgeline/server/openai/fields.h"
#include "ridgeline/server/openai/served_model.h"

namespace ridgeline::openai {

/// The texts of an array of parts, with `between` them; at `path` of `fields`. Parts that are not
/// text are errors.
std::string read_parts(Fields& fields, std::string_view path, const Json& parts,
                       std::string_view between);
/// Messages as chat templates expect them: content a text (or parts, where the template reads
/// nothing else), the arguments of earlier calls objects, the role developer as system where the
/// template does not know it. Errors name the message.
Json read_messages(Fields& fields, std::string_view name, const ServedModel& served);
inline constexpr std::size_t kMaxMessages = 4096;

}  // namespace ridgeline::openai
