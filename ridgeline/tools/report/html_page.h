#pragma once

#include <string>
#include <vector>

#include "ridgeline/tools/report/section.h"

namespace ridgeline::report {

/// One page without any other file or script, for phones, print, light and dark. `problems` are
/// sentences about what could not be shown.
std::string to_html(const std::vector<Section>& sections, const std::vector<std::string>& problems);

}  // namespace ridgeline::report
