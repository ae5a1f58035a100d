#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/text/jinja/lexer.h"

namespace ridgeline::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& next() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  int line() const { return current().line; }

  bool is(Token::Type type) const { return current().type == type; }
  bool is_operator(std::string_view text) const {
    return is(Token::Type::kOperator) && current().text == text;
  }
  bool is_name(std::string_view text) const {
    return is(Token::Type::kName) && current().text == text;
  }
  bool skip_operator(std::string_view text) {
    const bool there = is_operator(text);
    if (there) next();
    return there;
  }
  bool skip_name(std::string_view text) {
    const bool there = is_name(text);
    if (there) next();
    return there;
  }
  void expect_operator(std::string_view text) {
    if (!skip_operator(text)) unexpected(text);
  }
  void expect_name(std::string_view text) {
    if (!skip_name(text)) unexpected(text);
  }
  void expect(Token::Type type) {
    if (!is(type)) unexpected(describe({type, 0, "", {}}));
    next();
  }
  std::string expect_any_name() {
    if (!is(Token::Type::kName)) unexpected("a name");
    return next().text;
  }

  /// Throws that something else stands here.
  [[noreturn]] void unexpected(std::string_view expected) const;
  [[noreturn]] void fail(std::string message) const;

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

}  // namespace ridgeline::jinja
