#include "ridgeline/server/openai/answer.h"

namespace ridgeline::openai {

void Answer::fail(const ApiError& error, std::string& out) {
  out += "data: " + error_body(error) + "\n\ndata: [DONE]\n\n";
}

}  // namespace ridgeline::openai
