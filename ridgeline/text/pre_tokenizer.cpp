#include "ridgeline/text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <new>
#include <string>

#include "ridgeline/base/check.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {
namespace {

// PCRE2's \s has U+180E besides, which has not been white space since Unicode 6.3;
// also, its JIT tests ranges faster than a property.
constexpr std::string_view kWhiteSpace =
    R"(\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

// Writes \s and \S out as ranges, inside a class or as one.
std::string with_unicode_spaces(std::string_view pattern) {
  std::string expanded;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c != '\\') {
      if (c == '[') in_class = true;
      if (c == ']') in_class = false;
      expanded.push_back(c);
      continue;
    }
    const char escaped = pattern[++i];
    if (escaped == 's') {
      expanded.append(in_class ? "" : "[").append(kWhiteSpace).append(in_class ? "" : "]");
    } else if (escaped == 'S') {
      RIDGELINE_CHECK(!in_class);
      expanded.append("[^").append(kWhiteSpace).append("]");
    } else {
      expanded.append({'\\', escaped});
    }
  }
  return expanded;
}

// How much the interpreter may take for one match where the JIT cannot: far more than
// the table's patterns, which nest nothing, need for a text of gigabytes.
constexpr std::uint32_t kInterpreterHeapKib = 1u << 20;

}  // namespace

struct PreTokenizer::Pattern {
  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
  bool has_jit = false;

  void compile(const std::string& text) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    const std::string expanded = with_unicode_spaces(text);
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expanded.data()), expanded.size(),
                         PCRE2_UTF | PCRE2_UCP | PCRE2_NO_AUTO_CAPTURE, &error, &offset, nullptr);
    RIDGELINE_CHECK(code != nullptr);  // the table's patterns are ours
    // Fails where the system forbids executable memory; the interpreter is left then.
    has_jit = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
    context = pcre2_match_context_create(nullptr);
    if (context == nullptr) throw std::bad_alloc();
    pcre2_set_heap_limit(context, kInterpreterHeapKib);
    pcre2_set_match_limit(context, 0xFFFFFFFFu);
    pcre2_set_depth_limit(context, 0xFFFFFFFFu);
  }
  Pattern() = default;
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  ~Pattern() {
    pcre2_match_context_free(context);
    pcre2_code_free(code);
  }
};

PreTokenizer::Scratch::Scratch() : match_data_(pcre2_match_data_create(1, nullptr)) {
  if (match_data_ == nullptr) throw std::bad_alloc();
}
PreTokenizer::Scratch::~Scratch() {
  pcre2_match_data_free(static_cast<pcre2_match_data*>(match_data_));
}

PreTokenizer::PreTokenizer(const PreTokenizerRow& row)
    : row_(&row), patterns_(std::make_unique<Pattern[]>(row.patterns.size())) {
  for (std::size_t i = 0; i < row.patterns.size(); ++i) patterns_[i].compile(row.patterns[i]);
}
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

Result<PreTokenizer> PreTokenizer::create(std::string_view name) {
  std::string known;
  for (const PreTokenizerRow& row : pre_tokenizer_table()) {
    if (std::find(row.names.begin(), row.names.end(), name) != row.names.end()) {
      return PreTokenizer(row);
    }
    for (const std::string_view other : row.names) {
      if (!other.empty()) known.append(known.empty() ? "" : ", ").append(other);
    }
  }
  return fail("the vocabulary's pre-tokenizer is " + quoted(name) + "; expected one of " + known);
}

PreTokenizer::Span PreTokenizer::next_match(int pattern, std::string_view text, std::size_t from,
                                            Scratch& scratch) const {
  const Pattern& compiled = patterns_[static_cast<std::size_t>(pattern)];
  auto* match_data = static_cast<pcre2_match_data*>(scratch.match_data_);
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  constexpr std::uint32_t kOptions = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
  int status = PCRE2_ERROR_JIT_BADOPTION;
  if (compiled.has_jit) {
    status = pcre2_jit_match(compiled.code, subject, text.size(), from, kOptions, match_data,
                             compiled.context);
  }
  if (status < 0 && status != PCRE2_ERROR_NOMATCH) {
    status = pcre2_match(compiled.code, subject, text.size(), from, kOptions | PCRE2_NO_JIT,
                         match_data, compiled.context);
  }
  // No match; or an error that is left, which is lack of memory: then the text stays
  // in one piece, and is still encoded whole.
  if (status < 0) return {text.size(), text.size()};
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(match_data);
  return {ends[0], ends[1]};
}

bool PreTokenizer::Pieces::next(std::string_view& piece) {
  if (at_ == text_.size()) return false;
  std::size_t end = match_end_;
  if (end <= at_) {
    const Span match = owner_.next_match(pattern_, text_, at_, scratch_);
    end = match.begin > at_ ? match.begin : match.end;
    match_end_ = match.end;
  }
  piece = text_.substr(at_, end - at_);
  at_ = end;
  return true;
}

}  // namespace ridgeline
