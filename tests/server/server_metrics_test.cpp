#include "ridgeline/server/metrics/server_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace ridgeline {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr Clock::time_point kStart = Clock::time_point{} + std::chrono::hours(1000);

Clock::time_point at(double seconds) {
  return kStart +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

/// The text format, read strictly: families announced once, before their samples, which stand
/// together; histograms cumulative and complete.
class Exposition {
 public:
  explicit Exposition(const std::string& text) {
    std::istringstream lines(text);
    EXPECT_TRUE(text.ends_with('\n'));
    for (std::string line; std::getline(lines, line);) read(line);
    check_histograms();
  }

  double value(const std::string& name, const std::string& label = "") const {
    double found = -1;
    int matches = 0;
    for (const auto& [series, value] : samples_) {
      const auto& [sample_name, labels] = series;
      if (sample_name != name || labels.find(label) == std::string::npos) continue;
      found = value;
      ++matches;
    }
    EXPECT_EQ(matches, 1) << name << " " << label;
    return found;
  }
  const std::map<std::string, std::string>& types() const { return types_; }
  const std::set<std::string>& names() const { return names_; }

 private:
  void read(const std::string& line) {
    static const std::regex kHelp(R"(# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ([^\\]+))");
    static const std::regex kType(R"(# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram))");
    static const std::regex kSample(
        R"(([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\]|\\[\\"n])*",?)*)\})? (\S+))");
    std::smatch match;
    if (std::regex_match(line, match, kHelp)) {
      family_ = match[1];
      EXPECT_FALSE(types_.contains(family_)) << "announced twice: " << family_;
    } else if (std::regex_match(line, match, kType)) {
      EXPECT_EQ(match[1], family_);
      types_[family_] = match[2];
      EXPECT_TRUE(match[2] != "counter" || family_.ends_with("_total")) << family_;
    } else if (std::regex_match(line, match, kSample)) {
      const std::string name = match[1], labels = match[2];
      names_.insert(name);
      const bool part_of_histogram =
          types_[family_] == "histogram" &&
          (name == family_ + "_bucket" || name == family_ + "_sum" || name == family_ + "_count");
      EXPECT_TRUE(part_of_histogram || (name == family_ && types_[family_] != "histogram")) << line;
      std::size_t used = 0;
      const double value = std::stod(match[3], &used);
      EXPECT_EQ(used, match[3].str().size()) << line;
      EXPECT_TRUE(samples_.insert({{name, labels}, value}).second) << "twice: " << line;
      if (name == family_ + "_bucket") buckets_[family_].push_back({labels, value});
    } else {
      ADD_FAILURE() << line;
    }
  }

  void check_histograms() const {
    for (const auto& [family, buckets] : buckets_) {
      double last_bound = -1, last_count = 0;
      for (const auto& [labels, count] : buckets) {
        const std::size_t le = labels.find("le=\"");
        ASSERT_NE(le, std::string::npos);
        const double bound = std::stod(labels.substr(le + 4));
        EXPECT_GT(bound, last_bound) << family;
        EXPECT_GE(count, last_count) << family;
        last_bound = bound;
        last_count = count;
      }
      EXPECT_TRUE(std::isinf(last_bound)) << family;
      EXPECT_EQ(value(family + "_count"), last_count);
      value(family + "_sum");
    }
  }

  std::string family_;
  std::map<std::string, std::string> types_;
  std::set<std::string> names_;
  std::map<std::pair<std::string, std::string>, double> samples_;
  std::map<std::string, std::vector<std::pair<std::string, double>>> buckets_;
};

RequestUpdate tokens(double seconds, std::vector<int> choices) {
  RequestUpdate update;
  update.time = at(seconds);
  for (const int choice : choices) {
    TokenEvent event;
    event.choice = choice;
    event.token = 5;
    update.events.push_back(event);
  }
  return update;
}

TokenEvent ending(int choice, FinishReason reason) {
  TokenEvent event;
  event.choice = choice;
  event.finished = reason;
  return event;
}

