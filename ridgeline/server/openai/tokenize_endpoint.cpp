#include "ridgeline/server/openai/tokenize_endpoint.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ridgeline/server/openai/chat_plan.h"
#include "ridgeline/server/openai/completion_request.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline::openai {
namespace {

std::vector<TokenId> encode(const std::string& text, bool add_special, bool parse_special,
                            const Tokenizer& tokenizer) {
  Tokenizer::EncodeOptions options;
  options.parse_special = parse_special;
  if (!add_special) {
    options.add_bos = false;
    options.add_eos = false;
  }
  return tokenizer.encode(text, options);
}

/// llama-server's with_pieces: what is no UTF-8 is an array of bytes.
Json with_pieces(const std::vector<TokenId>& tokens, const Tokenizer& tokenizer) {
  Json list = Json::array();
  for (const TokenId id : tokens) {
    const std::string piece = tokenizer.piece(id, /*render_special=*/true);
    Json shown = piece;
    if (utf8_valid_prefix_bytes(piece) < piece.size()) {
      shown = Json::array();
      for (const char c : piece) shown.push_back(static_cast<unsigned char>(c));
    }
    list.push_back({{"id", id}, {"piece", std::move(shown)}});
  }
  return list;
}

}  // namespace

Checked<Json> tokenize(const Json& body, const ServedModel& served) {
  std::optional<ApiError> error;
  Fields fields(body, "", error);
  read_model(fields, served);
  const Tokenizer& tokenizer = *served.tokenizer;
  std::vector<TokenId> tokens;
  const auto content = fields.text("content");
  const auto prompt = fields.text("prompt");
  if (content) {
    tokens = encode(*content, fields.boolean("add_special").value_or(false),
                    fields.boolean("parse_special").value_or(true), tokenizer);
  } else if (prompt) {
    tokens = encode(*prompt, fields.boolean("add_special_tokens").value_or(true), true, tokenizer);
  } else if (fields.find("messages") != nullptr) {
    ChatPrompt chat = read_chat_prompt(fields, served);
    const Json* tools = fields.array("tools");
    if (tools != nullptr && !tools->empty()) chat.tools = dump(*tools);
    const bool add_special = fields.boolean("add_special_tokens").value_or(true);
    if (fields.ok()) {
      Checked<std::string> text = render_chat(chat, served);
      if (!text) return tl::make_unexpected(std::move(text).error());
      tokens = chat_tokens(*text, add_special, tokenizer);
    }
  } else {
    fields.fail("prompt", "is missing; expected prompt, messages or content");
  }
  const bool strings = fields.boolean("return_token_strs").value_or(false);
  const bool pieces = fields.boolean("with_pieces").value_or(false);
  if (error) return tl::make_unexpected(*std::move(error));

  Json answer{{"count", tokens.size()}, {"max_model_len", served.context}, {"tokens", tokens}};
  if (pieces) answer["tokens"] = with_pieces(tokens, tokenizer);
  if (strings) {
    Json list = Json::array();
    for (const TokenId id : tokens)
      list.push_back(tokenizer.data().tokens[static_cast<std::size_t>(id)]);
    answer["token_strs"] = std::move(list);
  }
  return answer;
}

Checked<Json> detokenize(const Json& body, const ServedModel& served) {
  std::optional<ApiError> error;
  Fields fields(body, "", error);
  read_model(fields, served);
  const Tokenizer& tokenizer = *served.tokenizer;
  const auto tokens = fields.token_ids("tokens");
  if (!tokens) fields.fail("tokens", "is missing; expected an array of token ids");
  if (tokens)
    for (std::size_t i = 0; i < tokens->size(); ++i)
      if (!tokenizer.is_valid((*tokens)[i]))
        fields.fail(fmt::format("tokens[{}]", i),
                    fmt::format("is token {}; expected an id below {}", (*tokens)[i],
                                tokenizer.vocab_size()));
  if (error) return tl::make_unexpected(*std::move(error));
  const std::string text = tokenizer.decode(*tokens, /*render_special=*/true);
  return Json{{"prompt", text}, {"content", text}};
}

}  // namespace ridgeline::openai
