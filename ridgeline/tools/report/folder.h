#pragma once

#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/report/section.h"

// The folder of --report: NAME.json and NAME-TABLE.csv of each section, and index.html of all.

namespace ridgeline::report {

/// Makes the folder if need be. For before anything is measured. Errors: it cannot be made or
/// written; what write_report() would overwrite is not a report's.
Status check_folder(const std::string& folder, const std::string& section_name);

/// Writes the section's files in place of those it had, and the page of all sections that lie in
/// the folder. A damaged file of another section is left alone: the page is made of the rest, and
/// says so, as the returned sentences do. JSON files that are no sections are nobody's business.
/// Errors: as of check_folder() and to_json().
Result<std::vector<std::string>> write_report(const std::string& folder, const Section& section);

/// The sections' order on the page: doctor, ablation, complexity, roofline, speculate, and whatever
/// else there is, by name.
bool comes_before(const std::string& name, const std::string& other);

}  // namespace ridgeline::report
