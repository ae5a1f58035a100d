#include "ridgeline/tools/rival_output.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

namespace ridgeline {
namespace {

using Json = nlohmann::json;
using Kind = Workload::Kind;

std::string beginning(std::string_view text) {
  constexpr std::size_t kShown = 120;
  return Json(std::string(text.substr(0, kShown)))
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

tl::unexpected<Error> not_understood(const char* expected, std::string_view output) {
  return fail(fmt::format("expected {}, it printed {}", expected, beginning(output)));
}

/// A number of a JSON object, or `otherwise` where there is none.
double number(const Json& object, const char* key, double otherwise) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number() ? it->get<double>() : otherwise;
}
std::int64_t integer(const Json& object, const char* key) {
  return static_cast<std::int64_t>(number(object, key, 0));
}

std::string text(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

bool is_rate(double value) { return std::isfinite(value) && value > 0; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

/// The lines of the table whose header has the column `key`, as numbers by column title.
std::vector<std::map<std::string, double, std::less<>>> table_rows(std::string_view output,
                                                                   std::string_view key) {
  std::vector<std::map<std::string, double, std::less<>>> rows;
  std::vector<std::string_view> titles;
  for (const std::string_view line : split(output, '\n')) {
    if (!line.starts_with('|')) continue;
    std::vector<std::string_view> cells = split(line, '|');
    for (std::string_view& cell : cells) cell = trimmed(cell);
    if (line.find(key) != std::string_view::npos) {
      titles = cells;
      continue;
    }
    std::map<std::string, double, std::less<>> row;
    for (std::size_t i = 0; i < std::min(cells.size(), titles.size()); ++i) {
      double value = 0;
      const auto [end, error] =
          std::from_chars(cells[i].data(), cells[i].data() + cells[i].size(), value);
      if (error == std::errc{} && end == cells[i].data() + cells[i].size())
        row.emplace(titles[i], value);
    }
    if (!row.empty()) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

Result<std::vector<ReportedRate>> parse_bench_model(std::string_view output) {
  const Json report = Json::parse(output, nullptr, /*allow_exceptions=*/false);
  std::vector<ReportedRate> rates;
  if (report.is_object() && report.contains("results") && report["results"].is_array())
    for (const Json& line : report["results"]) {
      if (!line.is_object()) continue;
      const double rate = number(line, "tokens_per_second", 0);
      const std::string test = text(line, "test");
      if (!is_rate(rate) || (test != "prefill" && test != "decode")) continue;
      rates.push_back({{test == "prefill" ? Kind::kPrefill : Kind::kDecode, integer(line, "tokens"),
                        integer(line, "depth"), static_cast<int>(integer(line, "streams"))},
                       rate});
    }
  if (rates.empty()) return not_understood("the JSON of 'bench model'", output);
  return rates;
}

Result<std::vector<ReportedRate>> parse_llama_bench(std::string_view output) {
  const std::size_t begin = output.find("[\n"), end = output.rfind(']');
  std::vector<ReportedRate> rates;
  if (begin != std::string_view::npos && end != std::string_view::npos && begin < end) {
    const Json report = Json::parse(output.substr(begin, end - begin + 1), nullptr, false);
    if (report.is_array())
      for (const Json& line : report) {
        if (!line.is_object()) continue;
        const double rate = number(line, "avg_ts", 0);
        const std::int64_t prompt = integer(line, "n_prompt"), generated = integer(line, "n_gen"),
                           depth = integer(line, "n_depth");
        const bool after_prompt = text(line, "test").find("@pp") != std::string::npos;
        if (!is_rate(rate) || (prompt > 0 && generated > 0 && !after_prompt)) continue;
        if (after_prompt)
          rates.push_back({{Kind::kDecode, generated, prompt, 1}, rate});
        else if (prompt > 0)
          rates.push_back({{Kind::kPrefill, prompt, depth, 1}, rate});
        else
          rates.push_back({{Kind::kDecode, generated, depth, 1}, rate});
      }
  }
  if (rates.empty()) return not_understood("the JSON of llama-bench", output);
  return rates;
}

Result<std::vector<ReportedRate>> parse_batched_bench(std::string_view output) {
  std::vector<ReportedRate> rates;
  for (const auto& row : table_rows(output, "S_TG t/s")) {
    const auto get = [&](const char* key) { return row.contains(key) ? row.find(key)->second : 0; };
    const auto prompt = static_cast<std::int64_t>(get("PP"));
    const auto generated = static_cast<std::int64_t>(get("TG"));
    const int streams = static_cast<int>(get("B"));
    if (streams < 1) continue;
    if (is_rate(get("S_PP t/s")))
      rates.push_back({{Kind::kPrefill, prompt, 0, streams}, get("S_PP t/s")});
    if (is_rate(get("S_TG t/s")))
      rates.push_back({{Kind::kDecode, generated, prompt, streams}, get("S_TG t/s")});
  }
  if (rates.empty()) return not_understood("the table of llama-batched-bench", output);
  return rates;
}

Result<std::vector<ReportedRate>> parse_sweep_bench(std::string_view output) {
  std::vector<ReportedRate> rates;
  for (const auto& row : table_rows(output, "S_TG t/s")) {
    const auto get = [&](const char* key) { return row.contains(key) ? row.find(key)->second : 0; };
    const auto depth = static_cast<std::int64_t>(get("N_KV"));
    if (!row.contains("N_KV") || row.contains("B")) continue;
    if (is_rate(get("S_PP t/s")))
      rates.push_back(
          {{Kind::kPrefill, static_cast<std::int64_t>(get("PP")), depth, 1}, get("S_PP t/s")});
    if (is_rate(get("S_TG t/s")))
      rates.push_back(
          {{Kind::kDecode, static_cast<std::int64_t>(get("TG")), depth, 1}, get("S_TG t/s")});
  }
  if (rates.empty()) return not_understood("the table of llama-sweep-bench", output);
  return rates;
}

}  // namespace ridgeline
