#include "ridgeline/cli/report_arguments.h"

#include <fmt/format.h>

#include <cstdio>

#include "ridgeline/tools/report/folder.h"

namespace ridgeline::cli {

void ReportArguments::add_to(CLI::App& command) {
  command.add_option("--report", folder,
                     "folder: a page, index.html, of all commands that were given it, with JSON "
                     "and CSV beside it");
}

Status ReportArguments::check(const std::string& section_name) const {
  return wanted() ? report::check_folder(folder, section_name) : Status{};
}

Status ReportArguments::write(const report::Section& section) const {
  if (!wanted()) return {};
  RIDGELINE_TRY(const std::vector<std::string> problems, report::write_report(folder, section));
  for (const std::string& problem : problems) fmt::print(stderr, "{}\n", problem);
  fmt::print(stderr, "report: {}/index.html\n", folder);
  return {};
}

report::Section new_section(std::string name, std::string title) {
  return report::new_section(std::move(name), std::move(title), RIDGELINE_VERSION);
}

}  // namespace ridgeline::cli
