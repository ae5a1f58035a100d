#include "ridgeline/server/openai/generation_endpoints.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "ridgeline/server/openai/chat_answer.h"
#include "ridgeline/server/openai/completion_answer.h"
#include "ridgeline/server/openai/embedding_endpoint.h"
#include "ridgeline/server/openai/responses_answer.h"
#include "ridgeline/server/openai/responses_request.h"

namespace ridgeline::openai {
namespace {

/// Of a call whose requests are known: whether it comes in now.
class Gate {
 public:
  Gate(const GenerationContext& context, Call& call) : context_(context), call_(call) {}

  /// The key's part of a request: whose it is, how important, whose cache.
  void adopt(Request& request) const {
    request.tenant = call_.key.tenant;
    request.priority = std::max(request.priority, call_.key.priority);
    if (call_.key.private_cache) request.cache_salt = call_.key.name + "/" + request.cache_salt;
    const auto* ladder = context_.parts.ladder;
    if (ladder == nullptr) return;
    if (const auto cap = ladder->max_tokens_cap(request.priority);
        cap && request.params.max_tokens > *cap)
      request.params.max_tokens = std::max(*cap, request.params.min_tokens);
  }

  /// Absent: the call is answered.
  std::optional<Admission> admit(const std::vector<Request>& requests) {
    const auto* ladder = context_.parts.ladder;
    if (ladder != nullptr) {
      if (const auto overload = ladder->refuses(requests.front().priority)) {
        answer_error(context_.parts, call_,
                     {.status = 503, .message = overload->message, .code = "overloaded"},
                     {{"Retry-After", std::to_string(overload->retry_after_seconds)}}, "overload");
        return std::nullopt;
      }
    }
    if (context_.parts.limiter == nullptr) return Admission{};
    std::int64_t prompt = 0, output = 0;
    for (const Request& request : requests) {
      prompt += static_cast<std::int64_t>(request.prompt.size());
      if (!request.embed)
        output += static_cast<std::int64_t>(request.choices) * request.params.max_tokens;
    }
    Admission admission = context_.parts.limiter->admit(call_.key, prompt, output);
    if (admission.admitted()) return admission;
    answer_error(context_.parts, call_,
                 {.status = 429, .message = admission.message, .code = "rate_limit_exceeded"},
                 admission.headers, "rate_limit");
    return std::nullopt;
  }

