#pragma once

#include <span>

#include "ridgeline/base/result.h"
#include "ridgeline/text/grammar/grammar.h"
#include "ridgeline/text/tool_calls/output_parser.h"

namespace ridgeline {

/// One call of one of the functions, in a model's own format, with arguments that are valid by
/// the function's parameters. Errors: a schema that is not supported.
Result<Grammar::Ptr> tool_call_grammar(ToolCallFormat format,
                                       std::span<const ToolFunction> functions);

/// `answer` behind what the model reasons, as far as it does: it is within it already, or may
/// begin it (`may_think`). Errors: the end of the reasoning is a control token, which no grammar
/// can leave to the model, and it is within it.
Result<Grammar::Ptr> behind_reasoning(Grammar::Ptr answer, const OutputFormat& format,
                                      bool may_think, const Tokenizer& tokenizer);

}  // namespace ridgeline
