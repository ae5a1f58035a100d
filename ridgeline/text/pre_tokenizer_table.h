#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ridgeline {

/// How a byte-level vocabulary cuts text into the pieces that its merges work on.
/// Supporting another one takes a row here, if regular expressions can say it.
struct PreTokenizerRow {
  /// The names by which files call it (GGUF's tokenizer.ggml.pre).
  std::vector<std::string_view> names;
  /// Applied one after the other, each to every piece that the ones before it left: a
  /// match becomes a piece of its own, and so does what lies between matches.
  /// PCRE2 syntax, with \s for Unicode's White_Space.
  std::vector<std::string> patterns;
  /// After so many patterns the pieces are words: short, and many of them repeated.
  int num_patterns_to_words = 1;
  /// A piece that is a token is taken as it is, whatever the merges would make of it.
  bool ignore_merges = false;
  /// Whether a text begins with the bos token where the file does not say.
  bool add_bos = false;
};

std::span<const PreTokenizerRow> pre_tokenizer_table();

}  // namespace ridgeline
