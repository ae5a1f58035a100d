#include "ridgeline/tools/eval.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "ridgeline/base/check.h"

namespace ridgeline {
namespace {

/// Rows of logits computed at a time; Engine::load reserves at least as many.
constexpr std::int64_t kLogitRows = 16;

/// -ln of the probability that the logits give `token`, in double precision.
double negative_log_likelihood(std::span<const float> logits, TokenId token) {
  const float max = *std::ranges::max_element(logits);
  double sum = 0;
  for (float l : logits) sum += std::exp(static_cast<double>(l - max));
  return std::log(sum) - static_cast<double>(logits[static_cast<std::size_t>(token)] - max);
}

/// Adds up what the windows cost.
class Scorer {
 public:
  explicit Scorer(Engine& engine)
      : engine_(engine),
        vocab_(static_cast<std::size_t>(engine.config().vocab_size)),
        logits_(static_cast<std::size_t>(kLogitRows) * vocab_) {}

  Status score(const EvalWindow& window) {
    const auto length = static_cast<std::int64_t>(window.tokens.size());
    if (length > engine_.context())
      return fail(fmt::format("a sequence of {} tokens does not fit the context of {}", length,
                              engine_.context()));
    SequenceBlocks blocks(engine_.kv_pools());
    // The last token predicts nothing that is known.
    const std::int64_t inputs = length - 1;
    for (std::int64_t begin = 0; begin < inputs; begin += engine_.batch_tokens())
      RIDGELINE_TRY_STATUS(
          score_chunk(window, blocks, begin, std::min(inputs, begin + engine_.batch_tokens())));
    return {};
  }

  EvalResult result() const {
    EvalResult r;
    r.predicted_tokens = count_;
    const auto n = static_cast<double>(count_);
    r.nll = sum_ / n;
    const double variance = std::max(0.0, sum_squares_ / n - r.nll * r.nll);
    r.nll_stderr = count_ > 1 ? std::sqrt(variance / (n - 1)) : 0.0;
    r.perplexity = std::exp(r.nll);
    return r;
  }

 private:
  Status score_chunk(const EvalWindow& window, SequenceBlocks& blocks, std::int64_t begin,
                     std::int64_t end) {
    RIDGELINE_CHECK(blocks.advance(begin, end));
    Batch batch;
    batch.tokens.assign(window.tokens.begin() + begin, window.tokens.begin() + end);
    batch.slices = {{0, static_cast<std::int32_t>(end - begin), begin, blocks.tables()}};
    // Row r holds position begin + r and predicts the token after it.
    const std::int64_t first = std::max(begin, static_cast<std::int64_t>(window.score_from) - 1);
    for (std::int64_t p = first; p < end; ++p)
      batch.logit_rows.push_back(static_cast<std::int32_t>(p - begin));
    engine_.model().forward(batch, engine_.kv_cache());

    const auto rows = static_cast<std::int64_t>(batch.logit_rows.size());
    for (std::int64_t row = 0; row < rows; row += kLogitRows) {
      const std::int64_t count = std::min(kLogitRows, rows - row);
      engine_.model().head(row, count,
                           std::span(logits_).first(static_cast<std::size_t>(count) * vocab_));
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t position = begin + batch.logit_rows[static_cast<std::size_t>(row + i)];
        const double nll = negative_log_likelihood(
            std::span(logits_).subspan(static_cast<std::size_t>(i) * vocab_, vocab_),
            window.tokens[static_cast<std::size_t>(position + 1)]);
        if (!std::isfinite(nll))
          return fail(
              fmt::format("the logits of position {} are not finite numbers; the weights may "
                          "be damaged",
                          position));
        sum_ += nll;
        sum_squares_ += nll * nll;
        ++count_;
      }
    }
    return {};
  }

  Engine& engine_;
  std::size_t vocab_;
  std::vector<float> logits_;
  double sum_ = 0, sum_squares_ = 0;
  std::int64_t count_ = 0;
};

}  // namespace

Result<std::vector<EvalWindow>> text_windows(const Tokenizer& tokenizer, std::string_view text,
                                             std::int64_t context) {
  const std::vector<TokenId> tokens = tokenizer.encode(text);
  if (static_cast<std::int64_t>(tokens.size()) < context || context < 4)
    return fail(
        fmt::format("the text has {} tokens, expected at least one window of {} (--context)",
                    tokens.size(), context));
  std::vector<EvalWindow> windows;
  for (std::int64_t begin = 0; begin + context <= static_cast<std::int64_t>(tokens.size());
       begin += context) {
    EvalWindow window;
    window.tokens.assign(tokens.begin() + begin, tokens.begin() + begin + context);
    if (tokenizer.adds_bos() && tokenizer.data().bos) window.tokens.front() = *tokenizer.data().bos;
    window.score_from = static_cast<std::size_t>(context / 2 + 1);
    windows.push_back(std::move(window));
  }
  return windows;
}

Result<std::vector<EvalWindow>> token_windows(std::string_view lines, const std::string& name,
                                              int vocab_size, std::int64_t context) {
  std::vector<EvalWindow> windows;
  std::size_t line_number = 0;
  while (!lines.empty()) {
    ++line_number;
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(lines.size(), end + 1));

    std::vector<std::int64_t> numbers;
    for (const char* p = line.data(); p != line.data() + line.size();) {
      if (*p == ' ' || *p == '\t' || *p == '\r') {
        ++p;
        continue;
      }
      std::int64_t value = 0;
      const auto [next, error] = std::from_chars(p, line.data() + line.size(), value);
      if (error != std::errc{})
        return fail(fmt::format("{}:{}: '{}' is not a number", name, line_number,
                                std::string_view(p, line.data() + line.size()).substr(0, 20)));
      numbers.push_back(value);
      p = next;
    }
    if (numbers.empty()) continue;
    if (numbers.front() != static_cast<std::int64_t>(numbers.size()) - 1 || numbers.size() < 3)
      return fail(fmt::format("{}:{}: the count is {}, but {} ids follow (at least 2 are needed)",
                              name, line_number, numbers.front(), numbers.size() - 1));
    EvalWindow window;
    for (std::size_t i = 1; i < numbers.size(); ++i) {
      if (numbers[i] < 0 || numbers[i] >= vocab_size)
        return fail(fmt::format("{}:{}: token id {}, expected 0 to {}", name, line_number,
                                numbers[i], vocab_size - 1));
      window.tokens.push_back(static_cast<TokenId>(numbers[i]));
    }
    window.tokens.resize(std::min(window.tokens.size(), static_cast<std::size_t>(context)));
    windows.push_back(std::move(window));
  }
  if (windows.empty()) return fail(fmt::format("{}: no sequences in it", name));
  return windows;
}

Result<EvalResult> evaluate(Engine& engine, const std::vector<EvalWindow>& windows,
                            const std::function<void(double fraction)>& progress) {
  RIDGELINE_CHECK(!windows.empty());
  Scorer scorer(engine);
  for (std::size_t i = 0; i < windows.size(); ++i) {
    RIDGELINE_TRY_STATUS(scorer.score(windows[i]));
    if (progress) progress(static_cast<double>(i + 1) / static_cast<double>(windows.size()));
  }
  EvalResult result = scorer.result();
  result.windows = static_cast<std::int64_t>(windows.size());
  return result;
}

}  // namespace ridgeline
