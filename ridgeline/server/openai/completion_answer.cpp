#include "ridgeline/server/openai/completion_answer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ridgeline::openai {

CompletionAnswer::Choice::Choice(const Tokenizer& tokenizer, const CompletionRequest& request,
                                 TokenNames names)
    : reader(tokenizer, OutputFormat{},
             ReadOptions{.include_stop_text = request.include_stop_text,
                         .skip_special_tokens = request.skip_special_tokens}),
      logprobs(names) {}

CompletionAnswer::CompletionAnswer(CompletionRequest request,
                                   std::vector<std::vector<TokenId>> prompts,
                                   const ServedModel& served)
    : request_(std::move(request)),
      prompts_(std::move(prompts)),
      served_(served),
      names_{served.tokenizer, request_.tokens_as_ids},
      id_(new_id("cmpl-")),
      created_(unix_seconds()),
      prompt_logprobs_(prompts_.size()),
      cached_tokens_(prompts_.size()),
      open_choices_(prompts_.size() * static_cast<std::size_t>(request_.engine.choices)) {
  choices_.reserve(open_choices_);
  for (std::size_t i = 0; i < open_choices_; ++i)
    choices_.emplace_back(*served.tokenizer, request_, names_);
}

Json CompletionAnswer::head() const {
  return {{"id", id_},
          {"object", "text_completion"},
          {"created", created_},
          {"model", request_.model},
          {"system_fingerprint", served_.fingerprint}};
}

std::string CompletionAnswer::prompt_text(std::size_t prompt) const {
  const Prompt& given = request_.prompts[prompt];
  const bool whole = !given.is_tokens && !request_.truncate_prompt_tokens;
  return whole ? given.text : served_.tokenizer->decode(prompts_[prompt]);
}

/// The prompt before the first of the answer, where it is asked for.
void CompletionAnswer::begin(std::size_t index, Choice& choice, ChoiceDelta& delta) {
  choice.begun = true;
  if (!request_.echo) return;
  const std::size_t prompt = index / static_cast<std::size_t>(request_.engine.choices);
  delta.pieces.insert(delta.pieces.begin(),
                      {OutputPiece::Kind::kContent, prompt_text(prompt), 0, ""});
  if (!request_.shows_logprobs) return;
  choice.logprobs.add_unknown(prompts_[prompt].front());
  for (const TokenLogprobs& token : prompt_logprobs_[prompt]) choice.logprobs.add(token);
}

void CompletionAnswer::on_event(std::size_t index, TokenEvent&& event, std::string& out) {
  const auto per_prompt = static_cast<std::size_t>(request_.engine.choices);
  const std::size_t at = index * per_prompt + static_cast<std::size_t>(event.choice);
  Choice& choice = choices_[at];
  cached_tokens_[index] = std::max(cached_tokens_[index], event.reused_tokens);
  add_speculation(speculation_, event);
  if (!event.prompt_logprobs.empty()) prompt_logprobs_[index] = std::move(event.prompt_logprobs);
  const bool was_finished = choice.reader.finished();
  ChoiceDelta delta = choice.reader.read(std::move(event));
  if (request_.scores_only) {
    delta.pieces.clear();
    delta.logprobs.clear();
    delta.tokens.clear();
  }
  if (!choice.begun) begin(at, choice, delta);
  std::string text;
  for (const OutputPiece& piece : delta.pieces) text += piece.text;
  for (const TokenLogprobs& token : delta.logprobs) {
    choice.logprob_sum += static_cast<double>(token.chosen.logprob);
    if (request_.shows_logprobs) choice.logprobs.add(token);
  }
  if (!was_finished && choice.reader.finished()) --open_choices_;
  if (request_.stream) {
    const bool says =
        !text.empty() || delta.finished ||
        (!delta.tokens.empty() && (request_.return_token_ids || request_.shows_logprobs));
    if (says && !was_finished) write_chunk(at, choice, text, delta, out);
    return;
  }
  choice.text += text;
  choice.tokens.insert(choice.tokens.end(), delta.tokens.begin(), delta.tokens.end());
}