/// Arrives at 0, runs at 1, tokens at 2, 2.5 and 4, ends at 4.
void run_one(ServerMetrics& metrics) {
  auto request = metrics.started({.arrived = at(0), .choices = 1, .max_tokens = 3});
  request.on_update(tokens(2, {0}));
  request.on_update(tokens(2.5, {0}));
  RequestUpdate last = tokens(4, {0});
  last.events[0].finished = FinishReason::kLength;
  last.summary = RequestSummary{.arrived = at(0.25),
                                .scheduled = at(1),
                                .first_token = at(2),
                                .finished = at(4),
                                .prompt_tokens = 100,
                                .reused_tokens = 16,
                                .output_tokens = 3,
                                .preemptions = 0,
                                .speculation = {}};
  request.on_update(last);
  request.on_update(last);  // nothing comes after the summary; if it did, it would not count
}

EngineStats some_stats() {
  EngineStats engine;
  engine.running = 3;
  engine.waiting = 2;
  engine.kv_blocks = 200;
  engine.kv_blocks_in_use = 50;
  engine.kv_blocks_cached = 30;
  engine.kv_waste = 0.03125;
  engine.prompt_tokens = 1000;
  engine.generation_tokens = (std::uint64_t{1} << 60) + 1;
  engine.prefix_query_tokens = 640;
  engine.prefix_hit_tokens = 160;
  engine.preemptions = 4;
  engine.forward_seconds = 1.5;
  return engine;
}

TEST(ServerMetrics, OneRequestsLife) {
  ServerMetrics metrics("some-model");
  run_one(metrics);
  const Exposition text(metrics.prometheus_text(some_stats(), {}, at(5)));
  const auto sum = [&](const std::string& name) {
    return text.value("ridgeline:" + name + "_sum");
  };
  const auto count = [&](const std::string& name) {
    return text.value("ridgeline:" + name + "_count");
  };
  EXPECT_EQ(count("time_to_first_token_seconds"), 1);
  EXPECT_DOUBLE_EQ(sum("time_to_first_token_seconds"), 2);
  EXPECT_EQ(count("inter_token_latency_seconds"), 2);
  EXPECT_DOUBLE_EQ(sum("inter_token_latency_seconds"), 2);
  EXPECT_EQ(text.value("ridgeline:inter_token_latency_seconds_bucket", "le=\"0.5\""), 1);
  EXPECT_EQ(text.value("ridgeline:inter_token_latency_seconds_bucket", "le=\"0.4\""), 0);
  EXPECT_DOUBLE_EQ(sum("request_time_per_output_token_seconds"), 1);
  EXPECT_DOUBLE_EQ(sum("e2e_request_latency_seconds"), 4);
  EXPECT_DOUBLE_EQ(sum("request_queue_time_seconds"), 0.75);
  EXPECT_DOUBLE_EQ(sum("request_prefill_time_seconds"), 1);
  EXPECT_DOUBLE_EQ(sum("request_decode_time_seconds"), 2);
  EXPECT_DOUBLE_EQ(sum("request_inference_time_seconds"), 3);
  EXPECT_EQ(sum("request_prompt_tokens"), 100);
  EXPECT_EQ(sum("request_generation_tokens"), 3);
  EXPECT_EQ(sum("request_max_num_generation_tokens"), 3);
  EXPECT_EQ(sum("request_params_n"), 1);
  EXPECT_EQ(sum("request_params_max_tokens"), 3);
  EXPECT_EQ(text.value("ridgeline:request_success_total", "finished_reason=\"length\""), 1);
  EXPECT_EQ(text.value("ridgeline:request_success_total", "finished_reason=\"stop\""), 0);
  EXPECT_NEAR(text.value("ridgeline:time_to_first_token_last_minute_seconds", "percentile=\"95\""),
              2, 2.0 / 64);
  EXPECT_NEAR(text.value("ridgeline:inter_token_latency_last_minute_seconds", "percentile=\"50\""),
              0.5, 0.5 / 64);
  EXPECT_NEAR(text.value("ridgeline:e2e_request_latency_last_minute_seconds", "percentile=\"99\""),
              4, 4.0 / 64);
}

