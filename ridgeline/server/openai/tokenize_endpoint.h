#pragma once

#include "ridgeline/server/openai/json_body.h"
#include "ridgeline/server/openai/served_model.h"

namespace ridgeline::openai {

/// POST /tokenize: vLLM's shape (`prompt`, or `messages` through the chat template) and
/// llama-server's (`content`).
Checked<Json> tokenize(const Json& body, const ServedModel& served);
/// POST /detokenize: `tokens` to `prompt` (vLLM) and `content` (llama-server).
Checked<Json> detokenize(const Json& body, const ServedModel& served);

}  // namespace ridgeline::openai
