#include "ridgeline/server/openai/choice_reader.h"

#include <utility>

namespace ridgeline::openai {

ChoiceReader::ChoiceReader(const Tokenizer& tokenizer, const OutputFormat& format,
                           ReadOptions options)
    : tokenizer_(tokenizer),
      options_(options),
      harmony_(format.harmony),
      parser_(make_output_parser(format)) {}

void ChoiceReader::take(std::vector<OutputPiece> pieces, ChoiceDelta& delta) {
  for (OutputPiece& piece : pieces) {
    if (finished()) return;
    if (piece.kind == OutputPiece::Kind::kReasoning && !options_.include_reasoning) continue;
    if (piece.kind == OutputPiece::Kind::kToolCall && piece.call > 0 && !options_.parallel_calls) {
      finish_reason_ = "tool_calls";
      delta.finished = true;
      return;
    }
    if (!delta.pieces.empty() && delta.pieces.back().kind == piece.kind &&
        delta.pieces.back().call == piece.call && piece.call_name.empty())
      delta.pieces.back().text += piece.text;
    else
      delta.pieces.push_back(std::move(piece));
  }
}

ChoiceDelta ChoiceReader::read(TokenEvent&& event) {
  ChoiceDelta delta;
  if (finished()) return delta;
  take(parser_->push(event.text), delta);
  // The token that ended the text is no part of it.
  const bool ended_by_token = event.finished == FinishReason::kStop && event.stop_string.empty();
  if (event.token) {
    ++num_tokens_;
    if (!ended_by_token) {
      const std::string shown = tokenizer_.piece(*event.token);
      if (shown.empty()) {
        const std::string control = tokenizer_.piece(*event.token, /*render_special=*/true);
        const bool as_text = !options_.skip_special_tokens && !harmony_;
        take(as_text ? parser_->push(control) : parser_->control(control), delta);
      }
      delta.tokens.push_back(*event.token);
      if (event.logprobs) delta.logprobs.push_back(*std::move(event.logprobs));
    }
    if (parser_->in_reasoning()) ++num_reasoning_tokens_;
  }
  if (event.finished && !finished()) finish(event, delta);
  return delta;
}

void ChoiceReader::finish(const TokenEvent& event, ChoiceDelta& delta) {
  stop_string_ = event.stop_string;
  stop_token_ = event.stop_token;
  if (options_.include_stop_text) {
    if (!stop_string_.empty()) take(parser_->push(stop_string_), delta);
    if (stop_token_)
      take(parser_->push(tokenizer_.piece(*stop_token_, !options_.skip_special_tokens)), delta);
  }
  take(parser_->finish(), delta);
  if (finished()) return;
  delta.finished = true;
  if (event.finished == FinishReason::kLength)
    finish_reason_ = "length";
  else
    finish_reason_ = parser_->calls() > 0 ? "tool_calls" : "stop";
}

}  // namespace ridgeline::openai