TEST(ServerMetrics, ChoicesCountAsSequences) {
  ServerMetrics metrics("m");
  auto request = metrics.started({.arrived = at(0), .choices = 2});
  request.on_update(tokens(1, {0, 1}));
  RequestUpdate update = tokens(2, {0, 1});
  update.events[1].finished = FinishReason::kStop;
  request.on_update(update);
  update = tokens(3, {0});
  update.events[0].finished = FinishReason::kLength;
  update.events.push_back(ending(7, FinishReason::kStop));  // no such choice
  update.summary = RequestSummary{.arrived = at(0),
                                  .scheduled = at(0.5),
                                  .first_token = at(1),
                                  .finished = at(3),
                                  .speculation = {}};
  request.on_update(update);
  const Exposition text(metrics.prometheus_text({}, {}, at(3)));
  EXPECT_EQ(text.value("ridgeline:time_to_first_token_seconds_count"), 1);
  EXPECT_EQ(text.value("ridgeline:inter_token_latency_seconds_count"), 3);
  EXPECT_EQ(text.value("ridgeline:request_generation_tokens_count"), 2);
  EXPECT_EQ(text.value("ridgeline:request_generation_tokens_sum"), 5);
  EXPECT_EQ(text.value("ridgeline:request_max_num_generation_tokens_sum"), 3);
  EXPECT_EQ(text.value("ridgeline:e2e_request_latency_seconds_count"), 1);
  EXPECT_EQ(text.value("ridgeline:request_success_total", "\"stop\""), 1);
  EXPECT_EQ(text.value("ridgeline:request_success_total", "\"length\""), 1);
}

TEST(ServerMetrics, ACancellationEndsTheChoicesThatAreLeft) {
  ServerMetrics metrics("m");
  auto request = metrics.started({.arrived = at(0), .choices = 3});
  RequestUpdate update = tokens(1, {0, 1, 2});
  update.events[0].finished = FinishReason::kStop;
  request.on_update(update);
  RequestUpdate last;
  last.time = at(2);
  last.events.push_back(ending(0, FinishReason::kCancelled));
  last.summary.emplace().arrived = at(0);
  request.on_update(last);
  const Exposition text(metrics.prometheus_text({}, {}, at(3)));
  EXPECT_EQ(text.value("ridgeline:request_success_total", "\"stop\""), 1);
  EXPECT_EQ(text.value("ridgeline:request_success_total", "\"abort\""), 2);
  EXPECT_EQ(text.value("ridgeline:e2e_request_latency_seconds_count"), 0);
}

TEST(ServerMetrics, HowRequestsEndDecidesWhatTheyTell) {
  ServerMetrics metrics("m");
  const auto end = [&](FinishReason reason, bool with_event) {
    auto request = metrics.started({.arrived = at(0)});
    RequestUpdate update;
    update.time = at(10);
    if (with_event) update.events.push_back(ending(0, reason));
    update.summary.emplace().arrived = at(0);
    request.on_update(update);
  };
  end(FinishReason::kCancelled, true);
  end(FinishReason::kCancelled, false);
  end(FinishReason::kError, true);
  end(FinishReason::kDeadline, true);
  const Exposition text(metrics.prometheus_text({}, {}, at(10)));
  EXPECT_EQ(text.value("ridgeline:request_success_total", "\"abort\""), 2);
  EXPECT_EQ(text.value("ridgeline:request_success_total", "\"error\""), 1);
  EXPECT_EQ(text.value("ridgeline:request_success_total", "\"deadline\""), 1);
  EXPECT_EQ(text.value("ridgeline:e2e_request_latency_seconds_count"), 1) << "the deadline";
  EXPECT_EQ(text.value("ridgeline:request_queue_time_seconds_sum"), 40);
  EXPECT_EQ(text.value("ridgeline:time_to_first_token_seconds_count"), 0);
  EXPECT_TRUE(std::isnan(
      text.value("ridgeline:time_to_first_token_last_minute_seconds", "percentile=\"50\"")));
  ServerMetrics::Request().on_update(tokens(1, {0}));
}

