#include "ridgeline/tools/report/folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>

#include "ridgeline/platform/atomic_file.h"
#include "ridgeline/tools/report/html_page.h"

namespace ridgeline::report {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 5> kOrder{"doctor", "ablation", "complexity", "roofline",
                                                 "speculate"};
constexpr std::string_view kPageMark = "<meta name=\"generator\" content=\"ridgeline report\">";
constexpr std::uintmax_t kMostBytes = std::uintmax_t{64} << 20;

/// Nothing if there is no such file.
std::optional<Result<std::string>> read_file(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  if (!fs::is_regular_file(path, error)) return fail(fmt::format("{}: is no file", path));
  const std::uintmax_t size = fs::file_size(path, error);
  if (error || size > kMostBytes)
    return fail(fmt::format("{}: expected a file of {} MiB at most", path, kMostBytes >> 20));
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (file.bad() || text.size() != size) return fail(fmt::format("{}: cannot be read", path));
  return text;
}

/// Whatever says that it is one, whole or damaged.
bool is_section_file(const std::string& text) {
  constexpr std::size_t kHead = 200;
  return text.substr(0, kHead).find("\"ridgeline report section\"") != std::string::npos;
}

std::string section_path(const std::string& folder, const std::string& name) {
  return (fs::path(folder) / (name + ".json")).string();
}
std::string page_path(const std::string& folder) {
  return (fs::path(folder) / "index.html").string();
}

Status write_text(const std::string& path, std::string_view text) {
  RIDGELINE_TRY(AtomicFile file, AtomicFile::create(path, text.size()));
  RIDGELINE_TRY_STATUS(file.write(0, std::as_bytes(std::span(text))));
  RIDGELINE_TRY(const MappedFile whole, file.publish());
  return {};
}

/// Names of the CSV files of a section.
std::vector<std::string> csv_names(const Section& section) {
  std::vector<std::string> names;
  for (const Block& block : section.blocks)
    if (const auto* table = std::get_if<Table>(&block))
      names.push_back(fmt::format("{}-{}.csv", section.name, table->name));
  return names;
}

struct Sections {
  std::vector<Section> good;
  std::vector<std::string> problems;
};

Sections read_sections(const std::string& folder) {
  Sections found;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() != ".json") continue;
    const std::string path = at->path().string();
    const auto text = read_file(path);
    if (!text || !*text || !is_section_file(**text)) continue;
    Result<Section> section = section_from_json(**text);
    if (section && section->name + ".json" != at->path().filename())
      section = fail(fmt::format("it is of section \"{}\"", section->name));
    if (section)
      found.good.push_back(*std::move(section));
    else
      found.problems.push_back(fmt::format("{}: a damaged section, left out of the page: {}", path,
                                           section.error().message));
  }
  std::ranges::sort(found.good, comes_before, &Section::name);
  std::ranges::sort(found.problems);
  return found;
}

}  // namespace

bool comes_before(const std::string& name, const std::string& other) {
  const auto place = [](const std::string& n) { return std::ranges::find(kOrder, n); };
  return place(name) != place(other) ? place(name) < place(other) : name < other;
}

Status check_folder(const std::string& folder, const std::string& section_name) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (std::error_code ignored; !fs::is_directory(folder, ignored))
    return fail(fmt::format("{}: cannot be made a folder for the report{}{}", folder,
                            error ? ": " : "", error ? error.message() : ""));
  if (access(folder.c_str(), W_OK | X_OK) != 0)
    return fail(fmt::format("{}: the folder of the report cannot be written", folder));
  const std::string path = section_path(folder, section_name);
  if (const auto text = read_file(path)) {
    RIDGELINE_TRY(const std::string content, *text);
    if (!is_section_file(content))
      return fail(fmt::format(
          "{}: is no section of a report and would be overwritten; expected another folder", path));
  }
  const std::string page = page_path(folder);
  if (const auto text = read_file(page)) {
    RIDGELINE_TRY(const std::string content, *text);
    if (content.find(kPageMark) == std::string::npos)
      return fail(fmt::format(
          "{}: is no report's page and would be overwritten; expected another folder", page));
  }
  return {};
}

Result<std::vector<std::string>> write_report(const std::string& folder, const Section& section) {
  RIDGELINE_TRY(const std::string json, to_json(section));
  RIDGELINE_TRY_STATUS(check_folder(folder, section.name));
  const std::string path = section_path(folder, section.name);
  const std::vector<std::string> names = csv_names(section);
  if (const auto text = read_file(path); text && *text)
    if (const Result<Section> before = section_from_json(**text);
        before && before->name == section.name)
      for (const std::string& name : csv_names(*before))
        if (std::error_code error; std::ranges::find(names, name) == names.end())
          fs::remove(fs::path(folder) / name, error);
  RIDGELINE_TRY_STATUS(write_text(path, json));
  for (const Block& block : section.blocks)
    if (const auto* table = std::get_if<Table>(&block))
      RIDGELINE_TRY_STATUS(write_text(
          (fs::path(folder) / fmt::format("{}-{}.csv", section.name, table->name)).string(),
          to_csv(*table)));
  Sections all = read_sections(folder);
  RIDGELINE_TRY_STATUS(write_text(page_path(folder), to_html(all.good, all.problems)));
  return std::move(all.problems);
}

}  // namespace ridgeline::report
