#include "ridgeline/tools/doctor/scenarios.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>

namespace ridgeline::doctor {
namespace {

/// Below that, what a model says suffers visibly; such types are offered, not advised.
constexpr double kBitsMin = 4.0;
/// Speeds within so much of each other count as equal, and more bits are better then.
constexpr double kAlike = 0.05;
/// A context is not made longer than that decoding at its end has this share of its speed.
constexpr double kSlowest = 0.5;
constexpr std::int64_t kPrompt = 512, kBatchContext = 2048, kBatchDepth = 512,
                       kEmbeddedContext = 2048, kEmbeddedBatch = 64;

std::uint64_t mebibytes_up(std::uint64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; }

MemoryFit with_weights(const MemoryFit& fit, const TypeOption& type) {
  MemoryFit f = fit;
  f.weight_bytes = type.weight_bytes;
  return f;
}

/// Of what fits: the best by `score`, more bits among equals; null if nothing fits.
const TypeOption* best_type(const ScenarioInput& in,
                            const std::function<double(const TypeOption&)>& score) {
  const auto allowed = [&](const TypeOption& t) {
    return t.fits && (t.is_current || t.bits_per_weight >= kBitsMin);
  };
  double best = 0;
  for (const TypeOption& t : *in.types)
    if (allowed(t)) best = std::max(best, score(t));
  const TypeOption* chosen = nullptr;
  for (const TypeOption& t : *in.types) {
    if (!allowed(t) || score(t) < (1 - kAlike) * best) continue;
    // The file itself where it is as good: nothing has to be made.
    if (chosen == nullptr || (!chosen->is_current && t.bits_per_weight > chosen->bits_per_weight))
      chosen = &t;
  }
  return chosen;
}

/// "-m FILE", with what makes it of that type; and what has to be run before.
struct ModelFlags {
  std::string prepare, flags;
};
ModelFlags model_flags(const ScenarioInput& in, const TypeOption& type) {
  if (type.is_current) return {"", fmt::format("-m {}{}", in.path, in.model_arguments)};
  if (!type.on_load.empty())
    return {"", fmt::format("-m {} --quantize {}{}", in.path, type.on_load, in.model_arguments)};
  const std::string target = fmt::format("model-{}.gguf", type.name);
  const bool plain = std::ranges::any_of(
      *in.types, [](const TypeOption& t) { return t.is_current && t.bits_per_weight >= 16; });
  return {fmt::format("ridgeline quantize {} {} --type {}", plain ? in.path : "ORIGINAL.gguf",
                      target, type.name),
          fmt::format("-m {}{}", target, in.model_arguments)};
}

SpeedRates with_layer(const SpeedRates& rates, const LayerRate& layer) {
  SpeedRates r = rates;
  r.layer = layer;
  return r;
}

double decode_rate(const TypeOption& type, const SpeedRates& rates, std::int64_t depth,
                   std::int64_t batch_tokens) {
  return predicted_tokens_per_second(type.work, rates, {Workload::Kind::kDecode, 1, depth, 1},
                                     batch_tokens);
}

double ttft(const TypeOption& type, const SpeedRates& rates, std::int64_t batch_tokens) {
  return predicted_seconds(type.work, rates, {Workload::Kind::kPrefill, kPrompt, 0, 1},
                           batch_tokens);
}

/// The longest context that fits and does not slow decoding down too much.
std::int64_t useful_context(const TypeOption& type, const SpeedRates& rates, const MemoryFit& fit,
                            std::int64_t batch_tokens) {
  const double at_once = decode_rate(type, rates, 0, batch_tokens);
  // Half of what is left is for others.
  MemoryFit half = with_weights(fit, type);
  half.available_bytes = half.fixed_bytes() + half.left_for_kv() / 2;
  std::int64_t context = half.longest_context();
  if (context > 0 && decode_rate(type, rates, context, batch_tokens) < kSlowest * at_once) {
    std::int64_t low = 0, high = context;
    while (high - low > 16) {
      const std::int64_t middle = (low + high) / 2;
      (decode_rate(type, rates, middle, batch_tokens) < kSlowest * at_once ? high : low) = middle;
    }
    context = low;
  }
  return round_context(std::max<std::int64_t>(context, MemoryFit::kLeastContext));
}

std::optional<Scenario> chat(const ScenarioInput& in) {
  const TypeOption* type =
      best_type(in, [&](const TypeOption& t) { return t.prefill_tokens_per_second; });
  if (type == nullptr) return std::nullopt;
  const std::int64_t context = useful_context(*type, *in.rates, *in.fit, in.batch_tokens);
  const ModelFlags model = model_flags(in, *type);
  Scenario s{.name = "chat", .goal = "the first token soon"};
  s.prepare = model.prepare;
  s.command = in.has_chat_template
                  ? fmt::format("ridgeline chat {} -c {}", model.flags, context)
                  : fmt::format("ridgeline run {} -c {} -p PROMPT", model.flags, context);
  s.ttft_seconds = ttft(*type, *in.rates, in.batch_tokens);
  s.tokens_per_second = decode_rate(*type, *in.rates, kDecodeDepth, in.batch_tokens);
  s.memory_bytes = with_weights(*in.fit, *type).bytes(context, 1);
  s.reason = fmt::format(
      "{} reads {:.0f} prompt tokens a second; at {} tokens decoding has {:.0f} % "
      "of its speed",
      type->name, type->prefill_tokens_per_second, context,
      100 * decode_rate(*type, *in.rates, context, in.batch_tokens) /
          decode_rate(*type, *in.rates, 0, in.batch_tokens));
  return s;
}

std::optional<Scenario> code(const ScenarioInput& in) {
  const TypeOption* type =
      best_type(in, [&](const TypeOption& t) { return t.decode_tokens_per_second; });
  if (type == nullptr) return std::nullopt;
  const SpeedRates q8 = with_layer(*in.rates, *in.q8_layer);
  std::int64_t context = useful_context(*type, *in.rates, *in.fit, in.batch_tokens);
  // Files that are worked on fill the context by half.
  const double f16_rate = decode_rate(*type, *in.rates, context / 2, in.batch_tokens);
  const double q8_rate = decode_rate(*type, q8, context / 2, in.batch_tokens);
  const bool use_q8 = q8_rate > (1 + kAlike) * f16_rate;
  if (use_q8) context = useful_context(*type, q8, *in.q8_fit, in.batch_tokens);
  const ModelFlags model = model_flags(in, *type);
  Scenario s{.name = "code", .goal = "most tokens per second of one stream"};
  s.prepare = model.prepare;
  constexpr int kStreams = 2;  // an editor asks again before the answer is complete
  const MemoryFit& fit = use_q8 ? *in.q8_fit : *in.fit;
  s.command = fmt::format(
      "ridgeline serve {} -c {} --max-num-seqs {} --kv-memory {}M{}", model.flags, context,
      kStreams, mebibytes_up(kStreams * fit.kv.bytes(context)), use_q8 ? " -ctk q8_0" : "");
  s.ttft_seconds = ttft(*type, use_q8 ? q8 : *in.rates, in.batch_tokens);
  s.tokens_per_second = use_q8 ? q8_rate : f16_rate;
  s.memory_bytes = with_weights(fit, *type).bytes(context, kStreams);
  s.reason = fmt::format(
      "{} decodes fastest; with {} tokens before it {:.1f} tok/s from an F16 "
      "cache, {:.1f} from Q8_0",
      type->name, context / 2, f16_rate, q8_rate);
  return s;
}

std::optional<Scenario> batch(const ScenarioInput& in) {
  const std::int64_t context = std::min(kBatchContext, in.fit->trained_context);
  const std::int64_t depth = std::min(kBatchDepth, context / 2);
  const auto points_of = [&](const TypeOption& t) {
    return throughput_by_streams(t.work, *in.rates, with_weights(*in.fit, t), depth, context,
                                 in.batch_tokens);
  };
  const auto best_of = [](const std::vector<StreamsPoint>& points) {
    const int n = enough_streams(points);
    return *std::ranges::find(points, n, &StreamsPoint::streams);
  };
  const TypeOption* type =
      best_type(in, [&](const TypeOption& t) { return best_of(points_of(t)).tokens_per_second; });
  if (type == nullptr) return std::nullopt;
  const auto points = points_of(*type);
  const StreamsPoint point = best_of(points);
  const ModelFlags model = model_flags(in, *type);
  const std::uint64_t kv = in.fit->kv.bytes(context) * static_cast<std::uint64_t>(point.streams);
  Scenario s{.name = "batch", .goal = "most tokens per second of all streams"};
  s.prepare = model.prepare;
  s.command =
      fmt::format("ridgeline serve {} -c {} --max-num-seqs {} --kv-memory {}M --batch-tokens {}",
                  model.flags, context, point.streams, mebibytes_up(kv),
                  std::max<std::int64_t>(in.batch_tokens, point.streams));
  s.ttft_seconds = ttft(*type, *in.rates, in.batch_tokens);
  s.tokens_per_second = point.tokens_per_second;
  s.memory_bytes = with_weights(*in.fit, *type).bytes(context, point.streams);
  s.reason = fmt::format(
      "{} streams give {:.0f} tok/s, {:.1f} times one stream; more give less "
      "than a tenth more, or do not fit",
      point.streams, point.tokens_per_second,
      point.tokens_per_second / points.front().tokens_per_second);
  return s;
}

std::optional<Scenario> embedded(const ScenarioInput& in) {
  const TypeOption* type =
      best_type(in, [&](const TypeOption& t) { return 1.0 / static_cast<double>(t.weight_bytes); });
  if (type == nullptr) return std::nullopt;
  const SpeedRates q8 = with_layer(*in.rates, *in.q8_layer);
  MemoryFit fit = with_weights(*in.q8_fit, *type);
  const std::int64_t rows = std::min(kEmbeddedBatch, in.batch_tokens);
  fit.workspace_bytes = workspace_bytes(*in.config, rows, in.threads, 1);
  const std::int64_t context =
      round_context(std::min(kEmbeddedContext, std::max<std::int64_t>(fit.longest_context(), 1)));
  const ModelFlags model = model_flags(in, *type);
  Scenario s{.name = "embedded", .goal = "least memory"};
  s.prepare = model.prepare;
  s.command = fmt::format("ridgeline run {} -c {} -ctk q8_0 --batch-tokens {} -p PROMPT",
                          model.flags, context, rows);
  s.ttft_seconds = ttft(*type, q8, rows);
  s.tokens_per_second = decode_rate(*type, q8, std::min(kDecodeDepth, context), rows);
  s.memory_bytes = fit.bytes(context, 1);
  s.reason = fmt::format(
      "{} MiB of weights in {}, {} MiB of cache in Q8_0 in place of {} in F16, "
      "{} MiB for steps of {} rows",
      fit.weight_bytes >> 20, type->name, fit.kv.bytes(context) >> 20,
      in.fit->kv.bytes(context) >> 20, fit.workspace_bytes >> 20, rows);
  return s;
}

}  // namespace

std::int64_t round_context(std::int64_t n) {
  if (n >= 1024) return n / 1024 * 1024;
  return n >= 16 ? n / 16 * 16 : std::max<std::int64_t>(n, 1);
}

std::vector<StreamsPoint> throughput_by_streams(const ModelWork& work, const SpeedRates& rates,
                                                const MemoryFit& fit, std::int64_t depth,
                                                std::int64_t context, std::int64_t batch_tokens) {
  constexpr int kStreamsMax = 256;
  const int room = fit.streams(context);
  std::vector<StreamsPoint> points;
  for (int n = 1; n <= kStreamsMax && n <= batch_tokens; n *= 2) {
    const Workload decode{Workload::Kind::kDecode, 1, depth, n};
    points.push_back(
        {n, predicted_tokens_per_second(work, rates, decode, batch_tokens), n <= room});
  }
  return points;
}

int enough_streams(const std::vector<StreamsPoint>& points) {
  double best = 0;
  for (const StreamsPoint& p : points)
    if (p.fits) best = std::max(best, p.tokens_per_second);
  for (const StreamsPoint& p : points)
    if (p.fits && p.tokens_per_second >= 0.9 * best) return p.streams;
  return 1;
}

std::vector<Scenario> scenarios(const ScenarioInput& input) {
  std::vector<Scenario> list;
  for (auto make : {chat, code, batch, embedded})
    if (auto s = make(input)) list.push_back(std::move(*s));
  return list;
}

}  // namespace ridgeline::doctor
