#pragma once

#include <memory>
#include <vector>

#include "ridgeline/server/openai/answer.h"
#include "ridgeline/server/openai/answer_json.h"
#include "ridgeline/server/openai/completion_request.h"

namespace ridgeline::openai {

/// /v1/completions, streamed or whole. Choices are numbered prompt by prompt, as OpenAI's.
class CompletionAnswer : public Answer {
 public:
  /// `prompts`: of each its tokens; the texts are those of `request`.
  CompletionAnswer(CompletionRequest request, std::vector<std::vector<TokenId>> prompts,
                   const ServedModel& served);

  void on_event(std::size_t index, TokenEvent&& event, std::string& out) override;
  void finish(std::string& out) override;
  bool complete() const override { return open_choices_ == 0; }
  std::string finish_reason() const override { return choices_.front().reader.finish_reason(); }

 private:
  struct Choice {
    Choice(const Tokenizer& tokenizer, const CompletionRequest& request, TokenNames names);

    ChoiceReader reader;
    LegacyLogprobs logprobs;
    bool begun = false;
    std::string text;
    std::vector<TokenId> tokens;
    double logprob_sum = 0;
  };
  Json head() const;
  void begin(std::size_t index, Choice& choice, ChoiceDelta& delta);
  void write_chunk(std::size_t index, Choice& choice, const std::string& text,
                   const ChoiceDelta& delta, std::string& out);
  Json choice_json(std::size_t index, Choice& choice);
  /// Of a prompt's choices those that are wanted, the likeliest first where there are more.
  std::vector<std::size_t> chosen(std::size_t prompt) const;
  std::string prompt_text(std::size_t prompt) const;
  Usage usage() const;

  const CompletionRequest request_;
  const std::vector<std::vector<TokenId>> prompts_;
  const ServedModel& served_;
  const TokenNames names_;
  const std::string id_;
  const std::int64_t created_;
  std::vector<Choice> choices_;  ///< [prompts][engine.choices]
  std::vector<std::vector<TokenLogprobs>> prompt_logprobs_;
  std::vector<std::int64_t> cached_tokens_;
  std::optional<SpeculationCounts> speculation_;  ///< of the prompts that are done
  std::size_t open_choices_;
};

}  // namespace ridgeline::openai
