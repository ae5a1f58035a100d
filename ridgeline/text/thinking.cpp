#include "ridgeline/text/thinking.h"

#include <algorithm>

namespace ridgeline {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

void drop_leading_space(std::string& text) {
  text.erase(0, std::min(text.find_first_not_of(kSpace), text.size()));
}

/// Bytes at the end of `text` that could be the beginning of `tag`, white space before
/// them included where `with_space`.
std::size_t held_back(const std::string& text, std::string_view tag, bool with_space) {
  std::size_t held = 0;
  for (std::size_t n = std::min(text.size(), tag.size() - 1); n > 0 && held == 0; --n)
    if (text.ends_with(tag.substr(0, n))) held = n;
  if (!with_space) return held;
  const std::size_t end = text.size() - held;
  const std::size_t last = text.find_last_not_of(kSpace, end == 0 ? 0 : end - 1);
  const std::size_t kept = end == 0 || last == std::string::npos ? 0 : last + 1;
  return text.size() - kept;
}

}  // namespace

ThinkingSplitter::ThinkingSplitter(std::string open, std::string close, bool inside)
    : open_(std::move(open)), close_(std::move(close)) {
  state_ = open_.empty() || close_.empty() ? State::kAnswer
           : inside                        ? State::kThinking
                                           : State::kStart;
}

ThinkingSplitter::Piece ThinkingSplitter::push(std::string_view text) {
  pending_ += text;
  Piece piece;
  walk(piece, /*at_end=*/false);
  return piece;
}

ThinkingSplitter::Piece ThinkingSplitter::finish() {
  Piece piece;
  walk(piece, /*at_end=*/true);
  return piece;
}

void ThinkingSplitter::walk(Piece& piece, bool at_end) {
  if (state_ == State::kStart) {
    std::string start = pending_;
    drop_leading_space(start);
    if (start.starts_with(open_)) {
      pending_ = start.substr(open_.size());
      state_ = State::kThinking;
    } else if (at_end || !std::string_view(open_).starts_with(start)) {
      state_ = State::kAnswer;
    } else {
      return;
    }
  }
  if (state_ == State::kThinking) {
    if (fresh_) drop_leading_space(pending_);
    if (!pending_.empty()) fresh_ = false;
    const std::size_t close = pending_.find(close_);
    if (close != std::string::npos) {
      piece.thinking += pending_.substr(0, close);
      while (!piece.thinking.empty() && kSpace.find(piece.thinking.back()) != kSpace.npos)
        piece.thinking.pop_back();
      pending_.erase(0, close + close_.size());
      state_ = State::kBehind;
    } else {
      const std::size_t held = at_end ? 0 : held_back(pending_, close_, /*with_space=*/true);
      piece.thinking += pending_.substr(0, pending_.size() - held);
      pending_.erase(0, pending_.size() - held);
      return;
    }
  }
  if (state_ == State::kBehind) {
    drop_leading_space(pending_);
    if (pending_.empty()) return;
    state_ = State::kAnswer;
  }
  piece.answer += pending_;
  pending_.clear();
}

bool HarmonySplitter::control(std::string_view token) {
  if (token == "<|channel|>") {
    state_ = State::kChannel;
    channel_.clear();
  } else if (token == "<|message|>") {
    state_ = State::kMessage;
  } else if (token == "<|start|>" || token == "<|end|>" || token == "<|return|>" ||
             token == "<|call|>" || token == "<|constrain|>") {
    state_ = State::kRole;
  } else {
    return false;
  }
  return true;
}

ThinkingSplitter::Piece HarmonySplitter::push(std::string_view text) {
  switch (state_) {
    case State::kRole:
      return {};
    case State::kChannel:
      channel_ += text;
      return {};
    case State::kMessage:
      break;
  }
  if (channel_.starts_with("analysis")) return {std::string(text), ""};
  return {"", std::string(text)};
}

}  // namespace ridgeline
