#include "ridgeline/server/openai/generation_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "ridgeline/server/openai/chat_messages.h"

namespace ridgeline::openai {
namespace {

constexpr double kAny = std::numeric_limits<double>::max();

/// Of vLLM and llama-server, and it would change the answer.
constexpr RefusedField kRefused[] = {
    {"use_beam_search", "false", "there is no beam search"},
    {"length_penalty", "1 1.0", "there is no beam search"},
    {"early_stopping", "false", "there is no beam search"},
    {"logits_processors", "[]", "requests bring no code"},
    {"bad_words", "[]", "forbid tokens with logit_bias"},
    {"allowed_token_ids", "[]", "constrain with structured_outputs"},
    {"prompt_embeds", "", "prompts are texts or tokens"},
    {"kv_transfer_params", "", "the KV cache is not transferred"},
    {"mm_processor_kwargs", "{}", "there is no input but text"},
    {"lora", "[]", "there are no adapters"},
    {"mirostat", "0", "temperature, top_k, top_p, min_p and typical_p are"},
    {"dry_multiplier", "0 0.0", "repetition, presence and frequency penalties are"},
    {"xtc_probability", "0 0.0", "temperature, top_k, top_p, min_p and typical_p are"},
    {"top_n_sigma", "-1 -1.0 0 0.0", "temperature, top_k, top_p, min_p and typical_p are"},
    {"dynatemp_range", "0 0.0", "temperature is"},
    {"samplers", "", "the order of the filters is fixed"},
    {"n_indent", "0", "text is not looked at for its indentation"},
};

void read_distribution(Fields& fields, const GenerationDefaults& defaults, SamplingParams& p) {
  p.temperature = fields.number("temperature", 0, 1e6).value_or(defaults.temperature.value_or(1));
  p.top_p = fields.number("top_p", 0, 1).value_or(defaults.top_p.value_or(1));
  if (p.top_p == 0) fields.fail("top_p", "is 0; expected a number above 0");
  const std::int64_t top_k = fields.integer("top_k", -1, std::numeric_limits<int>::max())
                                 .value_or(defaults.top_k.value_or(0));
  p.top_k = static_cast<int>(std::max<std::int64_t>(top_k, 0));
  p.min_p = fields.number("min_p", 0, 1).value_or(defaults.min_p.value_or(0));
  p.typical_p = fields.number("typical_p", 0, 1).value_or(1);
  const double repetition = defaults.repetition_penalty.value_or(1);
  p.repetition_penalty =
      fields.number("repetition_penalty", 0, 1e6)
          .value_or(fields.number("repeat_penalty", 0, 1e6).value_or(repetition));
  if (p.repetition_penalty == 0)
    fields.fail("repetition_penalty", "is 0; expected a number above 0");
  p.presence_penalty = fields.number("presence_penalty", -2, 2).value_or(0);
  p.frequency_penalty = fields.number("frequency_penalty", -2, 2).value_or(0);
  p.repeat_last_n = static_cast<int>(
      fields.integer("repeat_last_n", -1, std::numeric_limits<int>::max()).value_or(-1));
  if (const auto seed = fields.integer("seed", std::numeric_limits<std::int64_t>::min()))
    p.seed = static_cast<std::uint64_t>(*seed);
  else
    p.seed = std::random_device{}() | std::uint64_t{std::random_device{}()} << 32;
}

void read_logit_bias(Fields& fields, int vocab_size, std::vector<LogitBias>& to) {
  const Json* biases = fields.object("logit_bias");
  if (biases == nullptr) return;
  Fields inner = fields.within(*biases, "logit_bias");
  for (const auto& [key, value] : biases->items()) {
    LogitBias bias;
    const char* end = key.data() + key.size();
    const auto [rest, error] = std::from_chars(key.data(), end, bias.token);
    if (error != std::errc{} || rest != end || bias.token < 0 || bias.token >= vocab_size)
      return inner.fail(key, fmt::format("is no token id; expected one below {}", vocab_size));
    const auto number = inner.number(key, -100, 100);
    if (!number) return inner.fail(key, "is null; expected a number from -100 to 100");
    bias.bias = static_cast<float>(*number);
    to.push_back(bias);
  }
}

void read_end(Fields& fields, GenerationRequest& request, int vocab_size) {
  SamplingParams& p = request.engine.params;
  p.min_tokens = static_cast<int>(
      fields.integer("min_tokens", 0, std::numeric_limits<int>::max()).value_or(0));
  p.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  p.stop = fields.texts("stop").value_or(std::vector<std::string>{});
  if (p.stop.size() > kMaxStops)
    fields.fail("stop", fmt::format("has {} texts; expected at most {}", p.stop.size(), kMaxStops));
  for (std::size_t i = 0; i < p.stop.size(); ++i) {
    const std::string name = fmt::format("stop[{}]", i);
    if (p.stop[i].empty()) fields.fail(name, "is empty; expected at least one character");
    if (p.stop[i].size() > kMaxStopBytes)
      fields.fail(name, fmt::format("is longer than {} bytes", kMaxStopBytes));
  }
  p.stop_token_ids = fields.token_ids("stop_token_ids").value_or(std::vector<TokenId>{});
  for (const TokenId id : p.stop_token_ids)
    if (id >= vocab_size)
      fields.fail("stop_token_ids",
                  fmt::format("has token {}; expected ids below {}", id, vocab_size));
}

void read_streaming(Fields& fields, GenerationRequest& request) {
  request.stream = fields.boolean("stream").value_or(false);
  const Json* options = fields.object("stream_options");
  if (options == nullptr) return;
  if (!request.stream)
    return fields.fail("stream_options", "is given without stream: true; expected both");
  Fields inner = fields.within(*options, "stream_options");
  request.include_usage = inner.boolean("include_usage").value_or(false);
  request.continuous_usage =
      inner.boolean("continuous_usage_stats").value_or(false) && request.include_usage;
  inner.boolean("include_obfuscation");  // which we never do
}

void read_scheduling(Fields& fields, const ServedModel& served, Request& engine) {
  engine.deadlines = served.deadlines;
  constexpr int kPriorityMax = 1'000'000'000;
  engine.priority =
      static_cast<int>(fields.integer("priority", -kPriorityMax, kPriorityMax).value_or(0));
  if (const auto timeout = fields.number("timeout", 0, kAny); timeout && *timeout > 0) {
    double& total = engine.deadlines.total_seconds;
    total = total > 0 ? std::min(total, *timeout) : *timeout;
  }
  engine.cache_salt = fields.text("cache_salt").value_or("");
}

/// OpenAI's predicted outputs. As a text of its own, so that nothing in it is a control token.
std::vector<TokenId> read_prediction(Fields& fields, const ServedModel& served) {
  const Json* prediction = fields.object("prediction");
  if (prediction == nullptr) return {};
  Fields inner = fields.within(*prediction, "prediction");
  const std::string type = inner.text("type").value_or("");
  if (type != "content")
    inner.fail("type", type.empty() ? "is missing; expected content"
                                    : "is " + ridgeline::quoted(type) + "; expected content");
  const Json* content = inner.find("content");
  std::string text;
  if (content == nullptr)
    inner.fail("content", "is missing; expected a string or an array of parts");
  else if (content->is_string())
    text = content->get<std::string>();
  else if (content->is_array())
    text = read_parts(inner, "content", *content, "");
  else
    inner.fail_type("content", *content, "a string or an array of parts");
  if (!fields.ok()) return {};
  Tokenizer::EncodeOptions options;
  options.add_bos = options.add_eos = options.parse_special = false;
  std::vector<TokenId> tokens = served.tokenizer->encode(text, options);
  if (std::ssize(tokens) > served.context)
    inner.fail("content", fmt::format("has {} tokens; expected at most {}, this model's context",
                                      tokens.size(), served.context));
  return tokens;
}

}  // namespace

std::string read_model(Fields& fields, const ServedModel& served) {
  const std::string model = fields.text("model").value_or(served.names.front());
  if (std::ranges::find(served.names, model) == served.names.end())
    fields.fail_with({.status = 404,
                      .message = fmt::format("The model {} does not exist; this server has {}",
                                             ridgeline::quoted(model), served.names.front()),
                      .type = "not_found_error",
                      .param = "model",
                      .code = "model_not_found"});
  return model;
}

GenerationRequest read_generation_fields(Fields& fields, const ServedModel& served) {
  GenerationRequest request;
  request.model = read_model(fields, served);
  fields.refuse(kRefused);
  const int vocab_size = served.tokenizer->vocab_size();
  read_distribution(fields, served.defaults, request.engine.params);
  read_logit_bias(fields, vocab_size, request.engine.params.logit_bias);
  read_end(fields, request, vocab_size);
  read_streaming(fields, request);
  read_scheduling(fields, served, request.engine);
  request.engine.choices = static_cast<int>(fields.integer("n", 1, kMaxChoices).value_or(1));
  request.include_stop_text = fields.boolean("include_stop_str_in_output").value_or(false);
  request.skip_special_tokens = fields.boolean("skip_special_tokens").value_or(true);
  request.return_token_ids = fields.boolean("return_token_ids").value_or(false);
  request.tokens_as_ids = fields.boolean("return_tokens_as_token_ids").value_or(false);
  request.truncate_prompt_tokens =
      fields.integer("truncate_prompt_tokens", 1, std::numeric_limits<std::int32_t>::max());
  if (const auto logprobs = fields.integer("prompt_logprobs", 0, kMaxLogprobs)) {
    request.engine.prompt_logprobs = static_cast<int>(*logprobs);
    if (request.stream)
      fields.fail("prompt_logprobs", "is given with stream: true; expected a whole answer");
  }
  request.engine.prediction = read_prediction(fields, served);
  request.engine.speculate = fields.boolean("speculate").value_or(true);
  // Read by every client, but without a say in the result.
  fields.text("user");
  request.constraint = read_constraint(fields);
  return request;
}

std::optional<ApiError> fit_to_context(GenerationRequest& request, std::int64_t prompt_tokens,
                                       std::string_view prompt_field,
                                       std::string_view max_tokens_field,
                                       const ServedModel& served) {
  const std::string field(prompt_field);
  if (prompt_tokens == 0) return invalid(field, field + " is empty; expected at least one token");
  if (served.max_prompt_tokens > 0 && prompt_tokens > served.max_prompt_tokens)
    return invalid(field,
                   fmt::format("{} has {} tokens; this server takes at most {}", field,
                               prompt_tokens, served.max_prompt_tokens),
                   "context_length_exceeded");
  const std::int64_t room = served.context - prompt_tokens;
  if (room < 1)
    return invalid(field,
                   fmt::format("This model's maximum context length is {} tokens, but {} has {} "
                               "tokens, which leaves none for an answer",
                               served.context, field, prompt_tokens),
                   "context_length_exceeded");
  SamplingParams& p = request.engine.params;
  const std::string output_field(max_tokens_field);
  if (p.max_tokens > room)
    return invalid(output_field,
                   fmt::format("This model's maximum context length is {} tokens, but {} were "
                               "asked for: {} in {} and {} in {}",
                               served.context, prompt_tokens + p.max_tokens, prompt_tokens, field,
                               p.max_tokens, output_field),
                   "context_length_exceeded");
  if (served.max_output_tokens > 0 && p.max_tokens > served.max_output_tokens)
    return invalid(output_field, fmt::format("{} is {}; this server gives at most {}", output_field,
                                             p.max_tokens, served.max_output_tokens));
  if (p.max_tokens < 0)
    p.max_tokens = static_cast<int>(
        served.max_output_tokens > 0 ? std::min(room, served.max_output_tokens) : room);
  if (p.min_tokens > p.max_tokens)
    return invalid("min_tokens", fmt::format("min_tokens is {}; expected at most {}, which is {}",
                                             p.min_tokens, output_field, p.max_tokens));
  return std::nullopt;
}

}  // namespace ridgeline::openai
