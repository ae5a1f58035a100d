#include "ridgeline/tools/load/token_lengths.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace ridgeline::load {
namespace {

constexpr std::int64_t kTokensMax = std::int64_t{1} << 24;

bool parse_tokens(std::string_view text, std::int64_t& tokens) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), tokens);
  return error == std::errc{} && end == text.data() + text.size() && tokens >= 0 &&
         tokens <= kTokensMax;
}

}  // namespace

Result<TokenLengths> TokenLengths::parse(const std::string& text, const char* option) {
  TokenLengths lengths;
  const std::size_t mark = text.find_first_of(",-");
  bool good = parse_tokens(std::string_view(text).substr(0, mark), lengths.first_);
  if (mark != text.npos) {
    lengths.kind_ = text[mark] == ',' ? Kind::kNormal : Kind::kUniform;
    good = good && parse_tokens(std::string_view(text).substr(mark + 1), lengths.second_);
    if (lengths.kind_ == Kind::kUniform) good = good && lengths.second_ >= lengths.first_;
  }
  if (!good || lengths.first_ < 1)
    return fail(
        fmt::format("{} '{}': expected tokens from 1 to {} as 100, as 100,20 (mean and standard "
                    "deviation) or as 50-150 (a range)",
                    option, text, kTokensMax));
  return lengths;
}

std::int64_t TokenLengths::draw(SeededRandom& random) const {
  switch (kind_) {
    case Kind::kConstant:
      break;
    case Kind::kNormal: {
      const double value =
          static_cast<double>(first_) + static_cast<double>(second_) * random.normal();
      return std::clamp<std::int64_t>(std::llround(value), 1, kTokensMax);
    }
    case Kind::kUniform:
      return first_ + static_cast<std::int64_t>(
                          random.below(static_cast<std::uint64_t>(second_ - first_ + 1)));
  }
  return first_;
}

}  // namespace ridgeline::load
