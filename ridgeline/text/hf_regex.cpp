#include "ridgeline/text/hf_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <new>
#include <utility>

#include "ridgeline/text/vocabulary.h"

namespace ridgeline {
namespace {

// For one match that begins at one place. The expressions of real files need a few
// steps for each character of a run; one that needs more than this is hostile, or its
// text is, and the rest of the text then stays in one piece.
constexpr std::uint32_t kMaxSteps = 1u << 28;
constexpr std::uint32_t kInterpreterHeapKib = 1u << 20;

}  // namespace

struct HfRegex::Code {
  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
  bool has_jit = false;

  Code() = default;
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() {
    pcre2_match_context_free(context);
    pcre2_code_free(code);
  }
};

HfRegex::HfRegex(std::unique_ptr<const Code> code) : code_(std::move(code)) {}
HfRegex::HfRegex(HfRegex&&) noexcept = default;
HfRegex& HfRegex::operator=(HfRegex&&) noexcept = default;
HfRegex::~HfRegex() = default;

HfRegex::Scratch::Scratch() : match_data_(pcre2_match_data_create(1, nullptr)) {
  if (match_data_ == nullptr) throw std::bad_alloc();
}
HfRegex::Scratch::~Scratch() { pcre2_match_data_free(static_cast<pcre2_match_data*>(match_data_)); }

Result<HfRegex> HfRegex::create(std::string_view pattern) {
  RIDGELINE_TRY(const std::string translated, pcre2_from_oniguruma(pattern));
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> options(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  if (options == nullptr) throw std::bad_alloc();
  pcre2_set_newline(options.get(), PCRE2_NEWLINE_LF);
  auto compiled = std::make_unique<Code>();
  int error = 0;
  PCRE2_SIZE offset = 0;
  // Ruby's ^ and $ always mean lines, and what is named does not hide what is not.
  compiled->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                 PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                                 &error, &offset, options.get());
  if (compiled->code == nullptr) {
    PCRE2_UCHAR message[160] = {};
    pcre2_get_error_message(error, message, sizeof message);
    return fail("the regular expression " + quoted(pattern) +
                " cannot be used: " + reinterpret_cast<const char*>(message));
  }
  // Fails where the system forbids executable memory; the interpreter is left then.
  compiled->has_jit = pcre2_jit_compile(compiled->code, PCRE2_JIT_COMPLETE) == 0;
  compiled->context = pcre2_match_context_create(nullptr);
  if (compiled->context == nullptr) throw std::bad_alloc();
  pcre2_set_heap_limit(compiled->context, kInterpreterHeapKib);
  pcre2_set_match_limit(compiled->context, kMaxSteps);
  pcre2_set_depth_limit(compiled->context, kMaxSteps);
  return HfRegex(std::move(compiled));
}

bool HfRegex::Matches::next(Span& match) {
  auto* match_data = static_cast<pcre2_match_data*>(scratch_.match_data_);
  const Code& code = *regex_.code_;
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text_.data());
  while (!at_end_) {
    int status = PCRE2_ERROR_JIT_BADOPTION;
    if (code.has_jit) {
      status = pcre2_jit_match(code.code, subject, text_.size(), from_, PCRE2_NO_UTF_CHECK,
                               match_data, code.context);
    }
    // The JIT's stack is small; what it cannot do, the interpreter may.
    if (status < 0 && status != PCRE2_ERROR_NOMATCH && status != PCRE2_ERROR_MATCHLIMIT) {
      status = pcre2_match(code.code, subject, text_.size(), from_,
                           PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match_data, code.context);
    }
    if (status < 0) break;
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(match_data);
    const Span found = {ends[0], ends[1]};
    if (found.end < found.begin) break;  // \K within a lookahead can say so
    at_end_ = found.end >= text_.size() && found.begin == found.end;
    from_ = found.end;
    if (found.begin == found.end) {
      // Once more from the next character, as what is found here would be the same.
      do ++from_;
      while (from_ < text_.size() && (static_cast<unsigned char>(text_[from_]) & 0xC0) == 0x80);
      if (found.end == last_end_) continue;
    }
    if (from_ > text_.size()) at_end_ = true;
    last_end_ = found.end;
    match = found;
    return true;
  }
  at_end_ = true;
  return false;
}

}  // namespace ridgeline
