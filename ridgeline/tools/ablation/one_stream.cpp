#include "ridgeline/tools/ablation/one_stream.h"

#include <algorithm>
#include <chrono>

#include "ridgeline/base/check.h"
#include "ridgeline/tools/statistics.h"

namespace ridgeline {
namespace {

/// Of the time that there is, what growing prompts may take, so that the rest is for steps.
constexpr double kPromptShare = 0.8;
/// What takes less of the time than this is measured three times.
constexpr double kRepeatShare = 0.1;
/// Steps behind each shorter prompt.
constexpr int kStepsOfShort = 2;

class Measuring {
 public:
  Measuring(Generation& generation, std::span<const TokenId> prompt, std::int64_t output_tokens,
            bool has_cache, double seconds_max)
      : generation_(generation),
        prompt_(prompt),
        output_tokens_(output_tokens),
        has_cache_(has_cache),
        seconds_max_(seconds_max),
        begin_(Clock::now()) {}

  Result<OneStream> run() {
    // Pages of weights and workspace, and caches.
    RIDGELINE_TRY_STATUS(generation_.start(prompt_.first(1), 1).map([](const auto&) {}));
    RIDGELINE_TRY(const bool reached, grow());
    if (reached) {
      RIDGELINE_TRY_STATUS(measure_full());
    } else {
      result_.prompt_fit = fit_pass(result_.prompts);
      fit_steps();
      extrapolate();
    }
    generation_.stop();
    return std::move(result_);
  }

 private:
  double spent() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }
  template <class Call>
  Result<double> timed(Call&& call) {
    const auto start = Clock::now();
    RIDGELINE_TRY(const std::vector<TokenId> tokens, call());
    (void)tokens;
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  /// Longer and longer prompts, as far as there is time; whether the whole one was among them.
  Result<bool> grow() {
    const auto full = std::ssize(prompt_);
    for (std::int64_t length = std::min<std::int64_t>(2, full);;) {
      RIDGELINE_TRY(const double seconds, timed([&] {
                      return generation_.start(prompt_.first(static_cast<std::size_t>(length)),
                                               output_tokens_);
                    }));
      result_.prompts.push_back({static_cast<double>(length), seconds});
      if (length == full) return true;
      for (int i = 0; has_cache_ && i < std::min<std::int64_t>(kStepsOfShort, output_tokens_ - 1);
           ++i) {
        RIDGELINE_TRY(const double step, timed([&] { return generation_.next(); }));
        result_.steps.push_back({static_cast<double>(length + i), step});
      }
      const GrowthFit fit = fit_pass(result_.prompts);
      const double left = kPromptShare * seconds_max_ - spent();
      if (fit.seconds(static_cast<double>(full)) < left)
        length = full;
      else if (fit.seconds(static_cast<double>(2 * length)) < left)
        length = std::min(2 * length, full);
      else
        return false;
    }
  }

  /// The prompt was just computed: its steps, and all of it again if that costs little.
  Status measure_full() {
    const auto full = static_cast<double>(prompt_.size());
    std::vector<double> firsts{result_.prompts.back().seconds}, rates;
    RIDGELINE_TRY_STATUS(measure_steps(rates));
    const bool repeat = spent() < kRepeatShare * seconds_max_;
    for (int i = 0; repeat && i < 2; ++i) {
      RIDGELINE_TRY(const double again,
                    timed([&] { return generation_.start(prompt_, output_tokens_); }));
      firsts.push_back(again);
      result_.prompts.push_back({full, again});
      RIDGELINE_TRY_STATUS(measure_steps(rates));
    }
    result_.ttft_seconds = {median(firsts), false};
    // Short prompts are bound by the weights' way through memory and say little of long ones.
    result_.prompt_fit =
        has_cache_ ? GrowthFit{.linear = median(firsts) / full} : fit_pass(result_.prompts);
    fit_steps();
    // Without a cache the steps that there was no time for are longer than the others.
    if (has_cache_ || result_.measured_tokens >= output_tokens_ - 1)
      result_.tokens_per_second = {median(rates), false};
    else
      extrapolate_steps();
    return {};
  }

  /// The steps behind the full prompt, as many as there is time for.
  Status measure_steps(std::vector<double>& rates) {
    std::int64_t tokens = 0;
    const auto begin = Clock::now();
    while (tokens < output_tokens_ - 1 && (tokens < 1 || spent() < seconds_max_)) {
      const auto start = Clock::now();
      RIDGELINE_TRY(const std::vector<TokenId> next, generation_.next());
      if (next.empty()) break;  // the request is at its end
      const std::chrono::duration<double> step = Clock::now() - start;
      result_.steps.push_back({static_cast<double>(std::ssize(prompt_) + tokens),
                               step.count() / static_cast<double>(next.size())});
      tokens += std::ssize(next);
    }
    const std::chrono::duration<double> seconds = Clock::now() - begin;
    rates.push_back(static_cast<double>(tokens) / seconds.count());
    result_.measured_tokens = tokens;
    return {};
  }

  void fit_steps() {
    if (has_cache_)
      result_.step_fit = fit_step(result_.steps);
    else
      result_.step_fit = result_.prompt_fit;
  }
  void extrapolate() {
    result_.ttft_seconds = {result_.prompt_fit.seconds(static_cast<double>(prompt_.size())), true};
    extrapolate_steps();
  }
  void extrapolate_steps() {
    const auto steps = static_cast<double>(output_tokens_ - 1);
    result_.tokens_per_second = {
        steps /
            result_.step_fit.sum(static_cast<double>(prompt_.size()) + (has_cache_ ? 0 : 1), steps),
        true};
  }

  Generation& generation_;
  std::span<const TokenId> prompt_;
  std::int64_t output_tokens_;
  bool has_cache_;
  double seconds_max_;
  Clock::time_point begin_;
  OneStream result_;
};

}  // namespace

double OneStream::seconds(std::int64_t prompt_tokens, std::int64_t output_tokens) const {
  return prompt_fit.seconds(static_cast<double>(prompt_tokens)) +
         step_fit.sum(static_cast<double>(prompt_tokens), static_cast<double>(output_tokens - 1));
}

Result<OneStream> measure_one_stream(Generation& generation, std::span<const TokenId> prompt,
                                     std::int64_t output_tokens, bool has_cache,
                                     double seconds_max) {
  RIDGELINE_CHECK(!prompt.empty() && output_tokens >= 2);
  return Measuring(generation, prompt, output_tokens, has_cache, seconds_max).run();
}

}  // namespace ridgeline