 private:
  const GenerationContext& context_;
  Call& call_;
};

void submit(const GenerationContext& context, Call call, std::vector<Request> requests,
            std::unique_ptr<Answer> answer, bool stream) {
  Gate gate(context, call);
  for (Request& request : requests) gate.adopt(request);
  std::optional<Admission> admission = gate.admit(requests);
  if (!admission) return;
  std::make_shared<Job>(context.parts, std::move(call), std::move(answer), stream,
                        *std::move(admission))
      ->start(std::move(requests));
}

/// An encoder makes no text.
bool refuse_encoder(const GenerationContext& context, Call& call) {
  if (context.served.generates) return false;
  answer_error(context.parts, call,
               invalid("model", fmt::format("{} only embeds; use /v1/embeddings",
                                            context.served.names.front())));
  return true;
}

std::vector<TokenId> tokens_of(const Prompt& prompt, bool add_special, const Tokenizer& tokenizer) {
  if (prompt.is_tokens) return prompt.tokens;
  Tokenizer::EncodeOptions options;
  options.parse_special = true;
  if (!add_special) {
    options.add_bos = false;
    options.add_eos = false;
  }
  return tokenizer.encode(prompt.text, options);
}

}  // namespace

void complete(const GenerationContext& context, Call call, const Json& body) {
  if (refuse_encoder(context, call)) return;
  Checked<CompletionRequest> read = read_completion_request(body, context.served);
  if (!read) return answer_error(context.parts, call, read.error());
  CompletionRequest& request = *read;
  if (request.constraint) {
    Result<Grammar::Ptr> grammar = compile(request.constraint, context.grammars);
    if (!grammar)
      return answer_error(context.parts, call,
                          invalid(request.constraint.param,
                                  request.constraint.param + ": " + grammar.error().message,
                                  "unsupported_grammar"));
    request.engine.grammar = *std::move(grammar);
  }
  std::vector<Request> requests;
  std::vector<std::vector<TokenId>> prompts;
  for (std::size_t i = 0; i < request.prompts.size(); ++i) {
    std::vector<TokenId> tokens =
        tokens_of(request.prompts[i], request.add_special_tokens, *context.served.tokenizer);
    truncate(tokens, request);
    const std::string field = request.prompts.size() == 1 ? "prompt" : fmt::format("prompt[{}]", i);
    if (const auto error = fit_to_context(request, static_cast<std::int64_t>(tokens.size()), field,
                                          "max_tokens", context.served))
      return answer_error(context.parts, call, *error);
    requests.push_back(request.engine);
    requests.back().prompt = tokens;
    prompts.push_back(std::move(tokens));
  }
  const bool stream = request.stream;
  auto answer =
      std::make_unique<CompletionAnswer>(*std::move(read), std::move(prompts), context.served);
  submit(context, std::move(call), std::move(requests), std::move(answer), stream);
}

namespace {

/// What chat and responses do alike: plan, hold against the context, make the engine's request.
Checked<Request> prepare_chat(const GenerationContext& context, ChatRequest& request,
                              ChatPlan& plan, std::string_view prompt_field,
                              std::string_view max_tokens_field) {
  RIDGELINE_TRY(plan, plan_chat(request, context.served, context.grammars));
  if (auto error = fit_to_context(request, static_cast<std::int64_t>(plan.prompt.size()),
                                  prompt_field, max_tokens_field, context.served))
    return tl::make_unexpected(*std::move(error));
  Request engine = request.engine;
  engine.prompt = plan.prompt;
  engine.grammar = plan.grammar;
  return engine;
}

}  // namespace

void chat(const GenerationContext& context, Call call, const Json& body) {
  if (refuse_encoder(context, call)) return;
  Checked<ChatRequest> request = read_chat_request(body, context.served);
  if (!request) return answer_error(context.parts, call, request.error());
  ChatPlan plan;
  const bool newer = body.contains("max_completion_tokens");
  Checked<Request> engine = prepare_chat(context, *request, plan, "messages",
                                         newer ? "max_completion_tokens" : "max_tokens");
  if (!engine) return answer_error(context.parts, call, engine.error());
  const bool stream = request->stream;
  auto answer = std::make_unique<ChatAnswer>(*std::move(request), std::move(plan), context.served);
  std::vector<Request> requests;
  requests.push_back(*std::move(engine));
  submit(context, std::move(call), std::move(requests), std::move(answer), stream);
}

void respond(const GenerationContext& context, Call call, const Json& body) {
  if (refuse_encoder(context, call)) return;
  Checked<ResponsesRequest> request = read_responses_request(body, context.served);
  if (!request) return answer_error(context.parts, call, request.error());
  ChatPlan plan;
  Checked<Request> engine =
      prepare_chat(context, request->chat, plan, "input", "max_output_tokens");
  if (!engine) return answer_error(context.parts, call, responses_error(engine.error()));
  const bool stream = request->chat.stream;
  auto answer =
      std::make_unique<ResponsesAnswer>(*std::move(request), std::move(plan), context.served);
  std::vector<Request> requests;
  requests.push_back(*std::move(engine));
  submit(context, std::move(call), std::move(requests), std::move(answer), stream);
}

void embed(const GenerationContext& context, Call call, const Json& body) {
  const Checked<EmbeddingRequest> request = read_embedding_request(body, context.served);
  if (!request) return answer_error(context.parts, call, request.error());
  std::vector<Request> requests;
  std::vector<std::size_t> lengths;
  for (std::size_t i = 0; i < request->inputs.size(); ++i) {
    const std::string field = request->inputs.size() == 1 ? "input" : fmt::format("input[{}]", i);
    std::vector<TokenId> tokens =
        tokens_of(request->inputs[i], request->add_special_tokens, *context.served.tokenizer);
    if (request->truncate_prompt_tokens &&
        static_cast<std::int64_t>(tokens.size()) > *request->truncate_prompt_tokens)
      tokens.resize(static_cast<std::size_t>(*request->truncate_prompt_tokens));
    std::int64_t most = context.served.context;
    if (context.served.max_prompt_tokens > 0)
      most = std::min(most, context.served.max_prompt_tokens);
    if (tokens.empty())
      return answer_error(context.parts, call,
                          invalid(field, field + " is empty; expected at least one token"));
    if (static_cast<std::int64_t>(tokens.size()) > most)
      return answer_error(context.parts, call,
                          invalid(field,
                                  fmt::format("{} has {} tokens; this model takes at most {}",
                                              field, tokens.size(), most),
                                  "context_length_exceeded"));
    requests.push_back(request->engine);
    lengths.push_back(tokens.size());
    requests.back().prompt = std::move(tokens);
  }
  auto answer = make_embedding_answer(*request, std::move(lengths));
  submit(context, std::move(call), std::move(requests), std::move(answer), /*stream=*/false);
}

}  // namespace ridgeline::openai
