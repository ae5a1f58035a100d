#pragma once

#include <memory>
#include <vector>

#include "ridgeline/server/openai/answer.h"
#include "ridgeline/server/openai/completion_request.h"

namespace ridgeline::openai {

/// POST /v1/embeddings.
struct EmbeddingRequest {
  std::string model;
  std::vector<Prompt> inputs;
  bool base64 = false;
  std::optional<std::int64_t> dimensions;  ///< the vectors' first ones, normalised again
  std::optional<std::int64_t> truncate_prompt_tokens;
  bool add_special_tokens = true;
  Request engine;  ///< with `embed`
};

Checked<EmbeddingRequest> read_embedding_request(const Json& body, const ServedModel& served);
std::unique_ptr<Answer> make_embedding_answer(const EmbeddingRequest& request,
                                              std::vector<std::size_t> prompt_tokens);
/// RFC 4648, of little-endian floats: what OpenAI's client asks for by default.
std::string base64(const std::vector<float>& values);

}  // namespace ridgeline::openai