void CompletionAnswer::write_chunk(std::size_t index, Choice& choice, const std::string& text,
                                   const ChoiceDelta& delta, std::string& out) {
  Json chunk = head();
  Json one{{"index", index}, {"text", text}, {"logprobs", nullptr}, {"finish_reason", nullptr}};
  if (request_.shows_logprobs) one["logprobs"] = choice.logprobs.take();
  if (request_.return_token_ids) one["token_ids"] = delta.tokens;
  if (delta.finished) {
    one["finish_reason"] = choice.reader.finish_reason();
    one["stop_reason"] = stop_reason_json(choice.reader);
  }
  chunk["choices"] = Json::array({std::move(one)});
  if (request_.include_usage)
    chunk["usage"] = request_.continuous_usage ? usage_json(usage()) : Json(nullptr);
  out += sse_event(chunk);
}

Json CompletionAnswer::choice_json(std::size_t index, Choice& choice) {
  const std::size_t prompt = index / static_cast<std::size_t>(request_.engine.choices);
  Json one{{"text", choice.text},
           {"logprobs", nullptr},
           {"finish_reason", choice.reader.finish_reason()},
           {"stop_reason", stop_reason_json(choice.reader)}};
  if (request_.shows_logprobs) one["logprobs"] = choice.logprobs.take();
  if (request_.engine.prompt_logprobs && !request_.echo)
    one["prompt_logprobs"] = prompt_logprobs_json(prompt_logprobs_[prompt], names_);
  if (request_.return_token_ids) {
    one["token_ids"] = choice.tokens;
    one["prompt_token_ids"] = prompts_[prompt];
  }
  return one;
}

std::vector<std::size_t> CompletionAnswer::chosen(std::size_t prompt) const {
  const auto per_prompt = static_cast<std::size_t>(request_.engine.choices);
  const auto wanted = static_cast<std::size_t>(request_.wanted);
  std::vector<std::size_t> order(per_prompt);
  for (std::size_t i = 0; i < per_prompt; ++i) order[i] = prompt * per_prompt + i;
  if (wanted < per_prompt) {  // best_of: by the mean log-probability of a token
    const auto mean = [this](std::size_t i) {
      return choices_[i].logprob_sum /
             static_cast<double>(std::max<std::int64_t>(choices_[i].reader.num_tokens(), 1));
    };
    std::ranges::stable_sort(order,
                             [&](std::size_t a, std::size_t b) { return mean(a) > mean(b); });
    order.resize(wanted);
  }
  return order;
}

void CompletionAnswer::finish(std::string& out) {
  if (request_.stream) {
    if (request_.include_usage) {
      Json chunk = head();
      chunk["choices"] = Json::array();
      chunk["usage"] = usage_json(usage());
      out += sse_event(chunk);
    }
    out += "data: [DONE]\n\n";
    return;
  }
  Json answer = head();
  Json list = Json::array();
  for (std::size_t prompt = 0; prompt < prompts_.size(); ++prompt) {
    for (const std::size_t i : chosen(prompt)) {
      Json one{{"index", list.size()}};
      one.update(choice_json(i, choices_[i]));
      list.push_back(std::move(one));
    }
  }
  answer["choices"] = std::move(list);
  answer["usage"] = usage_json(usage());
  out = dump(answer);
}

Usage CompletionAnswer::usage() const {
  Usage usage;
  for (const auto& prompt : prompts_)
    usage.prompt_tokens += static_cast<std::int64_t>(prompt.size());
  for (const std::int64_t cached : cached_tokens_) usage.cached_tokens += cached;
  usage.speculation = speculation_;
  if (!request_.scores_only)
    for (const Choice& choice : choices_) usage.completion_tokens += choice.reader.num_tokens();
  return usage;
}

}  // namespace ridgeline::openai
