#include "ridgeline/cli/speculation_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "ridgeline/cli/table.h"
#include "ridgeline/tools/statistics.h"

namespace ridgeline::cli {
namespace {

using Json = nlohmann::ordered_json;

/// Places in a draft that the table shows.
constexpr std::size_t kPlacesShown = 6;

std::optional<double> rate(const std::vector<double>& rounds) {
  return rounds.empty() ? std::nullopt : std::optional(median(rounds));
}

/// Of the drafted tokens up to their first miss, by place.
std::vector<double> acceptance_by_place(const SpeculationLine& line) {
  std::vector<double> list;
  for (std::size_t i = 0; const auto share = line.acceptance_at(i); ++i) list.push_back(*share);
  return list;
}

std::string places_text(const SpeculationLine& line) {
  std::string text;
  const std::vector<double> list = acceptance_by_place(line);
  for (std::size_t i = 0; i < std::min(list.size(), kPlacesShown); ++i)
    text += fmt::format("{}{:.2f}", i == 0 ? "" : " ", list[i]);
  return text.empty() ? "–" : text;
}

std::string sameness(const SpeculationLine& line, AcceptanceRule rule) {
  if (line.forced) return "forced";
  if (rule == AcceptanceRule::kRejection) return "other by rule";
  return line.different == 0 ? "identical" : fmt::format("{} DIFFER", line.different);
}

/// Lines of one agreement: the lengths', then the control's.
std::span<const SpeculationLine> of_agreement(const std::vector<SpeculationLine>& lines,
                                              std::size_t agreement, std::size_t lengths) {
  return std::span(lines).subspan(agreement * (lengths + 1), lengths + 1);
}

double best_of(std::span<const SpeculationLine> fixed) {
  double best = 1;  // nothing is drafted
  for (const SpeculationLine& line : fixed) best = std::max(best, rate(line.speedups).value_or(0));
  return best;
}

}  // namespace

void print_speculation(const std::string& title, const std::vector<SpeculationLine>& lines,
                       const std::vector<SpeculationVariant>& variants) {
  Table table(OutputFormat::kTable, {{"text", "text", 0, 1, 14},
                                     {"drafter", "drafter", 0, 1, 9},
                                     {"tokens_per_pass", "tok/pass", 2},
                                     {"acceptance", "accepted, %", 0, 1e2},
                                     {"places", "by place", 0, 1, 29},
                                     {"drafting", "drafting, %", 1, 1e2},
                                     {"plain", "plain tok/s", 1},
                                     {"rate", "tok/s", 1},
                                     {"speedup", "speed-up", 3},
                                     {"estimate", "estimate", 3},
                                     {"same", "text is", 0, 1, 9}});
  table.note(title);
  for (const SpeculationLine& line : lines) {
    const SpeculationVariant& variant = variants[line.variant];
    const bool drafted = line.counts.drafted > 0;
    table.row({line.category, variant.name, line.counts.tokens_per_check(),
               drafted ? Table::Cell(line.counts.acceptance()) : Table::Cell(), places_text(line),
               line.seconds > 0 ? Table::Cell(line.draft_seconds / line.seconds) : Table::Cell(),
               Table::cell(rate(line.plain_rates)), Table::cell(rate(line.rates)),
               Table::cell(rate(line.speedups)), line.counts.speedup(),
               sameness(line, variant.rule)});
  }
}

Json to_json(const std::vector<SpeculationLine>& lines,
             const std::vector<SpeculationVariant>& variants) {
  const auto number = [](const std::optional<double>& value) {
    return value ? Json(*value) : Json(nullptr);
  };
  Json list = Json::array();
  for (const SpeculationLine& line : lines)
    list.push_back({{"text", line.category},
                    {"drafter", variants[line.variant].name},
                    {"texts", line.texts},
                    {"forced", line.forced},
                    {"different_texts", line.different},
                    {"passes", line.counts.checks},
                    {"tokens", line.counts.tokens},
                    {"drafted_tokens", line.counts.drafted},
                    {"accepted_tokens", line.counts.accepted},
                    {"tokens_per_pass", line.counts.tokens_per_check()},
                    {"acceptance_by_place", acceptance_by_place(line)},
                    {"seconds", line.seconds},
                    {"draft_seconds", line.draft_seconds},
                    {"plain_tokens_per_second", line.plain_rates},
                    {"tokens_per_second", line.rates},
                    {"speedups", line.speedups},
                    {"speedup", number(rate(line.speedups))},
                    {"estimated_speedup", line.counts.speedup()}});
  return list;
}

void print_planted(const std::string& title, const std::vector<SpeculationLine>& lines,
                   const std::vector<double>& agreements, const std::vector<int>& lengths) {
  std::vector<Table::Column> columns{{"agreement", "agreement", 2}};
  for (const int length : lengths)
    columns.push_back({fmt::format("speedup_{}", length), fmt::format("{} drafted", length), 2});
  columns.push_back({"control", "control", 3});
  columns.push_back({"of_best", "of the best", 3});
  columns.push_back({"estimate", "estimate", 3});
  columns.push_back({"drafting", "drafting, %", 1, 1e2});
  columns.push_back({"checked", "drafted/pass", 2});
  columns.push_back({"tokens_per_pass", "tok/pass", 2});
  Table table(OutputFormat::kTable, columns);
  table.note(title);
  for (std::size_t a = 0; a < agreements.size(); ++a) {
    const auto all = of_agreement(lines, a, lengths.size());
    std::vector<Table::Cell> row{agreements[a]};
    for (const SpeculationLine& line : all) row.push_back(Table::cell(rate(line.speedups)));
    const SpeculationCounts& control = all.back().counts;
    const double passes = static_cast<double>(std::max<std::uint64_t>(1, control.checks));
    row.insert(row.end(),
               {rate(all.back().speedups).value_or(0) / best_of(all.first(lengths.size())),
                control.speedup(), all.back().draft_seconds / all.back().seconds,
                static_cast<double>(control.drafted) / passes, control.tokens_per_check()});
    table.row(row);
  }
}

Json planted_json(const std::vector<SpeculationLine>& lines, const std::vector<double>& agreements,
                  const std::vector<int>& lengths) {
  Json list = Json::array();
  for (std::size_t a = 0; a < agreements.size(); ++a) {
    const auto all = of_agreement(lines, a, lengths.size());
    for (std::size_t i = 0; i < all.size(); ++i)
      list.push_back({{"agreement", agreements[a]},
                      {"length", i < lengths.size() ? Json(lengths[i]) : Json(nullptr)},
                      {"speedups", all[i].speedups},
                      {"speedup", median(all[i].speedups)},
                      {"estimated_speedup", all[i].counts.speedup()},
                      {"drafted_tokens", all[i].counts.drafted},
                      {"accepted_tokens", all[i].counts.accepted},
                      {"tokens_per_pass", all[i].counts.tokens_per_check()}});
  }
  return list;
}

void print_check_costs(const std::string& title, const std::vector<CheckCost>& costs) {
  Table table(OutputFormat::kTable, {{"rows", "rows"},
                                     {"seconds", "ms", 2, 1e3},
                                     {"ratio", "T/T(1)", 2},
                                     {"predicted", "engine's ms", 2, 1e3},
                                     {"predicted_ratio", "T/T(1)", 2}});
  table.note(title);
  for (const CheckCost& cost : costs)
    table.row({cost.rows, cost.seconds, cost.seconds / costs.front().seconds, cost.predicted,
               cost.predicted / costs.front().predicted});
}

Json to_json(const std::vector<CheckCost>& costs) {
  Json list = Json::array();
  for (const CheckCost& cost : costs)
    list.push_back(
        {{"rows", cost.rows}, {"seconds", cost.seconds}, {"predicted_seconds", cost.predicted}});
  return list;
}

}  // namespace ridgeline::cli
