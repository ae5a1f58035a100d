#include "ridgeline/tools/report/section.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <ctime>
#include <fstream>
#include <iterator>
#include <string_view>

#include "ridgeline/platform/cpu_features.h"
#include "ridgeline/platform/topology.h"

namespace ridgeline::report {
namespace {

std::string csv_field(std::string text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  for (std::size_t i = 0; (i = text.find('"', i)) != std::string::npos; i += 2)
    text.insert(i, 1, '"');
  return fmt::format("\"{}\"", text);
}

std::string csv_cell(const Cell& cell) {
  if (!cell.number) return csv_field(cell.text);
  return std::isfinite(*cell.number) ? fmt::format("{:.7g}", *cell.number) : std::string();
}

std::string size_text(std::uint64_t bytes) {
  const auto kib = static_cast<double>(bytes) / 1024;
  if (kib < 1024) return fmt::format("{:.0f} KiB", kib);
  if (kib < 1024 * 1024) return fmt::format("{:.4g} MiB", kib / 1024);
  return fmt::format("{:.1f} GiB", kib / 1024 / 1024);
}

/// As one would type it: quoted where a shell needs it.
std::string shell_word(const std::string& word) {
  const bool is_plain = !word.empty() && std::ranges::all_of(word, [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return std::isalnum(u) || u >= 0x80 ||
           std::string_view("-_./=,:+@%^").find(c) != std::string_view::npos;
  });
  if (is_plain) return word;
  std::string quoted(1, '\'');
  for (const char c : word) {
    if (c == '\'')
      quoted.append("'\\''");
    else
      quoted.push_back(c);
  }
  quoted.push_back('\'');
  return quoted;
}

/// The program by its name, as on a PATH, and its arguments.
std::string own_command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  std::string line;
  for (std::size_t begin = 0; begin < all.size();) {
    const std::size_t end = std::min(all.find('\0', begin), all.size());
    std::string word = all.substr(begin, end - begin);
    if (begin == 0) word = word.substr(word.find_last_of('/') + 1);
    if (begin > 0) line.push_back(' ');
    line += shell_word(word);
    begin = end + 1;
  }
  return line;
}

}  // namespace

bool Plot::is_bars() const {
  return std::ranges::any_of(series,
                             [](const Series& s) { return s.style == Series::Style::kBars; });
}

std::string figure_text(double value) {
  if (!std::isfinite(value)) return "–";
  if (value == 0) return "0";
  // What rounding makes of it decides how many digits there are before the point.
  const double rounded = std::stod(fmt::format("{:.2e}", value));
  const int magnitude = static_cast<int>(std::floor(std::log10(std::fabs(rounded))));
  return fmt::format("{:.{}f}", rounded, std::clamp(2 - magnitude, 0, 12));
}

std::string shown(const Cell& cell, const Column& column) {
  if (!cell.text.empty()) return cell.text;
  if (!cell.number || !std::isfinite(*cell.number)) return "–";
  if (column.decimals < 0) return figure_text(*cell.number);
  return fmt::format("{:.{}f}", *cell.number, column.decimals);
}

std::string to_csv(const Table& table) {
  std::string text;
  const auto put = [&text](std::size_t i, const std::string& field) {
    if (i > 0) text.push_back(',');
    text += field;
  };
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const Column& c = table.columns[i];
    put(i, csv_field(c.unit.empty() ? c.name : fmt::format("{} ({})", c.name, c.unit)));
  }
  text.push_back('\n');
  for (const std::vector<Cell>& row : table.rows) {
    for (std::size_t i = 0; i < row.size(); ++i) put(i, csv_cell(row[i]));
    text.push_back('\n');
  }
  return text;
}

std::vector<Fact> machine_facts() {
  const Topology& t = topology();
  std::vector<Fact> facts;
  const std::string& brand = cpu_features().brand;
  facts.push_back({"processor", brand.empty() ? "unknown" : brand});
  std::string cores = fmt::format("{} cores, {} CPUs", t.physical_cores, t.usable_cpus.size());
  if (t.cpu_quota) cores += fmt::format(", a quota of {:.3g} CPUs", *t.cpu_quota);
  if (t.numa_nodes > 1) cores += fmt::format(", {} NUMA nodes", t.numa_nodes);
  facts.push_back({"usable", cores});
  std::string caches;
  const auto add_cache = [&caches](const char* name, std::size_t bytes) {
    if (bytes > 0)
      caches += fmt::format("{}{} {}", caches.empty() ? "" : ", ", name, size_text(bytes));
  };
  add_cache("L1d", t.l1d_bytes);
  add_cache("L2", t.l2_bytes);
  add_cache("L3", t.l3_bytes);
  if (!caches.empty()) facts.push_back({"caches", caches});
  facts.push_back({"memory", size_text(memory_info().total_bytes)});
  utsname system{};
  if (uname(&system) == 0)
    facts.push_back(
        {"system", fmt::format("{} {}, {}", system.sysname, system.release, system.machine)});
  return facts;
}

Section new_section(std::string name, std::string title, std::string version) {
  Section section;
  section.name = std::move(name);
  section.title = std::move(title);
  section.version = std::move(version);
  section.command_line = own_command_line();
  section.date = fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(std::time(nullptr)));
  section.machine = machine_facts();
  return section;
}

}  // namespace ridgeline::report
