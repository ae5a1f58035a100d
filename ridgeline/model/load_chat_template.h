#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"
#include "ridgeline/model/model_file.h"
#include "ridgeline/text/chat_template.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

/// The source of the template of that name ("": the default one): of GGUF's metadata
/// (tokenizer.chat_template and tokenizer.chat_template.NAME), or of a folder's
/// chat_template.jinja, additional_chat_templates/NAME.jinja, chat_template.json and
/// tokenizer_config.json. `folder` is "" for GGUF.
Result<std::optional<std::string>> read_chat_template(const Checkpoint& checkpoint,
                                                      const std::string& folder,
                                                      std::string_view name);

/// The model's chat template; the one named tool_use for a conversation with tools, where
/// there is one. Errors: the model
/// has none (no_chat_template()), the template does not parse.
Result<ChatTemplate> load_chat_template(const ModelFile& file, bool with_tools,
                                        std::string bos_token, std::string eos_token);
/// One from elsewhere: the name of a built-in template, or a file.
Result<ChatTemplate> load_chat_template(const std::string& name_or_path, std::string bos_token,
                                        std::string eos_token);

/// The text of the token that begins, or ends, a text; "" if there is none.
std::string bos_token_text(const Tokenizer& tokenizer);
std::string eos_token_text(const Tokenizer& tokenizer);

}  // namespace ridgeline
