#include "ridgeline/tools/load/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "ridgeline/tools/load/text_file.h"

namespace ridgeline::load {
namespace {

using Json = nlohmann::json;

/// What a stream of random numbers decides.
enum Stream : std::uint32_t { kArrivals, kLengths, kPrefixes, kTexts };

/// Independent seeds of one (SplitMix64's finalizer).
std::uint64_t mixed(std::uint64_t seed, std::uint64_t with) {
  std::uint64_t x = seed + 0x9E3779B97F4A7C15 * (with + 1);
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

std::int64_t scaled(std::int64_t tokens, double scale, std::int64_t max) {
  const auto n = std::max<std::int64_t>(std::llround(static_cast<double>(tokens) * scale), 1);
  return max > 0 ? std::min(n, max) : n;
}

}  // namespace

Result<std::vector<Workload::GivenPrompt>> Workload::read_prompts(const std::string& path,
                                                                  Endpoint endpoint) {
  RIDGELINE_TRY(const std::string file, read_text_file(path));
  std::vector<GivenPrompt> prompts;
  std::string_view text = file;
  for (std::size_t line_number = 1; !text.empty(); ++line_number) {
    const std::string_view line = next_line(text);
    if (line.empty()) continue;
    const Json j = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    GivenPrompt given;
    if (j.is_object() && j.contains("prompt") && j["prompt"].is_string()) {
      given.prompt = j["prompt"];
    } else if (j.is_object() && j.contains("turns") && j["turns"].is_array() &&
               !j["turns"].empty() && j["turns"][0].is_string()) {
      given.prompt = j["turns"][0];
    } else if (j.is_object() && j.contains("messages") && j["messages"].is_array()) {
      if (endpoint != Endpoint::kChat)
        return fail(fmt::format("{}: line {}: messages go to --endpoint chat", path, line_number));
      given.messages = j["messages"].dump(-1, ' ', false, Json::error_handler_t::replace);
    } else {
      return fail(
          fmt::format("{}: line {}: expected a JSON object with a prompt, turns or messages", path,
                      line_number));
    }
    prompts.push_back(std::move(given));
  }
  if (prompts.empty()) return fail(fmt::format("{}: no prompt in it", path));
  return prompts;
}

Result<Workload> Workload::create(const WorkloadOptions& options, Endpoint endpoint,
                                  TokenCounter& counter) {
  std::vector<GivenPrompt> given;
  std::string words;
  if (options.prompts_file.ends_with(".jsonl")) {
    RIDGELINE_TRY(given, read_prompts(options.prompts_file, endpoint));
    const auto has_messages = [](const GivenPrompt& g) { return !g.messages.empty(); };
    if (options.shared_prefix > 0 && std::ranges::any_of(given, has_messages))
      return fail(fmt::format("{}: messages take no --shared-prefix", options.prompts_file));
  } else if (!options.prompts_file.empty()) {
    RIDGELINE_TRY(words, read_text_file(options.prompts_file));
    if (words.find_first_not_of(" \t\r\n") == words.npos)
      return fail(fmt::format("{}: no word in it", options.prompts_file));
  }
  Workload workload(options, PromptMaker(counter, words));
  workload.given_ = std::move(given);
  if (!options.trace_file.empty()) {
    RIDGELINE_TRY(workload.trace_, read_trace(options.trace_file, options.requests));
  }
  return workload;
}

Result<std::vector<PlannedRequest>> Workload::plan(std::uint32_t round, std::size_t requests) {
  std::vector<PlannedRequest> plan(trace_.empty() ? requests : std::min(requests, trace_.size()));
  if (trace_.empty()) {
    RIDGELINE_TRY_STATUS(fill_synthetic(plan, round));
  } else {
    RIDGELINE_TRY_STATUS(fill_from_trace(plan, round));
  }
  if (maker_.estimates())
    for (PlannedRequest& request : plan) request.prompt_tokens = 0;
  if (options_.rate > 0) {
    SeededRandom random(mixed(options_.seed, round), kArrivals);
    double now = 0;
    for (PlannedRequest& request : plan) {
      request.arrival_s = now;
      now += random.exponential() / options_.rate;
    }
  }
  return plan;
}

Status Workload::fill_synthetic(std::vector<PlannedRequest>& plan, std::uint32_t round) {
  const std::uint64_t seed = mixed(options_.seed, round);
  SeededRandom lengths(seed, kLengths), groups(seed, kPrefixes);
  std::vector<MadePrompt> prefixes;
  if (options_.shared_prefix > 0)
    for (int g = 0; g < options_.prefix_groups; ++g) {
      const SeededRandom random(mixed(seed, static_cast<std::uint64_t>(g)), kPrefixes);
      RIDGELINE_TRY(MadePrompt prefix, maker_.make(options_.shared_prefix, random));
      prefix.text += ' ';
      prefixes.push_back(std::move(prefix));
    }
  for (std::size_t i = 0; i < plan.size(); ++i) {
    MadePrompt prompt;
    plan[i].max_tokens = scaled(options_.output_tokens.draw(lengths), 1, options_.output_max);
    if (!prefixes.empty()) prompt = prefixes[groups.below(prefixes.size())];
    if (!given_.empty()) {
      const GivenPrompt& given = given_[(round * options_.requests + i) % given_.size()];
      plan[i].prompt = prompt.text + given.prompt;
      plan[i].messages = given.messages;
      continue;
    }
    const std::int64_t tokens =
        scaled(options_.prompt_tokens.draw(lengths), 1, options_.prompt_max);
    RIDGELINE_TRY(const MadePrompt own, maker_.make(tokens, SeededRandom(mixed(seed, i), kTexts)));
    plan[i].prompt = prompt.text + own.text;
    plan[i].prompt_tokens = prompt.tokens + own.tokens;
  }
  return {};
}

Status Workload::fill_from_trace(std::vector<PlannedRequest>& plan, std::uint32_t round) {
  const std::uint64_t seed = mixed(options_.seed, round);
  Blocks made;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const TraceRequest& request = trace_[i];
    plan[i].arrival_s = request.arrival_s * options_.time_scale;
    plan[i].max_tokens = scaled(request.output_tokens, options_.length_scale, options_.output_max);
    const std::int64_t tokens =
        scaled(request.prompt_tokens, options_.length_scale, options_.prompt_max);
    Result<MadePrompt> prompt = request.blocks.empty()
                                    ? maker_.make(tokens, SeededRandom(mixed(seed, i), kTexts))
                                    : join_blocks(request, tokens, seed, made);
    if (!prompt) return tl::make_unexpected(std::move(prompt).error());
    plan[i].prompt = std::move(prompt->text);
    plan[i].prompt_tokens = prompt->tokens;
  }
  return {};
}

/// The blocks' texts, one behind the other. Boundaries are at the same tokens in all prompts,
/// so that equal blocks in front are equal text; the last one is made to measure.
Result<MadePrompt> Workload::join_blocks(const TraceRequest& request, std::int64_t tokens,
                                         std::uint64_t seed, Blocks& made) {
  const double block = static_cast<double>(kTraceBlockTokens) * options_.length_scale;
  MadePrompt prompt;
  std::int64_t done = 0;
  for (std::size_t b = 0; b < request.blocks.size() && done < tokens; ++b) {
    const std::int64_t end = std::llround(block * static_cast<double>(b + 1));
    const std::int64_t length = std::min(end, tokens) - done;
    if (length <= 0) continue;  // shorter than a token
    done += length;
    const std::int64_t id = request.blocks[b];
    MadePrompt text;
    if (const auto found = made.find(id); done == end && found != made.end()) {
      text = found->second;
    } else {
      const SeededRandom random(mixed(seed, static_cast<std::uint64_t>(id)), kTexts);
      RIDGELINE_TRY(text, maker_.make(length, random));
      if (done == end) made.emplace(id, text);
    }
    if (!prompt.text.empty()) prompt.text += ' ';
    prompt.text += text.text;
    prompt.tokens += text.tokens;
  }
  return prompt;
}

}  // namespace ridgeline::load
