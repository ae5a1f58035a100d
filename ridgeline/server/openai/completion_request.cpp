#include "ridgeline/server/openai/completion_request.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace ridgeline::openai {
namespace {

constexpr int kDefaultMaxTokens = 16;  // OpenAI's

/// False, with an error in `fields`: not an array of token ids.
bool read_tokens(Fields& fields, const std::string& name, const Json& array, int vocab_size,
                 Prompt& prompt) {
  prompt.is_tokens = true;
  for (const Json& item : array) {
    const auto id = integer_of(item);
    const std::string at = fmt::format("{}[{}]", name, prompt.tokens.size());
    if (!id) {
      fields.fail_type(at, item, "a token id");
      return false;
    }
    if (*id < 0 || *id >= vocab_size) {
      fields.fail(at, fmt::format("is token {}; expected an id below {}", *id, vocab_size));
      return false;
    }
    prompt.tokens.push_back(static_cast<TokenId>(*id));
  }
  return true;
}

}  // namespace

std::vector<Prompt> read_prompts(Fields& fields, std::string_view name, int vocab_size) {
  const Json* value = fields.find(name);
  if (value == nullptr) {
    fields.fail(name, "is missing; expected a text, tokens or an array of them");
    return {};
  }
  std::vector<Prompt> prompts;
  if (value->is_string()) {
    prompts.push_back({value->get<std::string>(), {}, false});
    return prompts;
  }
  if (!value->is_array()) {
    fields.fail_type(name, *value, "a text, tokens or an array of them");
    return {};
  }
  if (!value->empty() && value->front().is_number()) {
    prompts.emplace_back();
    if (!read_tokens(fields, std::string(name), *value, vocab_size, prompts.back())) return {};
    return prompts;
  }
  if (value->empty()) fields.fail(name, "is empty; expected at least one prompt");
  if (value->size() > kMaxPrompts)
    fields.fail(name,
                fmt::format("has {} prompts; expected at most {}", value->size(), kMaxPrompts));
  if (!fields.ok()) return {};
  for (const Json& item : *value) {
    const std::string at = fmt::format("{}[{}]", name, prompts.size());
    prompts.emplace_back();
    if (item.is_string()) {
      prompts.back().text = item.get<std::string>();
    } else if (item.is_array()) {
      if (!read_tokens(fields, at, item, vocab_size, prompts.back())) return {};
    } else {
      fields.fail_type(at, item, "a text or an array of token ids");
      return {};
    }
  }
  return prompts;
}

Checked<CompletionRequest> read_completion_request(const Json& body, const ServedModel& served) {
  std::optional<ApiError> error;
  Fields fields(body, "", error);
  CompletionRequest request;
  static_cast<GenerationRequest&>(request) = read_generation_fields(fields, served);
  constexpr RefusedField kRefused[] = {
      {"suffix", "\"\"", "this server does not fill in the middle"},
  };
  fields.refuse(kRefused);
  request.prompts = read_prompts(fields, "prompt", served.tokenizer->vocab_size());
  request.add_special_tokens = fields.boolean("add_special_tokens").value_or(true);
  request.echo = fields.boolean("echo").value_or(false);

  SamplingParams& p = request.engine.params;
  const std::int64_t lowest = request.echo ? 0 : 1;
  std::optional<std::int64_t> max_tokens =
      fields.integer("max_tokens", lowest, std::numeric_limits<int>::max());
  if (!max_tokens)  // llama-server's
    max_tokens = fields.integer("n_predict", lowest, std::numeric_limits<int>::max());
  p.max_tokens = static_cast<int>(max_tokens.value_or(kDefaultMaxTokens));
  request.scores_only = p.max_tokens == 0;
  if (request.scores_only) p.max_tokens = 1;

  if (const auto logprobs = fields.integer("logprobs", 0, kMaxLogprobs)) {
    request.engine.logprobs = static_cast<int>(*logprobs);
    request.shows_logprobs = true;
    if (request.echo && !request.engine.prompt_logprobs)
      request.engine.prompt_logprobs = request.engine.logprobs;
  }
  request.wanted = request.engine.choices;
  if (const auto best_of = fields.integer("best_of", 1, kMaxChoices)) {
    if (*best_of < request.wanted)
      fields.fail("best_of",
                  fmt::format("is {}; expected at least n, which is {}", *best_of, request.wanted));
    if (*best_of > request.wanted && request.stream)
      fields.fail("best_of", "is more than n with stream: true; expected a whole answer");
    request.engine.choices = static_cast<int>(*best_of);
  }
  if (request.engine.choices > request.wanted && !request.engine.logprobs)
    request.engine.logprobs = 0;  // which the choice among them goes by
  if (error) return tl::make_unexpected(*std::move(error));
  return request;
}

}  // namespace ridgeline::openai
