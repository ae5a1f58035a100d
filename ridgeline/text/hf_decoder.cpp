#include "ridgeline/text/hf_decoder.h"

#include <utility>

#include "ridgeline/text/byte_level_map.h"
#include "ridgeline/text/hf_json.h"
#include "ridgeline/text/hf_model.h"
#include "ridgeline/text/hf_text.h"
#include "ridgeline/text/utf8.h"

namespace ridgeline {
namespace {

constexpr std::string_view kSupported =
    "Sequence, ByteLevel, ByteFallback, Fuse, Strip, Replace, Metaspace, WordPiece, BPEDecoder";

// Up to so many of the character at both ends.
void strip(std::string& text, std::string_view character, std::size_t start, std::size_t stop) {
  std::string_view rest = text;
  for (std::size_t i = 0; i < start && rest.starts_with(character); ++i) {
    rest.remove_prefix(character.size());
  }
  for (std::size_t i = 0; i < stop && rest.ends_with(character); ++i) {
    rest.remove_suffix(character.size());
  }
  text = std::string(rest);
}

// English as the corpora of early language models had been cut, put together again.
void clean_up(std::string& text) {
  constexpr std::pair<std::string_view, std::string_view> kReplacements[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kReplacements) replace_all(text, from, to);
}

}  // namespace

class HfDecoderReader {
 public:
  using Token = HfDecoder::Token;
  HfDecoderReader(HfDecoder& decoder, TokenizerPipeline::Ends& ends)
      : steps_(decoder.steps_), ends_(ends) {}

  Status read(const HfPart& part) {
    RIDGELINE_TRY(const std::string type, part.string("type"));
    if (type == "Sequence") {
      RIDGELINE_TRY(const auto parts, part.list("decoders"));
      for (const HfPart& child : parts) RIDGELINE_TRY_STATUS(read(child));
      return {};
    }
    if (type == "Strip") return read_strip(part);
    if (type == "Fuse") {
      is_fused_ = true;
      return {};
    }
    if (is_fused_) {
      return fail("the " + part.name() + " has the type " + type +
                  " behind Fuse or ByteLevel, where only Strip is supported");
    }
    return read_of_token(part, type);
  }

 private:
  template <class Function>
  Status add(Function&& function) {
    steps_.emplace_back(std::forward<Function>(function));
    return {};
  }

  Status read_strip(const HfPart& part) {
    RIDGELINE_TRY(const char32_t c, part.character("content", U' '));
    RIDGELINE_TRY(const std::int64_t start, part.integer("start", 0));
    RIDGELINE_TRY(const std::int64_t stop, part.integer("stop", 0));
    std::string character;
    append_utf8(c, character);
    if (!is_fused_) {
      return add([character, start = static_cast<std::size_t>(start),
                  stop = static_cast<std::size_t>(stop)](Token& token) {
        strip(token.text, character, start, stop);
      });
    }
    if (stop != 0 || ends_.max_dropped != 0) {
      return fail("the " + part.name() +
                  " strips the end of a text behind Fuse, or its front twice, which is not "
                  "supported");
    }
    ends_.dropped_character = character;
    ends_.max_dropped = static_cast<std::size_t>(start);
    return {};
  }

  Status read_of_token(const HfPart& part, const std::string& type) {
    if (type == "ByteLevel") {
      is_fused_ = true;
      return add([](Token& token) {
        std::string bytes;
        if (!token.is_added && append_byte_level_decoded(token.text, bytes)) token.text = bytes;
      });
    }
    if (type == "ByteFallback") {
      return add([](Token& token) {
        if (const auto byte = byte_of_token_text(token.text)) token.text = static_cast<char>(*byte);
      });
    }
    if (type == "Metaspace") return read_metaspace(part);
    if (type == "Replace") return read_replace(part);
    if (type == "WordPiece") {
      RIDGELINE_TRY(const std::string prefix, part.string("prefix", "##"));
      RIDGELINE_TRY(const bool cleanup, part.boolean("cleanup", true));
      return add([prefix, cleanup](Token& token) {
        if (!token.is_first) {
          if (token.text.starts_with(prefix)) {
            token.text.erase(0, prefix.size());
          } else {
            token.text.insert(token.text.begin(), ' ');
          }
        }
        if (cleanup) clean_up(token.text);
      });
    }
    if (type == "BPEDecoder") {
      RIDGELINE_TRY(const std::string suffix, part.string("suffix", "</w>"));
      if (suffix.empty()) return fail("'" + part.name() + ".suffix' is empty");
      ends_.drops_last_space = true;
      return add([suffix](Token& token) { replace_all(token.text, suffix, " "); });
    }
    return part.unsupported_type(type, kSupported);
  }

  Status read_metaspace(const HfPart& part) {
    RIDGELINE_TRY(const char32_t c, part.character("replacement", U'\u2581'));
    RIDGELINE_TRY(const bool add_prefix_space, part.boolean("add_prefix_space", true));
    RIDGELINE_TRY(const std::string scheme,
                  part.string("prepend_scheme", add_prefix_space ? "always" : "never"));
    std::string mark;
    append_utf8(c, mark);
    return add([mark, drops = scheme != "never"](Token& token) {
      replace_all(token.text, mark, token.is_first && drops ? "" : " ");
    });
  }

  Status read_replace(const HfPart& part) {
    RIDGELINE_TRY(const HfPart::Pattern pattern, part.pattern("pattern"));
    RIDGELINE_TRY(const std::string content, part.string("content"));
    if (!pattern.is_regex && !pattern.text.empty() && content.size() <= kMaxContentBytes) {
      return add(
          [from = pattern.text, content](Token& token) { replace_all(token.text, from, content); });
    }
    return fail("the " + part.name() +
                " replaces a regular expression, an empty string, or by a long one, which is not "
                "supported in a decoder");
  }

  // Bounds what a few such parts make of a token.
  static constexpr std::size_t kMaxContentBytes = 64;

  std::vector<std::function<void(Token&)>>& steps_;
  TokenizerPipeline::Ends& ends_;
  bool is_fused_ = false;
};

Result<HfDecoder> HfDecoder::create(const nlohmann::json& definition,
                                    TokenizerPipeline::Ends& ends) {
  HfDecoder decoder;
  if (definition.is_null()) {
    decoder.steps_.emplace_back([](Token& token) {
      if (!token.is_first) token.text.insert(token.text.begin(), ' ');
    });
    return decoder;
  }
  RIDGELINE_TRY_STATUS(HfDecoderReader(decoder, ends).read(HfPart(definition, "decoder")));
  constexpr std::size_t kMaxSteps = 16;
  if (decoder.steps_.size() > kMaxSteps) {
    return fail("the decoder has more than " + std::to_string(kMaxSteps) + " parts");
  }
  return decoder;
}

TokenizerPipeline::Piece HfDecoder::decode(const std::string& text, bool is_added) const {
  Token inside = {text, false, is_added}, first = {text, true, is_added};
  for (const auto& step : steps_) {
    step(inside);
    step(first);
  }
  return {std::move(inside.text), std::move(first.text)};
}

}  // namespace ridgeline
