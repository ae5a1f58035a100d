#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/tokenizer_pipeline.h"

namespace ridgeline {

/// tokenizer.json's "decoder": what tokens stand for. Its parts are kept apart by
/// whether a token is the first, so that tokens can be decoded one by one; parts that
/// would need all of them at once are not supported. Immutable.
class HfDecoder {
 public:
  /// Without a definition tokens are joined with spaces. Sets what `ends` says of decoded
  /// texts. Errors: a type that is not supported (the sentence lists those that are), a
  /// part behind Fuse that would look across tokens.
  static Result<HfDecoder> create(const nlohmann::json& definition, TokenizerPipeline::Ends& ends);

  /// `is_added`: it is one of the added tokens, whose texts are no byte-level text.
  TokenizerPipeline::Piece decode(const std::string& token, bool is_added) const;

  /// `text` is a token's, so far.
  struct Token {
    std::string text;
    bool is_first, is_added;
  };

 private:
  friend class HfDecoderReader;
  std::vector<std::function<void(Token&)>> steps_;
};

}  // namespace ridgeline
