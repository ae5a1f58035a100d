#include "ridgeline/tools/load/load_report.h"

#include <algorithm>
#include <functional>

#include "ridgeline/tools/statistics.h"

namespace ridgeline::load {
namespace {

using Better = Figure::Better;

/// Tokens of a text depend on what it is put between; beyond that a server has cut it.
constexpr double kCutShare = 0.9;

Distribution scaled(Distribution d, double by) {
  for (double* value : {&d.mean, &d.p50, &d.p90, &d.p95, &d.p99, &d.max}) *value *= by;
  return d;
}

/// The values that distributions are made of.
struct Samples {
  std::vector<double> ttft, inter_token, per_output_token, total, prompt, output;

  void add(const RequestRecord& record) {
    ttft.push_back(record.ttft_s());
    total.push_back(record.total_s());
    for (std::size_t i = 1; i < record.chunk_times_s.size(); ++i)
      inter_token.push_back(record.chunk_times_s[i] - record.chunk_times_s[i - 1]);
    if (const auto time = record.time_per_output_token_s()) per_output_token.push_back(*time);
    if (record.has_usage) prompt.push_back(static_cast<double>(record.prompt_tokens));
    output.push_back(static_cast<double>(record.output_tokens));
  }
};

std::optional<double> times_better(double ours, double theirs, Better better) {
  if (better == Better::kNeither || !(ours > 0) || !(theirs > 0)) return std::nullopt;
  return better == Better::kHigher ? ours / theirs : theirs / ours;
}

}  // namespace

bool ServiceLevel::asks_for_anything() const {
  return ttft_s > 0 || inter_token_s > 0 || per_output_token_s > 0 || total_s > 0;
}

bool ServiceLevel::is_met_by(const RequestRecord& record) const {
  if (record.failed()) return false;
  if (ttft_s > 0 && record.ttft_s() > ttft_s) return false;
  if (total_s > 0 && record.total_s() > total_s) return false;
  if (per_output_token_s > 0 && record.time_per_output_token_s().value_or(0) > per_output_token_s)
    return false;
  for (std::size_t i = 1; i < record.chunk_times_s.size(); ++i)
    if (inter_token_s > 0 && record.chunk_times_s[i] - record.chunk_times_s[i - 1] > inter_token_s)
      return false;
  return true;
}

LoadSummary summarise(std::span<const LoadRun> runs, const ServiceLevel& level) {
  LoadSummary s;
  Samples samples;
  std::size_t chunks = 0;
  std::int64_t chunk_tokens = 0;
  double busy_s = 0, cpu_s = 0;
  for (const LoadRun& run : runs) {
    s.duration_s += run.duration_s;
    cpu_s += run.client_cpu_s;
    s.in_flight_max = std::max(s.in_flight_max, run.in_flight_max);
    for (const RequestRecord& record : run.requests) {
      ++s.requests;
      busy_s += record.end_s - record.sent_s;
      s.send_delay_max_s = std::max(s.send_delay_max_s, record.sent_s - record.due_s);
      if (record.failed()) {
        ++s.failed;
        ++s.failures[record.failure];
        s.failure_examples.try_emplace(record.failure, record.failure_message);
        continue;
      }
      samples.add(record);
      s.prompt_tokens += record.prompt_tokens;
      s.output_tokens += record.output_tokens;
      if (record.cached_tokens)
        s.cached_tokens = s.cached_tokens.value_or(0) + *record.cached_tokens;
      if (record.has_usage) {
        chunks += record.chunk_times_s.size();
        chunk_tokens += record.output_tokens;
      } else {
        ++s.without_usage;
      }
      if (record.output_tokens != record.asked_tokens) ++s.of_other_length;
      if (record.has_usage && static_cast<double>(record.prompt_tokens) <
                                  kCutShare * static_cast<double>(record.sent_prompt_tokens))
        ++s.cut_prompts;
      if (level.is_met_by(record)) ++s.good;
    }
  }
  if (s.duration_s > 0) {
    s.concurrency = busy_s / s.duration_s;
    s.client_cpu_share = cpu_s / s.duration_s;
  }
  if (chunks > 0)
    s.tokens_per_chunk = static_cast<double>(chunk_tokens) / static_cast<double>(chunks);
  s.ttft_s = distribution(std::move(samples.ttft));
  s.inter_token_s = distribution(std::move(samples.inter_token));
  s.per_output_token_s = distribution(std::move(samples.per_output_token));
  s.total_s = distribution(std::move(samples.total));
  s.prompt_lengths = distribution(std::move(samples.prompt));
  s.output_lengths = distribution(std::move(samples.output));
  return s;
}

std::vector<Figure> figures(const LoadSummary& s, const ServiceLevel& level) {
  std::vector<Figure> list;
  const auto single = [&](const char* key, const char* unit, Better better, double value) {
    list.push_back({key, unit, better, value, std::nullopt});
  };
  const auto spread = [&](const char* key, const char* unit, Better better, Distribution d,
                          double scale) {
    if (d.count == 0) return;
    d = scaled(d, scale);
    list.push_back({key, unit, better, d.mean, d});
  };
  const auto rate = [&](double n) { return s.duration_s > 0 ? n / s.duration_s : 0; };
  const auto output = static_cast<double>(s.output_tokens);
  const auto prompt = static_cast<double>(s.prompt_tokens);
  single("output_throughput", "tok/s", Better::kHigher, rate(output));
  if (prompt > 0) {
    single("input_throughput", "tok/s", Better::kHigher, rate(prompt));
    single("total_throughput", "tok/s", Better::kHigher, rate(prompt + output));
  }
  single("request_throughput", "req/s", Better::kHigher,
         rate(static_cast<double>(s.requests - s.failed)));
  if (level.asks_for_anything()) {
    const auto good = static_cast<double>(s.good);
    single("goodput", "req/s", Better::kHigher, rate(good));
    single("good_share", "%", Better::kHigher,
           s.requests > 0 ? 100 * good / static_cast<double>(s.requests) : 0);
  }
  spread("ttft", "ms", Better::kLower, s.ttft_s, 1e3);
  spread("inter_token", "ms", Better::kLower, s.inter_token_s, 1e3);
  spread("per_output_token", "ms", Better::kLower, s.per_output_token_s, 1e3);
  spread("end_to_end", "ms", Better::kLower, s.total_s, 1e3);
  spread("prompt_length", "tok", Better::kNeither, s.prompt_lengths, 1);
  spread("output_length", "tok", Better::kNeither, s.output_lengths, 1);
  if (s.cached_tokens && prompt > 0)
    single("prefix_hits", "%", Better::kNeither,
           100 * static_cast<double>(*s.cached_tokens) / prompt);
  single("concurrency", "req", Better::kNeither, s.concurrency);
  single("duration", "s", Better::kNeither, s.duration_s);
  return list;
}

std::vector<Advantage> advantages(std::span<const LoadRun> ours, std::span<const LoadRun> theirs,
                                  const ServiceLevel& level) {
  struct Rounds {
    std::vector<double> value, p50, p99;
  };
  const std::vector<Figure> lines = figures(summarise(theirs, level), level);
  std::vector<Rounds> rounds(lines.size());
  for (std::size_t r = 0; r < std::min(ours.size(), theirs.size()); ++r) {
    const std::vector<Figure> a = figures(summarise(ours.subspan(r, 1), level), level),
                              b = figures(summarise(theirs.subspan(r, 1), level), level);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      // Not every server tells everything.
      const auto same = [&](const Figure& f) { return f.key == lines[i].key; };
      const auto x = std::ranges::find_if(a, same), y = std::ranges::find_if(b, same);
      if (x == a.end() || y == b.end()) continue;
      const auto add = [&](std::vector<double>& to, double mine, double other) {
        if (const auto times = times_better(mine, other, lines[i].better)) to.push_back(*times);
      };
      add(rounds[i].value, x->value, y->value);
      if (!x->spread || !y->spread) continue;
      add(rounds[i].p50, x->spread->p50, y->spread->p50);
      add(rounds[i].p99, x->spread->p99, y->spread->p99);
    }
  }
  std::vector<Advantage> list(lines.size());
  const auto of = [](const std::vector<double>& values) {
    return values.empty() ? std::nullopt : std::optional<double>(median(values));
  };
  for (std::size_t i = 0; i < lines.size(); ++i)
    list[i] = {of(rounds[i].value), of(rounds[i].p50), of(rounds[i].p99)};
  return list;
}

}  // namespace ridgeline::load
