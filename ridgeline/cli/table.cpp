#include "ridgeline/cli/table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "ridgeline/base/check.h"

namespace ridgeline::cli {
namespace {

using Json = nlohmann::ordered_json;

/// A field of RFC 4180: quoted where it has to be.
std::string csv_field(std::string text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  for (std::size_t i = 0; (i = text.find('"', i)) != std::string::npos; i += 2)
    text.insert(i, 1, '"');
  return '"' + text + '"';
}

std::string csv_text(const Table::Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return csv_field(*text);
  if (const auto* number = std::get_if<std::int64_t>(&cell)) return std::to_string(*number);
  if (const auto* number = std::get_if<double>(&cell)) return fmt::format("{:.7g}", *number);
  if (const auto* list = std::get_if<std::vector<double>>(&cell))
    return fmt::format("{:.7g}", fmt::join(*list, ";"));
  return "";
}

std::string table_text(const Table::Cell& cell, const Table::Column& column) {
  if (const auto* number = std::get_if<double>(&cell))
    return fmt::format("{:.{}f}", *number * column.scale, column.decimals);
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  if (const auto* number = std::get_if<std::int64_t>(&cell)) return std::to_string(*number);
  return "–";
}

Json json_value(const Table::Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  if (const auto* number = std::get_if<std::int64_t>(&cell)) return *number;
  if (const auto* number = std::get_if<double>(&cell))
    return std::isfinite(*number) ? Json(*number) : Json(nullptr);
  if (const auto* list = std::get_if<std::vector<double>>(&cell)) return *list;
  return nullptr;
}

/// Characters on a terminal: those of UTF-8 that begin one.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string padded(const std::string& text, std::size_t to, bool left) {
  const std::string space(to > width(text) ? to - width(text) : 0, ' ');
  return left ? text + space : space + text;
}

std::size_t column_width(const Table::Column& column) {
  return std::max(width(column.title), static_cast<std::size_t>(column.width));
}

}  // namespace

void OutputArguments::add_to(CLI::App& command) {
  command.add_option("-o,--output", format, "table (Markdown), csv or json")
      ->check(CLI::IsMember({"table", "csv", "json"}))
      ->capture_default_str();
  command.add_flag("--json", json, "the same as --output json");
}

OutputFormat OutputArguments::value() const {
  if (json || format == "json") return OutputFormat::kJson;
  return format == "csv" ? OutputFormat::kCsv : OutputFormat::kTable;
}

Table::Cell Table::cell(const std::optional<double>& value) {
  if (value) return *value;
  return std::monostate{};
}

Table::Table(OutputFormat format, std::vector<Column> columns)
    : format_(format), columns_(std::move(columns)) {}

void Table::note(const std::string& sentence) {
  if (format_ != OutputFormat::kTable) return;
  if (rows_.empty()) {
    notes_.push_back(sentence);
    return;
  }
  fmt::print("\n{}\n", sentence);
  std::fflush(stdout);
}

void Table::print_header() {
  if (format_ == OutputFormat::kCsv) {
    for (std::size_t i = 0; i < columns_.size(); ++i)
      fmt::print("{}{}", i == 0 ? "" : ",", csv_field(columns_[i].key));
    fmt::print("\n");
    return;
  }
  for (const std::string& note : notes_) fmt::print("{}\n", note);
  std::string titles = "\n|", rule = "|";
  for (const Column& column : columns_) {
    if (column.title.empty()) continue;
    titles += fmt::format(" {} |", padded(column.title, column_width(column), false));
    rule += std::string(column_width(column) + 1, '-') + ":|";
  }
  fmt::print("{}\n{}\n", titles, rule);
}

void Table::row(const std::vector<Cell>& cells) {
  RIDGELINE_CHECK(cells.size() == columns_.size());
  if (rows_.empty() && format_ != OutputFormat::kJson) print_header();
  rows_.push_back(cells);
  if (format_ == OutputFormat::kJson) return;
  std::string line = format_ == OutputFormat::kTable ? "|" : "";
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (format_ == OutputFormat::kCsv) {
      line += (i == 0 ? "" : ",") + csv_text(cells[i]);
    } else if (!columns_[i].title.empty()) {
      const bool left = std::holds_alternative<std::string>(cells[i]);
      line += fmt::format(
          " {} |", padded(table_text(cells[i], columns_[i]), column_width(columns_[i]), left));
    }
  }
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

void Table::finish(const Json& about) {
  if (format_ != OutputFormat::kJson) return;
  Json report = about;
  report["results"] = Json::array();
  for (const std::vector<Cell>& cells : rows_) {
    Json object = Json::object();
    for (std::size_t i = 0; i < cells.size(); ++i) object[columns_[i].key] = json_value(cells[i]);
    report["results"].push_back(std::move(object));
  }
  fmt::print("{}\n", report.dump(2));
}

}  // namespace ridgeline::cli
