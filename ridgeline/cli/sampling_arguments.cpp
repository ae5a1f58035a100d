#include "ridgeline/cli/sampling_arguments.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <random>

namespace ridgeline::cli {
namespace {

/// "ID+1.5", "ID-2", "ID-inf".
Result<LogitBias> parse_bias(const std::string& text) {
  LogitBias bias;
  const char* end = text.data() + text.size();
  const auto [sign, id_error] = std::from_chars(text.data(), end, bias.token);
  if (id_error == std::errc{} && sign != end && (*sign == '+' || *sign == '-')) {
    const auto [rest, error] = std::from_chars(*sign == '+' ? sign + 1 : sign, end, bias.bias);
    if (error == std::errc{} && rest == end) return bias;
  }
  return fail(
      fmt::format("--logit-bias {}: expected a token id and a signed number, as 15043+1.5 or "
                  "2-inf",
                  text));
}

}  // namespace

void SamplingArguments::add_to(CLI::App& command) {
  command_ = &command;
  SamplingParams& p = params;
  command.add_option("-n,--predict", p.max_tokens, "tokens to generate; -1: until the model ends")
      ->check(CLI::Range(-1, std::numeric_limits<int>::max()))
      ->capture_default_str();
  command.add_option("--temp,--temperature", p.temperature, "temperature; 0: greedy")
      ->capture_default_str();
  command.add_option("--top-k", p.top_k, "keep the k most probable tokens; 0: all")
      ->capture_default_str();
  command.add_option("--top-p", p.top_p, "keep the most probable tokens up to this sum; 1: all")
      ->capture_default_str();
  command.add_option("--min-p", p.min_p, "drop tokens less probable than this share of the best")
      ->capture_default_str();
  command.add_option("--typical", p.typical_p, "locally typical sampling; 1: off")
      ->capture_default_str();
  command
      .add_option("--repeat-penalty", p.repetition_penalty,
                  "divides logits of repeated tokens; 1: off")
      ->capture_default_str();
  command.add_option("--repeat-last-n", p.repeat_last_n, "tokens the penalties look back; -1: all")
      ->capture_default_str();
  command
      .add_option("--presence-penalty", p.presence_penalty, "subtracted once from repeated tokens")
      ->capture_default_str();
  command.add_option("--frequency-penalty", p.frequency_penalty, "subtracted for each repetition")
      ->capture_default_str();
  command.add_option("-l,--logit-bias", logit_bias, "TOKEN_ID(+|-)BIAS, may be repeated");
  command.add_option("-s,--seed", seed, "seed of the random choices; -1: another each time")
      ->check(CLI::Range(std::int64_t{-1}, std::numeric_limits<std::int64_t>::max()))
      ->capture_default_str();
  command.add_flag("--ignore-eos", p.ignore_eos, "do not stop at the end of generation");
  command.add_option("-r,--stop,--reverse-prompt", p.stop,
                     "stop before this text, may be repeated");
}

Status SamplingArguments::check() const {
  RIDGELINE_TRY(const SamplingParams p, sampling_params());
  return validate(p);
}

void SamplingArguments::adopt(const GenerationDefaults& defaults) {
  const auto set = [this](const char* flag, const auto& value, auto& to) {
    if (value && command_->get_option(flag)->count() == 0)
      to = static_cast<std::remove_reference_t<decltype(to)>>(*value);
  };
  set("--temp", defaults.temperature, params.temperature);
  set("--top-k", defaults.top_k, params.top_k);
  set("--top-p", defaults.top_p, params.top_p);
  set("--min-p", defaults.min_p, params.min_p);
  set("--repeat-penalty", defaults.repetition_penalty, params.repetition_penalty);
}

Result<SamplingParams> SamplingArguments::sampling_params() const {
  SamplingParams p = params;
  if (seed >= 0) {
    p.seed = static_cast<std::uint64_t>(seed);
  } else {
    std::random_device device;
    p.seed = device();
  }
  for (const std::string& text : logit_bias) {
    RIDGELINE_TRY(const LogitBias bias, parse_bias(text));
    p.logit_bias.push_back(bias);
  }
  return p;
}

}  // namespace ridgeline::cli