TEST(ServerMetrics, EngineServerAndLabels) {
  ServerMetrics metrics("mo\"del\\x\n1");
  metrics.refused("queue_full");
  metrics.refused("queue_full");
  metrics.refused("rate_limit");
  metrics.http_response("/v1/chat/completions", 200);
  metrics.http_response("/v1/chat/completions", 429);
  metrics.http_response("/v1/chat/completions", 429);
  metrics.on_step({.prefill_rows = 100,
                   .decode_rows = 4,
                   .sampled_tokens = 5,
                   .schedule_seconds = 0.01,
                   .forward_seconds = 0.2,
                   .sample_seconds = 0.02,
                   .speculation = {},
                   .predicted_seconds = 0.25},
                  at(0));
  ServerState state;
  state.ladder.rung = Rung::kCapLowPriority;
  state.ladder.signals.kv = 1.02;
  state.ladder.entered[3] = 9;
  state.resident_bytes = 12345;
  state.open_connections = 17;
  const std::string raw = metrics.prometheus_text(some_stats(), state, at(1));
  EXPECT_THAT(raw,
              HasSubstr(R"(ridgeline:num_requests_running{model_name="mo\"del\\x\n1",engine="0"} 3)"
                        "\n"));
  const Exposition text(raw);
  EXPECT_EQ(text.value("ridgeline:num_requests_waiting"), 2);
  EXPECT_EQ(text.value("ridgeline:kv_cache_usage_perc"), 0.25);
  EXPECT_EQ(text.value("ridgeline:kv_cache_blocks", "free"), 120);
  EXPECT_EQ(text.value("ridgeline:kv_cache_waste_ratio"), 0.03125);
  EXPECT_EQ(text.value("ridgeline:prefix_cache_queries_total"), 640);
  EXPECT_EQ(text.value("ridgeline:prefix_cache_hits_total"), 160);
  EXPECT_EQ(text.value("ridgeline:num_preemptions_total"), 4);
  EXPECT_THAT(raw, HasSubstr(" 1152921504606846977\n")) << "counters keep their last digit";
  EXPECT_EQ(text.value("ridgeline:engine_seconds_total", "forward"), 1.5);
  EXPECT_EQ(text.value("ridgeline:iteration_tokens_total_sum"), 105);
  EXPECT_DOUBLE_EQ(text.value("ridgeline:step_time_ratio_sum"), 0.8);
  EXPECT_EQ(text.value("ridgeline:requests_refused_total", "queue_full"), 2);
  EXPECT_EQ(text.value("ridgeline:http_responses_total", "code=\"429\""), 2);
  EXPECT_EQ(text.value("ridgeline:degradation_rung"), 3);
  EXPECT_EQ(text.value("ridgeline:degradation_rung_entered_total", "cap_low_priority"), 9);
  EXPECT_EQ(text.value("ridgeline:degradation_pressure", "kv_cache"), 1.02);
  EXPECT_EQ(text.value("ridgeline:open_connections"), 17);
  EXPECT_EQ(text.value("process_resident_memory_bytes"), 12345);
}

SpeculationStats some_drafts() {
  SpeculationStats s;
  s.enabled = true;
  s.max_draft = 3;
  s.all = {.checks = 100,
           .tokens = 180,
           .drafted = 150,
           .accepted = 90,
           .seconds = 2,
           .plain_seconds = 3};
  s.drafters = {{"lookup", 120, 80, 0.25, 1000}, {"model", 30, 10, 0.5, 2000}};
  s.drafted_at = {70, 50, 30};
  s.accepted_at = {50, 30, 10};
  return s;
}

