#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "ridgeline/base/result.h"

// What a command has to say, as plain data: a page, JSON and CSV are made of it. Text is UTF-8
// of whoever wrote it; whoever prints it escapes it.

namespace ridgeline::report {

struct Fact {
  std::string name{}, value{};
  std::string note{};  ///< smaller, beneath; may be empty
  bool operator==(const Fact&) const = default;
};

/// A paragraph under a heading, and a command to paste; each may be empty.
struct Paragraph {
  std::string title{}, text{}, command{};
  bool operator==(const Paragraph&) const = default;
};

/// How a cell is meant, which its text says too.
enum class Tone { kPlain, kGood, kAdvice, kWarning };

/// A number, text, or a number shown as a text; nothing at all is shown as a dash.
struct Cell {
  std::optional<double> number{};
  std::string text{};  ///< shown in the number's place if it is not empty
  Tone tone = Tone::kPlain;

  Cell() = default;
  template <class T>
  requires std::is_arithmetic_v<T> Cell(T value) : number(static_cast<double>(value)) {}
  Cell(double value, std::string shown) : number(value), text(std::move(shown)) {}
  Cell(std::optional<double> value) : number(value) {}
  Cell(std::string shown, Tone meant = Tone::kPlain) : text(std::move(shown)), tone(meant) {}
  Cell(const char* shown, Tone meant = Tone::kPlain) : text(shown), tone(meant) {}
  bool operator==(const Cell&) const = default;
};

struct Column {
  std::string name{};
  std::string unit{};
  bool left = false;  ///< as text is aligned; numbers stand to the right
  int decimals = -1;  ///< of numbers; -1: three significant digits
  bool bars = false;  ///< a bar behind each number, as long as it is beside the greatest
  bool operator==(const Column&) const = default;
};

struct Table {
  std::string name{};  ///< of its CSV file: "speed"; unique in a section, a-z, 0-9 and -
  std::string title{};
  std::vector<Column> columns{};
  std::vector<std::vector<Cell>> rows{};  ///< a cell for each column
  std::vector<std::string> notes{};       ///< sentences beneath
  bool operator==(const Table&) const = default;
};

struct Axis {
  enum class Kind {
    kLinear,
    kLog,   ///< ticks at 1, 10, 100
    kLog2,  ///< ticks at 1, 2, 4
  };
  std::string title{}, unit{};
  Kind kind = Kind::kLinear;
  bool whole = false;  ///< a linear axis of whole numbers
  /// Absent: as the points want it; a linear axis of what is not negative begins at 0.
  std::optional<double> low{}, high{};
  bool operator==(const Axis&) const = default;
};

struct Point {
  double x = 0, y = 0;  ///< not finite: a line is broken there
  std::string label{};  ///< beside it where there is room; of bars, the name of the group
  bool operator==(const Point&) const = default;
};

struct Series {
  enum class Style {
    kLine,    ///< points, joined
    kPoints,  ///< not joined
    kBars,    ///< lying, one below the other: as long as y; x says nothing
    kRoof,    ///< a limit: a line without points, with its title along it
  };
  std::string title{};
  Style style = Style::kLine;
  std::vector<Point> points{};
  bool operator==(const Series&) const = default;
};

/// A text in the plot, at a place in it.
struct Annotation {
  double x = 0, y = 0;
  std::string text{};
  bool operator==(const Annotation&) const = default;
};

/// If one series is bars, all are: of the i-th point of each a group of bars is made, or one bar
/// end to end.
struct Plot {
  std::string title{};
  std::string description{};  ///< what is to be seen in it, also for those who cannot see it
  Axis x{}, y{};
  std::vector<Series> series{};
  std::vector<Annotation> annotations{};
  bool stacked = false;  ///< bars end to end
  bool operator==(const Plot&) const = default;

  bool is_bars() const;
};

using Block = std::variant<Paragraph, Table, Plot>;

/// Of one command.
struct Section {
  std::string name{};          ///< of its file: "ablation"; a-z, 0-9 and -
  std::string title{};         ///< "What each optimisation is worth"
  std::string version{};       ///< of the program
  std::string command_line{};  ///< that made it
  std::string date{};          ///< "2026-11-23 04:05 UTC"
  std::vector<Fact> machine{};
  std::vector<Fact> figures{};  ///< the most important ones, shown first and large
  std::vector<Block> blocks{};  ///< in the order of the page
  /// Everything, for scripts: JSON, which the section's file has as "data"; may be empty.
  std::string data{};
  bool operator==(const Section&) const = default;
};

/// What a cell shows: text, or the number with the column's decimals.
std::string shown(const Cell& cell, const Column& column);
/// Three significant digits without an exponent: "0.00123", "12.3", "4570"; "–" if not finite.
std::string figure_text(double value);

/// An object with "format": "ridgeline report section". Error: a name that cannot be a file's, a
/// table whose rows are not as long as its columns, data that is no JSON.
Result<std::string> to_json(const Section& section);
/// Error: no section, or a damaged one; the sentence says what is wrong with it, not where it was.
Result<Section> section_from_json(const std::string& text);
/// RFC 4180: names with units, then a line for each row; numbers are not rounded.
std::string to_csv(const Table& table);

/// What the machine says about itself and does not change from run to run.
std::vector<Fact> machine_facts();
/// With the facts that any section has: the machine, this process' command line, the date.
Section new_section(std::string name, std::string title, std::string version);

}  // namespace ridgeline::report
