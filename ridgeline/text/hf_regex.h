#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "ridgeline/base/result.h"

namespace ridgeline {

/// A regular expression of a tokenizer.json, which is in Oniguruma's syntax (with its
/// defaults, which are Ruby's), run by PCRE2. Immutable.
class HfRegex {
 public:
  /// Errors: not an expression, or a construct that PCRE2 does not have.
  static Result<HfRegex> create(std::string_view pattern);
  HfRegex(HfRegex&&) noexcept;
  HfRegex& operator=(HfRegex&&) noexcept;
  ~HfRegex();

  /// What matching writes to; one per thread.
  class Scratch {
   public:
    Scratch();
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

   private:
    friend class HfRegex;
    void* match_data_;
  };

  struct Span {
    std::size_t begin, end;
  };
  /// Walks over all matches in a text, which is valid UTF-8 and outlives this. They do
  /// not overlap; one may be empty, unless it touches the one before.
  class Matches {
   public:
    Matches(const HfRegex& regex, std::string_view text, Scratch& scratch)
        : regex_(regex), text_(text), scratch_(scratch) {}
    bool next(Span& match);

   private:
    const HfRegex& regex_;
    std::string_view text_;
    Scratch& scratch_;
    std::size_t from_ = 0;
    std::size_t last_end_ = std::string_view::npos;
    bool at_end_ = false;
  };

 private:
  struct Code;
  explicit HfRegex(std::unique_ptr<const Code> code);
  std::unique_ptr<const Code> code_;
};

/// The same expression as PCRE2 writes it. Errors: a class that does not end, a property
/// or construct that has no counterpart.
Result<std::string> pcre2_from_oniguruma(std::string_view pattern);

}  // namespace ridgeline
