#include "ridgeline/cli/doctor_json.h"

#include "ridgeline/cli/bench.h"

namespace ridgeline::cli {
namespace {

using Json = nlohmann::ordered_json;
template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json fit_json(const doctor::ModelDiagnosis& d) {
  Json j{{"available_bytes", d.fit.available_bytes},
         {"weight_bytes", d.fit.weight_bytes},
         {"workspace_bytes", d.fit.workspace_bytes},
         {"reserve_bytes", doctor::MemoryFit::kReserveBytes},
         {"kv_type", name(d.kv_type)},
         {"kv_bytes_per_token", d.fit.kv.bytes_seen(1)},
         {"longest_context", d.fit.longest_context()},
         {"longest_context_q8_0", d.small_fit.longest_context()},
         {"trained_context", d.fit.trained_context}};
  j["streams"] = Json::array();
  for (const auto& [context, count] : d.streams)
    j["streams"].push_back({{"context", context}, {"streams", count}});
  return j;
}

Json rates_json(const doctor::ModelDiagnosis& d) {
  Json j{{"read_bytes_per_second", d.read_bytes_per_second},
         {"weights_fit_in_cache", !d.rates->read_memory()}};
  j["products"] = Json::array();
  for (const ProductRate& p : d.rates->products) {
    const double peak = p.peak_ops_per_second;
    Json knots = Json::array();
    for (const auto& k : p.knots)
      knots.push_back({{"rows", k.rows}, {"seconds_per_weight", k.seconds_per_weight}});
    j["products"].push_back({{"type", name(p.type.dtype)},
                             {"arithmetic", arithmetic_name(p.arithmetic)},
                             {"bytes_per_weight", p.bytes_per_weight},
                             {"share_of_memory", p.share_of_memory()},
                             {"ops_per_second", p.ops_per_second()},
                             {"share_of_peak", peak > 0 ? p.ops_per_second() / peak : 0},
                             {"knots", knots}});
  }
  const LayerRate& l = d.rates->layer;
  j["layer"] = {{"seconds_one", l.seconds_one},
                {"seconds_per_position", l.seconds_per_position},
                {"seconds_per_row", l.seconds_per_row},
                {"seconds_per_pair", l.seconds_per_pair}};
  j["head_seconds"] = d.rates->head_seconds;
  return j;
}

Json checks_json(const doctor::ModelDiagnosis& d) {
  Json list = Json::array();
  for (const doctor::SpeedCheck& c : d.checks)
    list.push_back(
        {{"test", c.work.kind == ridgeline::Workload::Kind::kPrefill ? "prefill" : "decode"},
         {"tokens", c.work.tokens},
         {"depth", c.work.depth},
         {"pieces", c.pieces},
         {"predicted_tokens_per_second", c.predicted_tokens_per_second},
         {"measured_tokens_per_second", c.measured_tokens_per_second},
         {"error", c.error()},
         {"read_bytes_per_second", c.read_bytes_per_second}});
  return list;
}

Json types_json(const doctor::ModelDiagnosis& d) {
  Json list = Json::array();
  for (const doctor::TypeOption& t : d.type_options)
    list.push_back({{"type", t.name},
                    {"current", t.is_current},
                    {"bits_per_weight", t.bits_per_weight},
                    {"file_bytes", t.file_bytes},
                    {"weight_bytes", t.weight_bytes},
                    {"fits", t.fits},
                    {"prefill_tokens_per_second", t.prefill_tokens_per_second},
                    {"decode_tokens_per_second", t.decode_tokens_per_second}});
  return list;
}

Json predictions_json(const doctor::ModelDiagnosis& d) {
  Json j;
  j["ttft"] = Json::array();
  for (const doctor::Prediction& p : d.prompts)
    j["ttft"].push_back({{"prompt_tokens", p.work.tokens},
                         {"seconds", p.seconds},
                         {"tokens_per_second", p.tokens_per_second()}});
  j["decode"] = Json::array();
  for (const doctor::Prediction& p : d.decodes)
    j["decode"].push_back({{"depth", p.work.depth}, {"tokens_per_second", p.tokens_per_second()}});
  j["streams"] = Json::array();
  for (const doctor::StreamsPoint& p : d.batches)
    j["streams"].push_back(
        {{"streams", p.streams}, {"tokens_per_second", p.tokens_per_second}, {"fits", p.fits}});
  return j;
}

Json scenarios_json(const doctor::ModelDiagnosis& d) {
  Json list = Json::array();
  for (const doctor::Scenario& s : d.scenarios)
    list.push_back({{"name", s.name},
                    {"goal", s.goal},
                    {"prepare", s.prepare},
                    {"command", s.command},
                    {"reason", s.reason},
                    {"ttft_seconds", s.ttft_seconds},
                    {"tokens_per_second", s.tokens_per_second},
                    {"memory_bytes", s.memory_bytes}});
  return list;
}

}  // namespace

Json machine_json(const doctor::MachineFacts& f, const doctor::MachineSpeed& speed) {
  Json j{{"processor", f.cpu.brand},
         {"isa", f.isa},
         {"isas", f.isas},
         {"isa_is_forced", f.isa_is_forced},
         {"threads", f.threads},
         {"cores", f.topology.physical_cores},
         {"usable_cpus", f.topology.usable_cpus},
         {"online_cpus", f.online_cpus},
         {"l1d_bytes", f.topology.l1d_bytes},
         {"l2_bytes", f.topology.l2_bytes},
         {"l3_bytes", f.topology.l3_bytes},
         {"numa_nodes", f.topology.numa_nodes},
         {"cpu_quota", or_null(f.cgroup_cpu.cpus)},
         {"cpu_quota_file", f.cgroup_cpu.file},
         {"memory_bytes", f.memory.total_bytes},
         {"memory_available_bytes", f.memory.available_bytes},
         {"machine_memory_bytes", f.machine_memory_bytes},
         {"swap_bytes", f.swap.total_bytes},
         {"swap_used_bytes", f.swap.used_bytes},
         {"swappiness", or_null(f.swap.swappiness)},
         {"governor", f.power.governor},
         {"turbo", or_null(f.power.turbo)},
         {"virtual_machine", f.virtualization.is_virtual_machine},
         {"container", f.virtualization.container},
         {"busy_share", f.use.busy},
         {"stolen_share", f.use.stolen},
         {"load_average", or_null(f.load_average)},
         {"open_files", or_null(f.limits.open_files)}};
  if (speed.huge_share_known) j["huge_page_share"] = speed.huge_share;
  j["one_thread"] = to_json(speed.one_thread);
  j["all_threads"] = to_json(speed.all_threads);
  return j;
}

Json findings_json(const std::vector<doctor::Finding>& findings) {
  Json list = Json::array();
  for (const doctor::Finding& f : findings)
    list.push_back({{"what", f.what},
                    {"severity", doctor::name(f.severity)},
                    {"found", f.found},
                    {"advice", f.advice},
                    {"command", f.command}});
  return list;
}

Json model_json(const doctor::ModelDiagnosis& d) {
  Json j{{"file", d.path},
         {"architecture", d.architecture},
         {"name", d.name},
         {"types", d.types},
         {"file_bytes", d.file_bytes},
         {"parameters", d.parameters},
         {"fits", d.cannot_run.empty()},
         {"reason", d.cannot_run},
         {"batch_tokens", d.batch_tokens},
         {"memory", fit_json(d)}};
  if (d.rates) {
    j["rates"] = rates_json(d);
    j["predicted"] = predictions_json(d);
    j["types_compared"] = types_json(d);
    j["scenarios"] = scenarios_json(d);
  } else {
    j["no_prediction"] = d.no_prediction;
  }
  if (!d.checks.empty()) {
    j["measured"] = checks_json(d);
    j["measured_memory"] = {{"weight_bytes", d.measured_memory.weight_bytes},
                            {"kv_bytes", d.measured_memory.kv_bytes},
                            {"workspace_bytes", d.measured_memory.workspace_bytes}};
  }
  return j;
}

}  // namespace ridgeline::cli
