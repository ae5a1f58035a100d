#include "ridgeline/tools/ptq/quantize_report.h"

#include <nlohmann/json.hpp>
#include <string_view>

namespace ridgeline::ptq {
namespace {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

double bits_per_weight(const TensorReport& t) {
  return 8 * static_cast<double>(t.bytes) / static_cast<double>(t.elements());
}

/// Infinity and NaN, which JSON lacks, become null when they are printed.
Json of_tensor(const TensorReport& t) {
  return {{"name", t.name},
          {"from", name(t.from)},
          {"to", name(t.to)},
          {"shape", t.shape},
          {"bytes", t.bytes},
          {"bits_per_weight", bits_per_weight(t)},
          {"sqnr_db", t.quality.sqnr_db()},
          {"max_error", t.quality.max_error},
          {"seconds", t.seconds}};
}

Json of_eval(const QuantizeReport& report) {
  if (!report.before || !report.after) return nullptr;
  Json eval = {{"text", text_or_null(report.eval_text)},
               {"context", report.eval_context},
               {"windows", report.after->windows},
               {"predicted_tokens", report.after->predicted_tokens},
               {"before", to_json(*report.before)},
               {"after", to_json(*report.after)}};
  if (report.divergence) eval.update(to_json(*report.divergence));
  return eval;
}

}  // namespace

std::int64_t TensorReport::elements() const {
  std::int64_t n = 1;
  for (const std::int64_t size : shape) n *= size;
  return n;
}

TensorQuality QuantizeReport::total() const {
  TensorQuality total;
  for (const TensorReport& t : tensors) total.add(t.quality);
  return total;
}

std::string to_json(const QuantizeReport& report) {
  const TensorQuality total = report.total();
  Json settings = Json::object();
  for (const auto& [key, value] : report.settings) settings[key] = value;
  Json tensors = Json::array();
  for (const TensorReport& t : report.tensors) tensors.push_back(of_tensor(t));
  const Json json = {{"schema", 1},
                     {"source", {{"path", report.source}, {"bytes", report.source_bytes}}},
                     {"target",
                      {{"path", report.target},
                       {"bytes", report.target_bytes},
                       {"type", report.type},
                       {"bits_per_weight", report.bits_per_weight}}},
                     {"method", report.method},
                     {"calibration", text_or_null(report.calibration)},
                     {"settings", settings},
                     {"program", {{"version", report.version}, {"isa", report.isa}}},
                     {"date", text_or_null(report.date)},
                     {"seconds", report.seconds},
                     {"total",
                      {{"elements", total.elements},
                       {"sqnr_db", total.sqnr_db()},
                       {"max_error", total.max_error}}},
                     {"eval", of_eval(report)},
                     {"tensors", tensors}};
  // Paths and names need not be UTF-8.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ridgeline::ptq
