#include <nlohmann/json.hpp>

#include "ridgeline/tools/ablation/ablation.h"

namespace ridgeline {
namespace {

using Json = nlohmann::ordered_json;

const char* name_of(AblationConfig::Role role) {
  switch (role) {
    case AblationConfig::Role::kLadder:
      return "ladder";
    case AblationConfig::Role::kHonestStart:
      return "honest start";
    case AblationConfig::Role::kComparison:
      break;
  }
  return "comparison";
}

Json to_json(const Figure& figure) {
  return {{"value", figure.value}, {"extrapolated", figure.extrapolated}};
}

Json to_json(const std::vector<GrowthPoint>& points) {
  Json list = Json::array();
  for (const GrowthPoint& p : points)
    list.push_back({{"tokens", p.length}, {"seconds", p.seconds}});
  return list;
}

Json to_json(const GrowthFit& fit) {
  return {{"constant", fit.constant}, {"linear", fit.linear}, {"quadratic", fit.quadratic}};
}

Json optional(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json to_json(const AblationRow::Factors& factors) {
  return {{"row_before", optional(factors.before)},
          {"baseline", optional(factors.baseline)},
          {"honest_start", optional(factors.honest_start)}};
}

Json to_json(const AblationRow& row) {
  Json j{{"id", row.config.id},
         {"title", row.config.title},
         {"role", name_of(row.config.role)},
         {"switch", row.config.switched}};
  if (!row.left_out.empty()) {
    j["left_out"] = row.left_out;
    return j;
  }
  j["isa"] = row.isa;
  j["ttft_seconds"] = to_json(row.one.ttft_seconds);
  j["tokens_per_second"] = to_json(row.one.tokens_per_second);
  j["factors"] = to_json(row.one_stream);
  j["throughput_tokens_per_second"] = to_json(row.throughput);
  j["throughput_requests"] = row.requests;
  j["throughput_factors"] = to_json(row.many_streams);
  j["memory"] = {{"weight_bytes", row.weight_bytes},
                 {"kv_bytes", row.kv_bytes},
                 {"kv_pool_bytes", row.kv_pool_bytes},
                 {"workspace_bytes", row.workspace_bytes},
                 {"total_bytes", row.total_bytes()}};
  j["kv_utilisation"] = optional(row.kv_utilisation);
  j["perplexity"] = optional(row.perplexity);
  j["divergence"] = row.divergence ? ridgeline::to_json(*row.divergence) : Json(nullptr);
  if (!row.no_quality.empty()) j["no_quality"] = row.no_quality;
  j["measured"] = {{"prompts", to_json(row.one.prompts)},
                   {"prompt_fit", to_json(row.one.prompt_fit)},
                   {"steps", to_json(row.one.steps)},
                   {"step_fit", to_json(row.one.step_fit)},
                   {"steps_at_full_prompt", row.one.measured_tokens}};
  return j;
}

}  // namespace

Json to_json(const AblationReport& report) {
  const AblationOptions& o = report.options;
  Json j{{"model", report.model},
         {"cpu", report.cpu},
         {"threads", report.threads},
         {"prompt_tokens", o.prompt_tokens},
         {"output_tokens", o.output_tokens},
         {"streams", o.streams},
         {"context", o.context},
         {"seconds_per_row", o.seconds_per_row},
         {"quality_base", report.quality_base.empty() ? Json(nullptr) : Json(report.quality_base)},
         {"scored_tokens", report.scored_tokens},
         {"rows", Json::array()},
         {"notes", report.notes}};
  for (const AblationRow& row : report.rows) j["rows"].push_back(to_json(row));
  return j;
}

}  // namespace ridgeline
