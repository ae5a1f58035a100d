#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/report/section.h"

namespace ridgeline::cli {

/// --report DIR: the command's section of the one report.
struct ReportArguments {
  std::string folder;  ///< "": none is wanted

  void add_to(CLI::App& command);
  bool wanted() const { return !folder.empty(); }
  /// Before anything is measured, so that minutes are not lost to a folder that cannot be written.
  Status check(const std::string& section_name) const;
  /// Writes it, and says on stderr where, if a report is wanted.
  Status write(const report::Section& section) const;
};

/// Machine, command line, version and date filled in.
report::Section new_section(std::string name, std::string title);

}  // namespace ridgeline::cli
