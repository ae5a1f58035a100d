// What /stats shows.
#include <fmt/format.h>

#include <iterator>
#include <span>
#include <utility>

#include "ridgeline/server/metrics/metric_store.h"
#include "ridgeline/server/metrics/quoted_text.h"
#include "ridgeline/server/metrics/server_metrics.h"

namespace ridgeline {
namespace {

void append_quantiles(std::string_view name, const RollingPercentiles& recent,
                      Clock::time_point now, std::string& out) {
  const RollingPercentiles::Snapshot snapshot = recent.snapshot(now);
  if (snapshot.count == 0) {
    fmt::format_to(std::back_inserter(out),
                   R"("{}":{{"count":0,"mean":null,"p50":null,"p95":null,"p99":null}})", name);
    return;
  }
  fmt::format_to(std::back_inserter(out),
                 R"("{}":{{"count":{},"mean":{:.6g},"p50":{:.6g},"p95":{:.6g},"p99":{:.6g}}})",
                 name, snapshot.count, snapshot.sum / static_cast<double>(snapshot.count),
                 snapshot.quantile(0.5), snapshot.quantile(0.95), snapshot.quantile(0.99));
}

std::string requests_json(ServerMetrics::Impl& metrics, const EngineStats& engine) {
  std::string out =
      fmt::format(R"("requests":{{"running":{},"waiting":{},"max_running":{},"waiting_tokens":{},)"
                  R"("oldest_waiting_seconds":{:.3f},"preemptions":{},"finished":{{)",
                  engine.running, engine.waiting, engine.max_running, engine.waiting_tokens,
                  engine.oldest_waiting_seconds, engine.preemptions);
  for (std::size_t i = 0; i < kFinishReasons; ++i) {
    fmt::format_to(std::back_inserter(out), R"({}"{}":{})", i > 0 ? "," : "",
                   finished_reason_label(static_cast<FinishReason>(i)),
                   metrics.finished[i].load(std::memory_order_relaxed));
  }
  out += R"(},"refused":{)";
  const std::lock_guard lock(metrics.mutex);
  const char* comma = "";
  for (const auto& [reason, count] : metrics.refused) {
    out += comma;
    append_quoted(reason, out);
    fmt::format_to(std::back_inserter(out), ":{}", count);
    comma = ",";
  }
  return out + "}}";
}

std::string speculation_json(const ServerMetrics::Impl& metrics,
                             const SpeculationStats& speculation, Clock::time_point now) {
  const SpeculationCounts& all = speculation.all;
  std::string out = fmt::format(
      R"("speculation":{{"enabled":{},"allowed":{},"max_draft":{},"passes":{},)"
      R"("tokens":{},"drafts":{},"drafted":{},"accepted":{},"seconds":{:.6f},)"
      R"("plain_seconds":{:.6f},"recent":{{)",
      speculation.enabled, speculation.allowed, speculation.max_draft, all.checks, all.tokens,
      speculation.drafts(), all.drafted, all.accepted, all.seconds, all.plain_seconds);
  const RecentSpeculation::Ratios recent = metrics.recent_speculation.ratios(now);
  const auto number = [](const std::optional<double>& value) {
    return value ? fmt::format("{:.6g}", *value) : std::string("null");
  };
  fmt::format_to(std::back_inserter(out),
                 R"("acceptance":{},"tokens_per_pass":{},"speedup":{}}},"drafters":[)",
                 number(recent.acceptance), number(recent.tokens_per_pass), number(recent.speedup));
  const char* comma = "";
  for (const DrafterStats& drafter : speculation.drafters) {
    fmt::format_to(std::back_inserter(out), R"({}{{"name":)", std::exchange(comma, ","));
    append_quoted(drafter.name, out);
    fmt::format_to(std::back_inserter(out),
                   R"(,"drafted":{},"accepted":{},"seconds":{:.6f},"bytes":{}}})", drafter.drafted,
                   drafter.accepted, drafter.seconds, drafter.bytes);
  }
  const auto places = static_cast<std::size_t>(speculation.max_draft);
  fmt::format_to(std::back_inserter(out), R"(],"drafted_at":[{}],"accepted_at":[{}]}})",
                 fmt::join(std::span(speculation.drafted_at).first(places), ","),
                 fmt::join(std::span(speculation.accepted_at).first(places), ","));
  return out;
}

}  // namespace

std::string ServerMetrics::stats_json(const EngineStats& engine, const ServerState& state,
                                      Clock::time_point now) const {
  Impl& metrics = *impl_;
  std::string out = R"({"model":)";
  append_quoted(metrics.model_name, out);
  const auto append = [&]<class... Values>(fmt::format_string<Values...> format,
                                           Values&&... values) {
    fmt::format_to(std::back_inserter(out), format, std::forward<Values>(values)...);
  };
  const auto uptime = std::chrono::system_clock::now() - metrics.started;
  append(R"(,"uptime_seconds":{:.0f},"draining":{},)",
         std::chrono::duration<double>(uptime).count(), state.draining);
  out += requests_json(metrics, engine);
  append(R"(,"tokens":{{"prompt":{},"generated":{},"recomputed":{},)"
         R"("prompt_per_second":{:.6g},"generated_per_second":{:.6g}}})",
         engine.prompt_tokens, engine.generation_tokens, engine.recomputed_tokens,
         metrics.recent_prompt.per_second(now), metrics.recent_output.per_second(now));

  append(R"(,"latency_seconds":{{"window_seconds":{},)", int{RollingPercentiles::kWindowSeconds});
  append_quantiles("time_to_first_token", metrics.recent_first_token, now, out);
  out += ',';
  append_quantiles("inter_token", metrics.recent_token_gap, now, out);
  out += ',';
  append_quantiles("end_to_end", metrics.recent_e2e, now, out);

  append(R"(}},"kv_cache":{{"blocks":{},"in_use":{},"cached":{},"waste":{:.6g},)"
         R"("prefix_query_tokens":{},"prefix_hit_tokens":{}}})",
         engine.kv_blocks, engine.kv_blocks_in_use, engine.kv_blocks_cached, engine.kv_waste,
         engine.prefix_query_tokens, engine.prefix_hit_tokens);
  append(R"(,"steps":{{"count":{},"schedule_seconds":{:.6f},"forward_seconds":{:.6f},)"
         R"("sample_seconds":{:.6f},"draft_seconds":{:.6f},"prefill_share":{:.6g}}},)",
         engine.steps, engine.schedule_seconds, engine.forward_seconds, engine.sample_seconds,
         engine.draft_seconds, engine.prefill_share);
  out += speculation_json(metrics, engine.speculation, now);
  append(R"(,"memory":{{"resident_bytes":{},"limit_bytes":{},"weight_bytes":{},)"
         R"("kv_bytes":{},"workspace_bytes":{},"draft_bytes":{}}})",
         state.resident_bytes, state.memory_limit_bytes, engine.weight_bytes, engine.kv_bytes,
         engine.workspace_bytes, engine.draft_bytes);
  append(
      R"(,"degradation":{{"rung":{},"name":"{}","queue_delay":{:.6g},"low_priority_queue_delay":{:.6g},"kv_cache":{:.6g},)"
      R"("memory":{:.6g}}},"open_connections":{}}})",
      static_cast<int>(state.ladder.rung), name(state.ladder.rung),
      state.ladder.signals.queue_delay, state.ladder.signals.low_priority_queue_delay,
      state.ladder.signals.kv, state.ladder.signals.memory, state.open_connections);
  return out;
}

}  // namespace ridgeline
