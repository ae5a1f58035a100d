#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/engine.h"
#include "ridgeline/text/chat_template.h"

namespace ridgeline {

struct ChatMessage {
  std::string role;  ///< "system", "user", "assistant", "tool"
  std::string content;
  std::string reasoning;  ///< of an answer: what stood between the thinking tags
};

/// What answering cost.
struct AnswerStats {
  std::int64_t prompt_tokens = 0;
  std::int64_t reused_tokens = 0;  ///< of the prompt, already in the KV cache
  std::int64_t answer_tokens = 0;
  double first_token_seconds = 0, decode_seconds = 0;
  FinishReason finish_reason = FinishReason::kStop;
};

/// Several turns with one model. With an engine that has a prefix cache a turn computes only
/// what its prompt does not share with the conversation so far, to the block. The tokens
/// of earlier answers are kept as they were sampled, so that spelling them anew cannot
/// change them.
class Conversation {
 public:
  Conversation(Engine& engine, ChatTemplate chat_template);
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  /// Further variables of the template, name and JSON ("enable_thinking", "false").
  void set_variable(const std::string& name, std::string json);

  const std::vector<ChatMessage>& messages() const { return messages_; }
  void add(ChatMessage message) { messages_.push_back(std::move(message)); }
  /// Replaces the first message of the role system, or puts one in front; "" takes it away.
  void set_system(const std::string& text);
  /// Takes the last answer and, with `question`, what led to it away. False: there is none.
  bool drop_last(bool question);
  void clear() { messages_.clear(); }

  /// What streams in, as soon as it is certain.
  struct Piece {
    std::string text;
    bool thinking = false;
  };
  /// Answers the messages so far and appends the answer to them; `cancel` ends it early,
  /// and what was said until then stays. Errors: the template refuses the messages, or the
  /// conversation has no more room in the context.
  Result<AnswerStats> answer(const SamplingParams& params,
                             const std::function<void(const Piece&)>& on_piece,
                             const std::atomic<bool>& cancel);

  /// The messages as JSON, {"messages": [...]}, and back. Errors name `source`.
  std::string to_json() const;
  Status from_json(const std::string& text, const std::string& source);

 private:
  Result<std::string> render() const;
  /// Tokens of a prompt; those that it begins with like the conversation so far are the
  /// very tokens of then.
  std::vector<TokenId> tokens_of(const std::string& prompt) const;

  Engine& engine_;
  ChatTemplate template_;
  std::vector<std::pair<std::string, std::string>> variables_;
  std::vector<ChatMessage> messages_;

  // What was computed last, and is in the prefix cache.
  std::string text_;             ///< prompt and answer, special tokens written out
  std::vector<TokenId> tokens_;  ///< of text_
};

}  // namespace ridgeline