TEST(ServerMetrics, Drafts) {
  ServerMetrics metrics("m");
  EngineStats engine = some_stats();
  EXPECT_TRUE(std::isnan(Exposition(metrics.prometheus_text(engine, {}, at(1)))
                             .value("ridgeline:spec_decode_speedup")));
  engine.speculation = some_drafts();
  engine.draft_bytes = 3000;
  engine.draft_seconds = 0.75;
  metrics.on_step(
      {.sampled_tokens = 9, .draft_seconds = 0.25, .speculation = engine.speculation.all}, at(0));
  const Exposition text(metrics.prometheus_text(engine, {}, at(1)));
  const auto value = [&](const char* name, const std::string& label = "") {
    return text.value(std::string("ridgeline:") + name, label);
  };
  EXPECT_EQ(value("spec_decode_num_drafts_total"), 70);
  EXPECT_EQ(value("spec_decode_num_draft_tokens_total"), 150);
  EXPECT_EQ(value("spec_decode_num_accepted_tokens_total"), 90);
  EXPECT_EQ(value("spec_decode_num_accepted_tokens_per_pos_total", "position=\"1\""), 30);
  EXPECT_EQ(value("spec_decode_num_draft_tokens_per_pos_total", "position=\"2\""), 30);
  EXPECT_EQ(value("spec_decode_passes_total"), 100);
  EXPECT_EQ(value("spec_decode_pass_tokens_total"), 180);
  EXPECT_EQ(value("spec_decode_seconds_total"), 2);
  EXPECT_EQ(value("spec_decode_plain_seconds_total"), 3);
  EXPECT_DOUBLE_EQ(value("spec_decode_speedup"), 1.5);
  EXPECT_EQ(value("spec_decode_active"), 1);
  EXPECT_EQ(value("drafter_draft_tokens_total", "model\""), 30);
  EXPECT_EQ(value("drafter_accepted_tokens_total", "lookup"), 80);
  EXPECT_EQ(value("drafter_seconds_total", "lookup"), 0.25);
  EXPECT_EQ(value("drafter_memory_bytes", "lookup"), 1000);
  EXPECT_EQ(value("memory_bytes", "drafters"), 3000);
  EXPECT_EQ(value("engine_seconds_total", "draft"), 0.75);
  EXPECT_EQ(value("step_seconds_sum"), 0.25);

  const Json stats = Json::parse(metrics.stats_json(engine, {}, at(1)));
  const Json& shown = stats["speculation"];
  EXPECT_EQ(shown["enabled"], true);
  EXPECT_EQ(shown["accepted"], 90);
  EXPECT_EQ(shown["recent"]["acceptance"], 0.6);
  EXPECT_EQ(shown["recent"]["tokens_per_pass"], 1.8);
  EXPECT_EQ(shown["drafters"][1]["name"], "model");
  EXPECT_EQ(shown["accepted_at"], Json({50, 30, 10}));
  EXPECT_EQ(stats["memory"]["draft_bytes"], 3000);
  // Who has stood them down is seen at once, what was long ago is not.
  engine.speculation.allowed = false;
  EXPECT_EQ(
      Exposition(metrics.prometheus_text(engine, {}, at(1))).value("ridgeline:spec_decode_active"),
      0);
  EXPECT_TRUE(
      Json::parse(metrics.stats_json(engine, {}, at(60)))["speculation"]["recent"]["speedup"]
          .is_null());
}

TEST(ServerMetrics, LabelsAreBounded) {
  ServerMetrics metrics("m");
  for (int i = 0; i < 1000; ++i) metrics.refused("reason" + std::to_string(i));
  const Exposition text(metrics.prometheus_text({}, {}, at(0)));
  EXPECT_EQ(text.value("ridgeline:requests_refused_total", "\"other\""), 1000 - (256 - 7));
}

TEST(ServerMetrics, StatsAreJson) {
  ServerMetrics metrics("mo\"del\xff");
  Json empty = Json::parse(metrics.stats_json({}, {}, at(0)));
  EXPECT_TRUE(empty["latency_seconds"]["time_to_first_token"]["p50"].is_null());
  run_one(metrics);
  metrics.refused("a\"b");
  metrics.on_step({.prefill_rows = 50, .sampled_tokens = 20, .speculation = {}}, at(4));
  ServerState state;
  state.ladder.rung = Rung::kSmallPrefill;
  state.open_connections = 2;
  const Json stats = Json::parse(metrics.stats_json(some_stats(), state, at(4)));
  EXPECT_EQ(stats["model"], "mo\"del\uFFFD");
  EXPECT_EQ(stats["requests"]["running"], 3);
  EXPECT_EQ(stats["requests"]["finished"]["length"], 1);
  EXPECT_EQ(stats["requests"]["refused"]["a\"b"], 1);
  EXPECT_EQ(stats["latency_seconds"]["window_seconds"], 60);
  EXPECT_NEAR(stats["latency_seconds"]["time_to_first_token"]["p99"], 2.0, 2.0 / 64);
  EXPECT_EQ(stats["latency_seconds"]["inter_token"]["count"], 2);
  EXPECT_NEAR(stats["latency_seconds"]["inter_token"]["mean"], 1.0, 1e-9);
  EXPECT_NEAR(stats["latency_seconds"]["end_to_end"]["p50"], 4.0, 4.0 / 64);
  EXPECT_NEAR(stats["tokens"]["generated_per_second"], 2.0, 0.01);
  EXPECT_EQ(stats["kv_cache"]["in_use"], 50);
  EXPECT_EQ(stats["degradation"]["name"], "small_prefill");
  EXPECT_EQ(stats["open_connections"], 2);
  EXPECT_EQ(stats["draining"], false);
}

