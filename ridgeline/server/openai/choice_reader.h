#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/engine/request.h"
#include "ridgeline/text/tokenizer.h"
#include "ridgeline/text/tool_calls/output_parser.h"

namespace ridgeline::openai {

/// What tokens brought, taken apart.
struct ChoiceDelta {
  std::vector<OutputPiece> pieces;
  std::vector<TokenLogprobs> logprobs;
  std::vector<TokenId> tokens;
  bool finished = false;

  bool empty() const { return pieces.empty() && logprobs.empty() && tokens.empty() && !finished; }
};

struct ReadOptions {
  bool include_stop_text = false;
  bool skip_special_tokens = true;
  bool parallel_calls = true;  ///< false: the answer ends where a second call begins
  bool include_reasoning = true;
};

/// One choice of one request: turns its events into what is said to the client.
class ChoiceReader {
 public:
  ChoiceReader(const Tokenizer& tokenizer, const OutputFormat& format, ReadOptions options);

  ChoiceDelta read(TokenEvent&& event);

  /// Once finished: "stop", "length" or "tool_calls".
  const std::string& finish_reason() const { return finish_reason_; }
  bool finished() const { return !finish_reason_.empty(); }
  const std::string& stop_string() const { return stop_string_; }
  std::optional<TokenId> stop_token() const { return stop_token_; }
  std::int64_t num_tokens() const { return num_tokens_; }
  std::int64_t num_reasoning_tokens() const { return num_reasoning_tokens_; }

 private:
  void take(std::vector<OutputPiece> pieces, ChoiceDelta& delta);
  void finish(const TokenEvent& event, ChoiceDelta& delta);

  const Tokenizer& tokenizer_;
  ReadOptions options_;
  bool harmony_;
  std::unique_ptr<OutputParser> parser_;
  std::string finish_reason_, stop_string_;
  std::optional<TokenId> stop_token_;
  std::int64_t num_tokens_ = 0, num_reasoning_tokens_ = 0;
};

}  // namespace ridgeline::openai
