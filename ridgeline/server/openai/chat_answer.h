#pragma once

#include <memory>
#include <vector>

#include "ridgeline/server/openai/answer.h"
#include "ridgeline/server/openai/answer_json.h"
#include "ridgeline/server/openai/chat_plan.h"

namespace ridgeline::openai {

/// A call of a tool in an answer.
struct WrittenCall {
  std::string id, name, arguments;
};
std::string new_call_id(ToolCallFormat format);

/// /v1/chat/completions, streamed or whole.
class ChatAnswer : public Answer {
 public:
  ChatAnswer(ChatRequest request, ChatPlan plan, const ServedModel& served);

  void on_event(std::size_t index, TokenEvent&& event, std::string& out) override;
  void finish(std::string& out) override;
  bool complete() const override { return open_choices_ == 0; }
  std::string finish_reason() const override { return choices_.front().reader.finish_reason(); }

 private:
  struct Choice {
    ChoiceReader reader;
    bool begun = false;
    std::string content, reasoning;
    std::vector<WrittenCall> calls;
    std::vector<TokenLogprobs> logprobs;  ///< streamed: not sent yet
    std::vector<TokenId> tokens;          ///< likewise
  };
  Json head(const char* object) const;
  void take(Choice& choice, const OutputPiece& piece);
  void write_pieces(int index, Choice& choice, const ChoiceDelta& delta, std::string& out);
  void write_chunk(int index, Choice& choice, Json delta, bool finished, std::string& out);
  Json message_json(const Choice& choice) const;
  Usage usage() const;

  const ChatRequest request_;
  const ChatPlan plan_;
  const ServedModel& served_;
  const TokenNames names_;
  const std::string id_;
  const std::int64_t created_;
  std::vector<Choice> choices_;
  std::vector<TokenLogprobs> prompt_logprobs_;
  std::int64_t cached_tokens_ = 0;
  std::optional<SpeculationCounts> speculation_;
  std::size_t open_choices_;
};

}  // namespace ridgeline::openai
