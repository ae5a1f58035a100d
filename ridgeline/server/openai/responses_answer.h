#pragma once

#include <string>
#include <vector>

#include "ridgeline/server/openai/answer.h"
#include "ridgeline/server/openai/answer_json.h"
#include "ridgeline/server/openai/chat_plan.h"
#include "ridgeline/server/openai/responses_request.h"

namespace ridgeline::openai {

/// /v1/responses, streamed or whole. A stream is OpenAI's sequence of events: the response is
/// created and in progress; each item is added, its parts and deltas come, it is done; the
/// response is completed, incomplete or failed.
class ResponsesAnswer : public Answer {
 public:
  ResponsesAnswer(ResponsesRequest request, ChatPlan plan, const ServedModel& served);

  void on_event(std::size_t index, TokenEvent&& event, std::string& out) override;
  void finish(std::string& out) override;
  void fail(const ApiError& error, std::string& out) override;
  bool complete() const override { return reader_.finished(); }
  std::string finish_reason() const override { return reader_.finish_reason(); }

 private:
  /// Of the output: a message, its reasoning, or a call.
  struct Item {
    OutputPiece::Kind kind;
    std::string id, text;  ///< of a call its arguments
    std::string call_id, call_name;
    std::vector<TokenLogprobs> logprobs;
    bool done = false;
  };
  void event(std::string type, Json fields, std::string& out);
  void begin(std::string& out);
  void take(const OutputPiece& piece, std::vector<TokenLogprobs>& logprobs, std::string& out);
  void open_item(const OutputPiece& piece, std::string& out);
  void close_item(std::string& out);
  Json item_json(const Item& item, bool filled) const;
  Json part_json(const Item& item, bool filled) const;
  Json logprobs_json(const std::vector<TokenLogprobs>& tokens) const;
  Json response_json(const std::string& status) const;
  bool continues(const OutputPiece& piece) const;

  const ResponsesRequest request_;
  const ChatPlan plan_;
  const ServedModel& served_;
  const TokenNames names_;
  const std::string id_;
  const std::int64_t created_;
  ChoiceReader reader_;
  std::vector<Item> items_;
  int calls_ = 0;
  std::int64_t sequence_number_ = 0, cached_tokens_ = 0;
  std::optional<SpeculationCounts> speculation_;
  bool begun_ = false;
  std::string error_;  ///< JSON, of a response that has failed
};

}  // namespace ridgeline::openai