TEST(ServerMetrics, ReadWhileTheEngineRuns) {
  ServerMetrics metrics("m");
  std::atomic<bool> done{false};
  std::thread engine([&] {
    for (int i = 0; i < 200; ++i) {
      run_one(metrics);
      metrics.on_step({.prefill_rows = 1,
                       .sampled_tokens = 1,
                       .speculation = some_drafts().all,
                       .predicted_seconds = 0.1},
                      at(4));
    }
    done = true;
  });
  while (!done) {
    metrics.refused("queue_full");
    metrics.http_response("/metrics", 200);
    EXPECT_FALSE(metrics.prometheus_text({}, {}, at(5)).empty());
    EXPECT_TRUE(Json::accept(metrics.stats_json({}, {}, at(5))));
  }
  engine.join();
  const Exposition text(metrics.prometheus_text({}, {}, at(5)));
  EXPECT_EQ(text.value("ridgeline:e2e_request_latency_seconds_count"), 200);
}

void collect_expressions(const Json& json, std::vector<std::string>& found) {
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      // Of panels, and of variables ("label_values(metric, label)").
      if ((key == "expr" || key == "query" || key == "definition") && value.is_string()) {
        found.push_back(value);
      }
      collect_expressions(value, found);
    }
  } else if (json.is_array()) {
    for (const Json& value : json) collect_expressions(value, found);
  }
}

TEST(Dashboard, ShowsOnlyMetricsThatExist) {
  std::ifstream file(RIDGELINE_SOURCE_DIR "/packaging/grafana/ridgeline.json");
  ASSERT_TRUE(file);
  const Json dashboard = Json::parse(file);
  std::vector<std::string> expressions;
  collect_expressions(dashboard, expressions);
  EXPECT_GE(expressions.size(), 20u);

  ServerMetrics metrics("m");
  metrics.refused("queue_full");
  metrics.http_response("/metrics", 200);
  EngineStats engine;
  engine.speculation = some_drafts();
  const Exposition text(metrics.prometheus_text(engine, {}, at(0)));
  std::set<std::string> used;
  const std::regex name(R"((ridgeline:|process_)[a-zA-Z0-9_]+)");
  for (const std::string& expression : expressions) {
    for (std::sregex_iterator it(expression.begin(), expression.end(), name), end; it != end;
         ++it) {
      EXPECT_TRUE(text.names().contains(it->str())) << it->str() << " in " << expression;
      used.insert(it->str());
    }
  }
  EXPECT_GE(used.size(), 25u);
}

TEST(Documentation, NamesEveryFamily) {
  std::ifstream file(RIDGELINE_SOURCE_DIR "/docs/SERVING.md");
  ASSERT_TRUE(file);
  const std::string serving{std::istreambuf_iterator<char>(file), {}};
  ServerMetrics metrics("m");
  const Exposition text(metrics.prometheus_text({}, {}, at(0)));
  for (const auto& [family, type] : text.types()) {
    const std::size_t colon = family.find(':');
    std::string name(1, '`');
    name += family.substr(colon + 1);
    EXPECT_THAT(serving, HasSubstr(name)) << family;
  }
}

}  // namespace
}  // namespace ridgeline
