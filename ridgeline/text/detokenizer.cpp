#include "ridgeline/text/tokenizer.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline {

StreamingDetokenizer::StreamingDetokenizer(const Tokenizer& tokenizer, bool render_special)
    : tokenizer_(&tokenizer), render_special_(render_special) {}

std::string StreamingDetokenizer::push(TokenId id) {
  tokenizer_->append_piece(id, render_special_, state_, pending_);
  return take_characters();
}

std::string StreamingDetokenizer::finish() {
  std::string text = take_characters();
  if (!pending_.empty()) text += kReplacementUtf8;
  pending_.clear();
  state_ = {};
  return text;
}

void StreamingDetokenizer::skip(std::span<const TokenId> prompt) {
  for (const TokenId id : prompt) {
    pending_.clear();
    tokenizer_->append_piece(id, render_special_, state_, pending_);
  }
  pending_.clear();
}

// Moves out of pending_ what more bytes cannot change.
std::string StreamingDetokenizer::take_characters() {
  std::string text;
  std::size_t at = 0;
  while (at < pending_.size()) {
    const std::string_view rest = std::string_view(pending_).substr(at);
    const Utf8Step step = utf8_step(rest);
    if (step.status == Utf8Step::Status::kTruncated) break;
    if (step.status == Utf8Step::Status::kCharacter) {
      text += rest.substr(0, step.length_bytes);
    } else {
      text += kReplacementUtf8;
    }
    at += step.length_bytes;
  }
  pending_.erase(0, at);
  return text;
}

}  // namespace ridgeline
