#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

class Tokenizer;

namespace grammar {
struct Program;
class MaskCache;
class TokenTrie;
struct ThreadSet;
}  // namespace grammar

/// What a text may be: a regular expression, a JSON schema's instances, a GBNF grammar, and
/// what is composed of such. Compiled, immutable, shared by any number of matchers and
/// threads. Compiling takes bounded time and memory; what is too large, or not supported,
/// is an error whose sentence names the place, never ignored.
class Grammar {
 public:
  using Ptr = std::shared_ptr<const Grammar>;

  /// JSON texts that are valid by a JSON schema (2020-12, and the spellings of drafts 4 to 7).
  /// Properties come in any order and none twice; white space is allowed where JSON allows it,
  /// in runs of at most 64 characters and not behind the end. Keywords that no draft defines,
  /// annotations and unknown formats say nothing; others that are not supported are an error that
  /// names the JSON pointer and the keyword. The language may be smaller than the schema's (an
  /// integer is not written as 1.0), never larger.
  static Result<Ptr> from_json_schema(std::string_view schema);
  /// Any JSON object.
  static Result<Ptr> from_json_object();
  /// The whole text matches; ECMAScript's syntax without lookaround, back-references and \b.
  static Result<Ptr> from_regex(std::string_view pattern);
  static Result<Ptr> from_choices(std::span<const std::string> choices);
  /// llama.cpp's syntax; the text is what the rule `root` derives.
  static Result<Ptr> from_gbnf(std::string_view text);

  /// Exactly these bytes. A control token may stand for its text here, in GBNF's literals and
  /// as free_text_until()'s tag, nowhere else.
  static Result<Ptr> literal(std::string_view text);
  static Result<Ptr> sequence(std::vector<Ptr> parts);
  static Result<Ptr> any_of(std::vector<Ptr> parts);
  /// Any text up to the first `tag`, and the tag: sequence({free_text_until("</think>"), g}).
  static Result<Ptr> free_text_until(std::string_view tag);

  explicit Grammar(std::unique_ptr<const grammar::Program> program);
  ~Grammar();
  Grammar(const Grammar&) = delete;
  Grammar& operator=(const Grammar&) = delete;

  const grammar::Program& program() const { return *program_; }
  grammar::MaskCache& masks() const { return *masks_; }

 private:
  std::unique_ptr<const grammar::Program> program_;
  std::unique_ptr<grammar::MaskCache> masks_;
};

/// The bytes of each token of a vocabulary, as a trie. Built once for a model; immutable.
class GrammarVocabulary {
 public:
  explicit GrammarVocabulary(const Tokenizer& tokenizer);
  /// Of a test: bytes of each token; which of them are control tokens or end a generation.
  GrammarVocabulary(std::vector<std::string> pieces, std::vector<TokenId> control,
                    std::vector<TokenId> end_of_generation);
  ~GrammarVocabulary();
  GrammarVocabulary(const GrammarVocabulary&) = delete;
  GrammarVocabulary& operator=(const GrammarVocabulary&) = delete;

  int size() const;
  std::size_t mask_words() const { return (static_cast<std::size_t>(size()) + 31) / 32; }
  const grammar::TokenTrie& trie() const { return *trie_; }

 private:
  std::unique_ptr<const grammar::TokenTrie> trie_;
};

/// The state of one sequence. Copyable: a copy costs the states on its stacks' tops. Not
/// thread-safe itself; matchers of one grammar may be used by different threads.
class GrammarMatcher {
 public:
  GrammarMatcher(Grammar::Ptr grammar, std::shared_ptr<const GrammarVocabulary> vocabulary);
  ~GrammarMatcher();
  GrammarMatcher(const GrammarMatcher&);
  GrammarMatcher& operator=(const GrammarMatcher&);
  GrammarMatcher(GrammarMatcher&&) noexcept;
  GrammarMatcher& operator=(GrammarMatcher&&) noexcept;

  /// One bit per token, bit t % 32 of word t / 32; at least mask_words() of them, those
  /// behind are cleared. Tokens that end the generation are set exactly when the text may
  /// end here. Cached by state, shared between the matchers of a grammar.
  void allowed(std::span<std::uint32_t> mask);
  /// False, and nothing changed: the token is not allowed here. A token that ends the
  /// generation is accepted where may_end(), and nothing after it.
  bool accept(TokenId token);
  /// The same for bytes, of which no mask speaks: all of them, or none.
  bool accept_text(std::string_view bytes);
  /// The text so far is complete.
  bool may_end() const;
  /// It is, and nothing else may follow.
  bool must_end() const;

 private:
  bool step_bytes(std::string_view bytes, std::uint64_t token_begin);

  Grammar::Ptr grammar_;
  std::shared_ptr<const GrammarVocabulary> vocabulary_;
  std::unique_ptr<grammar::ThreadSet> threads_;
  bool ended_ = false;
};

}  // namespace ridgeline
