#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

/// A line of a file of prompts.
struct PromptLine {
  std::string category;  ///< "prompts" where the line has none
  std::string text;      ///< the first of its turns
};

/// JSON lines with `turns`, an array of texts, or `prompt`, and, if they like, `category`, as
/// Spec-Bench has them. Errors name the line.
Result<std::vector<PromptLine>> read_prompt_lines(const std::string& path);

/// Two pages of English to quote from.
std::string_view sample_passage();

/// The text with one word exchanged for another of its words in every `every`th line that has
/// words, from the second on; lines as long as a page are taken by sentences.
std::string edited(std::string_view text, int every);
/// A summary that quotes every third sentence of the text, in order, between words of its own.
std::string quoting_summary(std::string_view text);

/// `count` tokens in which, for each n from 1 to 8, the last n tokens are never followed by what
/// followed them the last time: a drafter that looks up what they were followed by is always
/// wrong, however long its match. `alphabet`: at least 9 different tokens; with a few more than
/// that, matches of two and three tokens are everywhere.
std::vector<TokenId> misleading_tokens(std::span<const TokenId> alphabet, std::int64_t count,
                                       unsigned seed);
/// The same, but every `period` tokens a quote of `quoted` tokens from earlier on: drafts come to
/// be trusted, and are wrong again.
std::vector<TokenId> luring_tokens(std::span<const TokenId> alphabet, std::int64_t count,
                                   std::int64_t period, std::int64_t quoted, unsigned seed);
/// `size` different tokens of the vocabulary that are ordinary text; fewer if it has no more.
std::vector<TokenId> ordinary_tokens(const Tokenizer& tokenizer, std::size_t size);

}  // namespace ridgeline
