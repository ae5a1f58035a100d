#pragma once

#include "ridgeline/server/openai/constraint.h"
#include "ridgeline/server/openai/job.h"
#include "ridgeline/server/openai/json_body.h"
#include "ridgeline/server/openai/served_model.h"

namespace ridgeline::openai {

struct GenerationContext {
  const ServedModel& served;
  const ServiceParts& parts;
  GrammarCache& grammars;
};

/// Each reads a call's body, and submits what it asks for or answers what is wrong with it.
void complete(const GenerationContext& context, Call call, const Json& body);
void chat(const GenerationContext& context, Call call, const Json& body);
void respond(const GenerationContext& context, Call call, const Json& body);
void embed(const GenerationContext& context, Call call, const Json& body);

}  // namespace ridgeline::openai
