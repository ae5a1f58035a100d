#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "ridgeline/base/result.h"
#include "ridgeline/text/pre_tokenizer_table.h"

namespace ridgeline {

/// The compiled patterns of one row of the table. Immutable; PCRE2 with JIT.
class PreTokenizer {
 public:
  /// Errors: a name that no row has (the sentence lists those that exist).
  static Result<PreTokenizer> create(std::string_view name);
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;
  ~PreTokenizer();

  const PreTokenizerRow& row() const { return *row_; }
  int num_patterns() const { return static_cast<int>(row_->patterns.size()); }

  /// What matching writes to; one per thread.
  class Scratch {
   public:
    Scratch();
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

   private:
    friend class PreTokenizer;
    void* match_data_;
  };

  /// Walks over the pieces into which one pattern cuts a text.
  class Pieces {
   public:
    /// `text` is valid UTF-8 and not empty; it and `scratch` outlive this. Several
    /// walks may share a scratch.
    Pieces(const PreTokenizer& owner, int pattern, std::string_view text, Scratch& scratch)
        : owner_(owner), pattern_(pattern), text_(text), scratch_(scratch) {}
    /// False at the end; else sets `piece`, which is never empty.
    bool next(std::string_view& piece);

   private:
    const PreTokenizer& owner_;
    int pattern_;
    std::string_view text_;
    Scratch& scratch_;
    std::size_t at_ = 0;         // where the next piece begins
    std::size_t match_end_ = 0;  // where a match that begins at at_ ends, if it is later
  };

 private:
  struct Pattern;
  struct Span {
    std::size_t begin, end;
  };
  explicit PreTokenizer(const PreTokenizerRow& row);
  /// The next match at or after `from`; what is left of the text if there is none.
  Span next_match(int pattern, std::string_view text, std::size_t from, Scratch& scratch) const;

  const PreTokenizerRow* row_;
  std::unique_ptr<Pattern[]> patterns_;
};

}  // namespace ridgeline
