// What /metrics shows: the families of vLLM's v1 engine under our prefix, then our own.
#include <sys/resource.h>

#include <limits>
#include <utility>

#include "ridgeline/server/metrics/metric_store.h"
#include "ridgeline/server/metrics/prometheus_text.h"
#include "ridgeline/server/metrics/server_metrics.h"

namespace ridgeline {
namespace {

double share(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

void write_engine(const EngineStats& engine, PrometheusText& text) {
  const auto count = [](int value) { return static_cast<std::int64_t>(value); };
  text.gauge("ridgeline:num_requests_running", "Sequences in the running batch.",
             count(engine.running));
  text.gauge("ridgeline:num_requests_waiting", "Sequences waiting to run.", count(engine.waiting));
  text.gauge("ridgeline:kv_cache_usage_perc",
             "Share of the KV cache's blocks that running sequences use; 1 is all of them.",
             share(engine.kv_blocks_in_use, engine.kv_blocks));
  text.counter("ridgeline:prefix_cache_queries_total",
               "Prompt tokens that were looked for in the prefix cache.",
               engine.prefix_query_tokens);
  text.counter("ridgeline:prefix_cache_hits_total",
               "Prompt tokens that were found in the prefix cache.", engine.prefix_hit_tokens);
  text.counter("ridgeline:num_preemptions_total",
               "Sequences that gave up their KV cache to others.", engine.preemptions);
  text.counter("ridgeline:prompt_tokens_total", "Prompt tokens computed.", engine.prompt_tokens);
  text.counter("ridgeline:generation_tokens_total", "Tokens generated.", engine.generation_tokens);
}

void write_requests(const ServerMetrics::Impl& metrics, PrometheusText& text) {
  text.family("ridgeline:request_success_total", "counter",
              "Sequences that ended, by how they did.");
  for (std::size_t i = 0; i < kFinishReasons; ++i) {
    text.sample(metrics.finished[i].load(std::memory_order_relaxed),
                PrometheusText::label("finished_reason",
                                      finished_reason_label(static_cast<FinishReason>(i))));
  }
  text.histogram("ridgeline:iteration_tokens_total", "Tokens per engine step.",
                 metrics.step_tokens);
  text.histogram("ridgeline:time_to_first_token_seconds",
                 "From a request's arrival to its first token.", metrics.time_to_first_token);
  text.histogram("ridgeline:inter_token_latency_seconds",
                 "Between one token of a sequence and the next.", metrics.inter_token_latency);
  text.histogram("ridgeline:request_time_per_output_token_seconds",
                 "Of a sequence, the mean time between its tokens.", metrics.time_per_output_token);
  text.histogram("ridgeline:e2e_request_latency_seconds", "From a request's arrival to its end.",
                 metrics.e2e_latency);
  text.histogram("ridgeline:request_queue_time_seconds", "Time a request waited to run.",
                 metrics.queue_time);
  text.histogram("ridgeline:request_inference_time_seconds",
                 "From when a request first ran to its last token.", metrics.inference_time);
  text.histogram("ridgeline:request_prefill_time_seconds",
                 "From when a request first ran to its first token.", metrics.prefill_time);
  text.histogram("ridgeline:request_decode_time_seconds",
                 "From a request's first token to its last.", metrics.decode_time);
  text.histogram("ridgeline:request_prompt_tokens", "Tokens of a request's prompt.",
                 metrics.prompt_tokens);
  text.histogram("ridgeline:request_generation_tokens", "Tokens of a sequence's output.",
                 metrics.generation_tokens);
  text.histogram("ridgeline:request_max_num_generation_tokens",
                 "Tokens of the longest of a request's outputs.", metrics.max_generation_tokens);
  text.histogram("ridgeline:request_params_n", "Requests' n.", metrics.params_n);
  text.histogram("ridgeline:request_params_max_tokens", "Requests' max_tokens, if they have it.",
                 metrics.params_max_tokens);
}

void write_recent(const ServerMetrics::Impl& metrics, Clock::time_point now, PrometheusText& text) {
  const auto write = [&](std::string_view name, std::string_view help,
                         const RollingPercentiles& recent) {
    text.family(name, "gauge", help);
    const RollingPercentiles::Snapshot snapshot = recent.snapshot(now);
    // Not "quantile": linters take that for a summary, which counts from the start.
    for (const auto& [percentile, q] : {std::pair{"50", 0.5}, {"95", 0.95}, {"99", 0.99}}) {
      text.sample(
          snapshot.count > 0 ? snapshot.quantile(q) : std::numeric_limits<double>::quiet_NaN(),
          PrometheusText::label("percentile", percentile));
    }
  };
  write("ridgeline:time_to_first_token_last_minute_seconds",
        "Time to first token, percentiles of the last minute.", metrics.recent_first_token);
  write("ridgeline:inter_token_latency_last_minute_seconds",
        "Inter-token latency, percentiles of the last minute.", metrics.recent_token_gap);
  write("ridgeline:e2e_request_latency_last_minute_seconds",
        "End-to-end latency, percentiles of the last minute.", metrics.recent_e2e);
}

void write_engine_details(const ServerMetrics::Impl& metrics, const EngineStats& engine,
                          PrometheusText& text) {
  text.gauge("ridgeline:max_num_seqs", "Sequences that may run at a time.",
             static_cast<std::int64_t>(engine.max_running));
  text.gauge("ridgeline:waiting_tokens", "Prompt tokens of the waiting sequences.",
             engine.waiting_tokens);
  text.gauge("ridgeline:oldest_waiting_seconds",
             "Age of what has waited longest without having run.", engine.oldest_waiting_seconds);
  text.family("ridgeline:kv_cache_blocks", "gauge", "Blocks of the KV cache, by what they hold.");
  text.sample(engine.kv_blocks_in_use, PrometheusText::label("state", "in_use"));
  text.sample(engine.kv_blocks_cached, PrometheusText::label("state", "cached"));
  text.sample(engine.kv_blocks - engine.kv_blocks_in_use - engine.kv_blocks_cached,
              PrometheusText::label("state", "free"));
  text.gauge("ridgeline:kv_cache_waste_ratio",
             "Of the slots in blocks in use, the share that holds no token.", engine.kv_waste);
  text.counter("ridgeline:recomputed_tokens_total", "Tokens computed again after a preemption.",
               engine.recomputed_tokens);
  text.counter("ridgeline:engine_steps_total", "Forward passes.", engine.steps);
  text.family("ridgeline:engine_seconds_total", "counter", "Time of the engine's loop, by phase.");
  text.sample(engine.schedule_seconds, PrometheusText::label("phase", "schedule"));
  text.sample(engine.forward_seconds, PrometheusText::label("phase", "forward"));
  text.sample(engine.sample_seconds, PrometheusText::label("phase", "sample"));
  text.sample(engine.draft_seconds, PrometheusText::label("phase", "draft"));
  text.histogram("ridgeline:step_seconds", "Time of a step.", metrics.step_seconds);
  text.histogram("ridgeline:step_time_ratio",
                 "Forward passes: measured time by what the cost curve predicted.",
                 metrics.step_error);
  text.counter("ridgeline:step_predicted_seconds_total",
               "Time of the forward passes as the cost curve predicted it.",
               metrics.predicted_seconds.load(std::memory_order_relaxed));
  text.counter("ridgeline:step_measured_seconds_total", "Time that the same passes took.",
               metrics.predicted_steps_seconds.load(std::memory_order_relaxed));
  text.gauge("ridgeline:prefill_share", "Share of a step that prompts get while others generate.",
             engine.prefill_share);
}

/// vLLM's families first; a draft is what one sequence checks in one pass.
void write_speculation(const ServerMetrics::Impl& metrics, const SpeculationStats& speculation,
                       Clock::time_point now, PrometheusText& text) {
  const SpeculationCounts& all = speculation.all;
  text.counter("ridgeline:spec_decode_num_drafts_total", "Drafts that were checked.",
               speculation.drafts());
  text.counter("ridgeline:spec_decode_num_draft_tokens_total", "Drafted tokens that were checked.",
               all.drafted);
  text.counter("ridgeline:spec_decode_num_accepted_tokens_total",
               "Drafted tokens that became part of a text.", all.accepted);
  const auto by_position = [&](std::string_view name, std::string_view help, const auto& counts) {
    text.family(name, "counter", help);
    for (int i = 0; i < speculation.max_draft; ++i)
      text.sample(counts[static_cast<std::size_t>(i)],
                  PrometheusText::label("position", std::to_string(i)));
  };
  by_position("ridgeline:spec_decode_num_accepted_tokens_per_pos_total",
              "Accepted tokens by their place in the draft.", speculation.accepted_at);
  by_position("ridgeline:spec_decode_num_draft_tokens_per_pos_total",
              "Drafted tokens that were checked, by their place in the draft.",
              speculation.drafted_at);

  text.counter("ridgeline:spec_decode_passes_total",
               "Forward passes of one generating sequence that could check a draft, whether one "
               "was checked or not.",
               all.checks);
  text.counter("ridgeline:spec_decode_pass_tokens_total", "Tokens that those passes gave.",
               all.tokens);
  text.counter("ridgeline:spec_decode_seconds_total", "Time of the steps with such passes.",
               all.seconds);
  text.counter("ridgeline:spec_decode_plain_seconds_total",
               "Time that the same tokens would have taken without drafts, estimated.",
               all.plain_seconds);
  text.gauge("ridgeline:spec_decode_speedup",
             "Estimated time without drafts by the time taken, of the last ten seconds; NaN: "
             "nothing was generated.",
             metrics.recent_speculation.ratios(now).speedup.value_or(
                 std::numeric_limits<double>::quiet_NaN()));
  text.gauge("ridgeline:spec_decode_active",
             "1: drafts are made where that pays; 0: there are no drafters, or the degradation "
             "ladder has stood them down.",
             std::int64_t{speculation.enabled && speculation.allowed});

  const auto by_drafter = [&](std::string_view name, std::string_view type, std::string_view help,
                              auto DrafterStats::*value) {
    text.family(name, type, help);
    for (const DrafterStats& drafter : speculation.drafters)
      text.sample(drafter.*value, PrometheusText::label("drafter", drafter.name));
  };
  by_drafter("ridgeline:drafter_draft_tokens_total", "counter",
             "Drafted tokens that were checked, by who drafted them.", &DrafterStats::drafted);
  by_drafter("ridgeline:drafter_accepted_tokens_total", "counter",
             "Those of them that became part of a text.", &DrafterStats::accepted);
  by_drafter("ridgeline:drafter_seconds_total", "counter", "Time spent on drafting.",
             &DrafterStats::seconds);
  by_drafter("ridgeline:drafter_memory_bytes", "gauge", "Memory of a drafter.",
             &DrafterStats::bytes);
}

void write_server(ServerMetrics::Impl& metrics, const ServerState& state, PrometheusText& text) {
  text.gauge("ridgeline:degradation_rung", "The degradation ladder: 0 is normal, 5 refuses all.",
             static_cast<std::int64_t>(state.ladder.rung));
  text.family("ridgeline:degradation_rung_entered_total", "counter",
              "How often each rung was entered.");
  for (int rung = 0; rung < kRungs; ++rung) {
    text.sample(state.ladder.entered[static_cast<std::size_t>(rung)],
                PrometheusText::label("rung", name(static_cast<Rung>(rung))));
  }
  text.family("ridgeline:degradation_pressure", "gauge",
              "What the ladder looks at, each by its limit: from 1 on it goes up.");
  text.sample(state.ladder.signals.queue_delay, PrometheusText::label("signal", "queue_delay"));
  text.sample(state.ladder.signals.low_priority_queue_delay,
              PrometheusText::label("signal", "low_priority_queue_delay"));
  text.sample(state.ladder.signals.kv, PrometheusText::label("signal", "kv_cache"));
  text.sample(state.ladder.signals.memory, PrometheusText::label("signal", "memory"));
  text.gauge("ridgeline:open_connections", "Connections of clients.", state.open_connections);
  text.gauge("ridgeline:draining", "1: no new work is taken, running requests are finished.",
             std::int64_t{state.draining});
  text.counter("ridgeline:log_lines_dropped_total", "Log lines that nobody read in time.",
               state.log_lines_dropped);

  const std::lock_guard lock(metrics.mutex);
  text.family("ridgeline:requests_refused_total", "counter",
              "Requests that were not taken, by reason.");
  for (const auto& [reason, count] : metrics.refused) {
    text.sample(count, PrometheusText::label("reason", reason));
  }
  text.family("ridgeline:http_responses_total", "counter", "Answers, by endpoint and status.");
  for (const auto& [key, count] : metrics.responses) {
    text.sample(count, PrometheusText::label("endpoint", key.first) + "," +
                           PrometheusText::label("code", std::to_string(key.second)));
  }
}

void write_memory(const EngineStats& engine, const ServerState& state, PrometheusText& text) {
  text.gauge("ridgeline:resident_memory_bytes", "Resident set of the process.",
             state.resident_bytes);
  text.gauge("ridgeline:memory_limit_bytes",
             "--memory-limit, or what the cgroup or the machine allows.", state.memory_limit_bytes);
  text.family("ridgeline:memory_bytes", "gauge", "Memory of the engine, by what it is for.");
  text.sample(engine.weight_bytes, PrometheusText::label("part", "weights"));
  text.sample(engine.kv_bytes, PrometheusText::label("part", "kv_cache"));
  text.sample(engine.workspace_bytes, PrometheusText::label("part", "workspace"));
  text.sample(engine.draft_bytes, PrometheusText::label("part", "drafters"));
}

/// What Prometheus' own clients say of a process, without our labels.
std::string process_text(const ServerMetrics::Impl& metrics, const ServerState& state) {
  PrometheusText text{std::string()};
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  text.counter("process_cpu_seconds_total", "CPU time of the process.",
               seconds(usage.ru_utime) + seconds(usage.ru_stime));
  text.gauge("process_resident_memory_bytes", "Resident set of the process.", state.resident_bytes);
  text.gauge("process_start_time_seconds", "When the server started, in seconds since 1970.",
             std::chrono::duration<double>(metrics.started.time_since_epoch()).count());
  return text.take();
}

}  // namespace

std::string ServerMetrics::prometheus_text(const EngineStats& engine, const ServerState& state,
                                           Clock::time_point now) const {
  // The labels of vLLM's families; there is one engine.
  PrometheusText text(PrometheusText::label("model_name", impl_->model_name) + "," +
                      PrometheusText::label("engine", "0"));
  write_engine(engine, text);
  write_requests(*impl_, text);
  write_recent(*impl_, now, text);
  write_engine_details(*impl_, engine, text);
  write_speculation(*impl_, engine.speculation, now, text);
  write_server(*impl_, state, text);
  write_memory(engine, state, text);
  return text.take() + process_text(*impl_, state);
}

}  // namespace ridgeline
