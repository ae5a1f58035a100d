#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "ridgeline/tools/report/section.h"

namespace ridgeline::report {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "ridgeline report section";
constexpr int kSchema = 1;

constexpr std::array<const char*, 4> kTones{"plain", "good", "advice", "warning"};
constexpr std::array<const char*, 3> kAxisKinds{"linear", "log", "log2"};
constexpr std::array<const char*, 4> kStyles{"line", "points", "bars", "roof"};

/// Thrown and caught in this file, as nlohmann's own are.
struct BadSection {
  std::string message;
};

template <class E, std::size_t n>
E enum_of(const Json& j, const char* key, const std::array<const char*, n>& names) {
  const std::string& name = j.at(key).get_ref<const std::string&>();
  const auto at = std::ranges::find(names, std::string_view(name));
  if (at == names.end()) throw BadSection{fmt::format("{} \"{}\" is unknown", key, name)};
  return static_cast<E>(at - names.begin());
}

template <class E, std::size_t n>
const char* name_of(E value, const std::array<const char*, n>& names) {
  return names[static_cast<std::size_t>(value)];
}

Json number_json(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
double number_of(const Json& j) {
  return j.is_null() ? std::numeric_limits<double>::quiet_NaN() : j.get<double>();
}
std::optional<double> optional_of(const Json& j, const char* key) {
  const Json& value = j.at(key);
  return value.is_null() ? std::nullopt : std::optional(value.get<double>());
}

template <class T, class F>
Json list_json(const std::vector<T>& list, F&& json_of) {
  Json j = Json::array();
  for (const T& item : list) j.push_back(json_of(item));
  return j;
}
template <class F>
auto list_of(const Json& j, const char* key, F&& item_of) {
  std::vector<decltype(item_of(j))> list;
  const Json& items = j.at(key);
  if (!items.is_array()) throw BadSection{fmt::format("\"{}\" is no list", key)};
  for (const Json& item : items) list.push_back(item_of(item));
  return list;
}
std::string text_of(const Json& j, const char* key) { return j.at(key).get<std::string>(); }

Json fact_json(const Fact& f) { return {{"name", f.name}, {"value", f.value}, {"note", f.note}}; }
Fact fact_of(const Json& j) {
  return {text_of(j, "name"), text_of(j, "value"), text_of(j, "note")};
}

/// A number, a string, null, or an object of what is more than that.
Json cell_json(const Cell& c) {
  if (c.tone == Tone::kPlain && c.text.empty())
    return c.number ? number_json(*c.number) : Json(nullptr);
  if (c.tone == Tone::kPlain && !c.number) return c.text;
  Json j{{"text", c.text}};
  if (c.number) j["number"] = number_json(*c.number);
  if (c.tone != Tone::kPlain) j["tone"] = name_of(c.tone, kTones);
  return j;
}
Cell cell_of(const Json& j) {
  if (j.is_null()) return {};
  if (j.is_string()) return {j.get<std::string>()};
  if (j.is_number()) return {j.get<double>()};
  Cell cell{text_of(j, "text")};
  if (j.contains("number") && !j["number"].is_null()) cell.number = j["number"].get<double>();
  if (j.contains("tone")) cell.tone = enum_of<Tone>(j, "tone", kTones);
  return cell;
}

Json column_json(const Column& c) {
  return {{"name", c.name},
          {"unit", c.unit},
          {"left", c.left},
          {"decimals", c.decimals},
          {"bars", c.bars}};
}
Column column_of(const Json& j) {
  return {.name = text_of(j, "name"),
          .unit = text_of(j, "unit"),
          .left = j.at("left").get<bool>(),
          .decimals = std::clamp(j.at("decimals").get<int>(), -1, 12),
          .bars = j.at("bars").get<bool>()};
}

bool is_file_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

Status check(const Section& section) {
  if (!is_file_name(section.name))
    return fail(fmt::format("section \"{}\": expected a name of a-z, 0-9 and -", section.name));
  std::set<std::string> names;
  for (const Block& block : section.blocks) {
    const Table* table = std::get_if<Table>(&block);
    if (table == nullptr) continue;
    if (!is_file_name(table->name) || !names.insert(table->name).second)
      return fail(
          fmt::format("section {}, table \"{}\": expected a name of a-z, 0-9 and - that no "
                      "other table of the section has",
                      section.name, table->name));
    for (const std::vector<Cell>& row : table->rows)
      if (row.size() != table->columns.size())
        return fail(fmt::format("section {}, table {}: a row has {} cells, expected {}",
                                section.name, table->name, row.size(), table->columns.size()));
  }
  return {};
}

Json table_json(const Table& t) {
  return {{"kind", "table"},
          {"name", t.name},
          {"title", t.title},
          {"columns", list_json(t.columns, column_json)},
          {"rows", list_json(t.rows, [](const auto& row) { return list_json(row, cell_json); })},
          {"notes", t.notes}};
}
Table table_of(const Json& j) {
  Table t;
  t.name = text_of(j, "name");
  t.title = text_of(j, "title");
  t.columns = list_of(j, "columns", column_of);
  const auto row_of = [](const Json& row) {
    if (!row.is_array()) throw BadSection{"a row is no list"};
    std::vector<Cell> cells;
    for (const Json& cell : row) cells.push_back(cell_of(cell));
    return cells;
  };
  t.rows = list_of(j, "rows", row_of);
  t.notes = j.at("notes").get<std::vector<std::string>>();
  return t;
}

Json axis_json(const Axis& a) {
  const auto bound = [](const std::optional<double>& b) { return b ? number_json(*b) : Json(); };
  return {{"title", a.title}, {"unit", a.unit},      {"kind", name_of(a.kind, kAxisKinds)},
          {"whole", a.whole}, {"low", bound(a.low)}, {"high", bound(a.high)}};
}
Axis axis_of(const Json& j) {
  return {.title = text_of(j, "title"),
          .unit = text_of(j, "unit"),
          .kind = enum_of<Axis::Kind>(j, "kind", kAxisKinds),
          .whole = j.at("whole").get<bool>(),
          .low = optional_of(j, "low"),
          .high = optional_of(j, "high")};
}

Json series_json(const Series& s) {
  return {{"title", s.title},
          {"style", name_of(s.style, kStyles)},
          {"points", list_json(s.points, [](const Point& p) {
             Json j{{"x", number_json(p.x)}, {"y", number_json(p.y)}};
             if (!p.label.empty()) j["label"] = p.label;
             return j;
           })}};
}
Series series_of(const Json& j) {
  const auto point_of = [](const Json& p) {
    return Point{number_of(p.at("x")), number_of(p.at("y")),
                 p.contains("label") ? text_of(p, "label") : std::string()};
  };
  return {.title = text_of(j, "title"),
          .style = enum_of<Series::Style>(j, "style", kStyles),
          .points = list_of(j, "points", point_of)};
}

Json plot_json(const Plot& p) {
  return {
      {"kind", "plot"},
      {"title", p.title},
      {"description", p.description},
      {"x", axis_json(p.x)},
      {"y", axis_json(p.y)},
      {"series", list_json(p.series, series_json)},
      {"annotations",
       list_json(p.annotations,
                 [](const Annotation& a) {
                   return Json{{"x", number_json(a.x)}, {"y", number_json(a.y)}, {"text", a.text}};
                 })},
      {"stacked", p.stacked}};
}
Plot plot_of(const Json& j) {
  Plot p;
  p.title = text_of(j, "title");
  p.description = text_of(j, "description");
  p.x = axis_of(j.at("x"));
  p.y = axis_of(j.at("y"));
  p.series = list_of(j, "series", series_of);
  p.annotations = list_of(j, "annotations", [](const Json& a) {
    return Annotation{number_of(a.at("x")), number_of(a.at("y")), text_of(a, "text")};
  });
  p.stacked = j.at("stacked").get<bool>();
  return p;
}

Json block_json(const Block& block) {
  if (const auto* table = std::get_if<Table>(&block)) return table_json(*table);
  if (const auto* plot = std::get_if<Plot>(&block)) return plot_json(*plot);
  const auto& p = std::get<Paragraph>(block);
  return {{"kind", "paragraph"}, {"title", p.title}, {"text", p.text}, {"command", p.command}};
}
Block block_of(const Json& j) {
  const std::string kind = text_of(j, "kind");
  if (kind == "table") return table_of(j);
  if (kind == "plot") return plot_of(j);
  if (kind == "paragraph")
    return Paragraph{text_of(j, "title"), text_of(j, "text"), text_of(j, "command")};
  throw BadSection{fmt::format("a block of kind \"{}\"", kind)};
}

Section section_of(const Json& j) {
  if (!j.is_object() || !j.contains("format") || j["format"] != kFormat)
    throw BadSection{fmt::format("expected an object with \"format\": \"{}\"", kFormat)};
  if (const Json& schema = j.at("schema"); schema != kSchema)
    throw BadSection{fmt::format("schema {}, expected {}", schema.dump(), kSchema)};
  Section s;
  s.name = text_of(j, "name");
  s.title = text_of(j, "title");
  s.version = text_of(j, "version");
  s.command_line = text_of(j, "command_line");
  s.date = text_of(j, "date");
  s.machine = list_of(j, "machine", fact_of);
  s.figures = list_of(j, "figures", fact_of);
  s.blocks = list_of(j, "blocks", block_of);
  if (j.contains("data")) s.data = j["data"].dump();
  return s;
}

}  // namespace

Result<std::string> to_json(const Section& s) {
  RIDGELINE_TRY_STATUS(check(s));
  Json j{{"format", kFormat},
         {"schema", kSchema},
         {"name", s.name},
         {"title", s.title},
         {"version", s.version},
         {"command_line", s.command_line},
         {"date", s.date},
         {"machine", list_json(s.machine, fact_json)},
         {"figures", list_json(s.figures, fact_json)},
         {"blocks", list_json(s.blocks, block_json)}};
  if (!s.data.empty()) {
    Json data = Json::parse(s.data, nullptr, /*allow_exceptions=*/false);
    if (data.is_discarded()) return fail(fmt::format("section {}: its data is no JSON", s.name));
    j["data"] = std::move(data);
  }
  return j.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Section> section_from_json(const std::string& text) {
  try {
    const Section section = section_of(Json::parse(text));
    RIDGELINE_TRY_STATUS(check(section));
    return section;
  } catch (const BadSection& bad) {
    return fail(bad.message);
  } catch (const Json::exception& e) {
    return fail(e.what());
  }
}

}  // namespace ridgeline::report
