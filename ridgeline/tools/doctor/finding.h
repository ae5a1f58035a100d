#pragma once

#include <string>
#include <string_view>

namespace ridgeline::doctor {

enum class Severity {
  kOk,       ///< nothing to do
  kAdvice,   ///< something would be better otherwise
  kWarning,  ///< something costs much, or will fail
};
std::string_view name(Severity severity);  ///< "ok", "advice", "warning"

/// One item of the checklist.
struct Finding {
  Severity severity = Severity::kOk;
  std::string what{};     ///< "CPU quota"
  std::string found{};    ///< what is there, and whether Ridgeline uses it
  std::string advice{};   ///< a sentence; empty where all is well
  std::string command{};  ///< that mends it, to paste; may be empty
};

/// "1.5 GiB", "512 MiB", "96 KiB".
std::string bytes_text(double bytes);

}  // namespace ridgeline::doctor
