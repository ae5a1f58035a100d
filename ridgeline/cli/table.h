#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ridgeline/base/result.h"

namespace CLI {
class App;
}

namespace ridgeline::cli {

enum class OutputFormat {
  kTable,  ///< Markdown, each line printed as it comes
  kCsv,    ///< likewise
  kJson,   ///< one object at the end
};

/// --output table|csv|json, and --json for the last.
struct OutputArguments {
  std::string format = "table";
  bool json = false;

  void add_to(CLI::App& command);
  OutputFormat value() const;
};

/// Lines of figures on stdout, in the format that was asked for.
class Table {
 public:
  struct Column {
    std::string key;    ///< in CSV and JSON, where figures are not rounded
    std::string title;  ///< in the table; empty: not there
    int decimals = 0;   ///< of a float in the table
    double scale = 1;   ///< by which the table multiplies, 1e-9 for giga
    int width = 7;      ///< characters that a cell usually takes
  };
  /// Empty where a figure makes no sense. Lists are not for the table.
  using Cell = std::variant<std::monostate, std::string, std::int64_t, double, std::vector<double>>;
  static Cell cell(const std::optional<double>& value);

  Table(OutputFormat format, std::vector<Column> columns);

  /// A sentence before the first line or between two, if there will be a first; CSV and
  /// JSON have it in their own way or not at all.
  void note(const std::string& sentence);
  /// A cell for each column.
  void row(const std::vector<Cell>& cells);
  /// Ends the output: JSON is `about` with the lines as "results".
  void finish(const nlohmann::ordered_json& about);

 private:
  void print_header();

  OutputFormat format_;
  std::vector<Column> columns_;
  std::vector<std::string> notes_;  ///< before the first line
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace ridgeline::cli
